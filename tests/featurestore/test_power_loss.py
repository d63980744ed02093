"""A real file system whose journal is thrown away under running writers: whatever they were told is there is there."""

import contextlib
import fcntl
import multiprocessing
import os
import struct
import threading
import time

import pandas as pd
import pytest
from crash_model import seeded
from real_disks import loop_device, mounted, run

from featurestore import FeatureStoreConfig, FeatureStoreError, SimpleFeatureStore
from featurestore.disk import Disk

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet"])
DEADLINE_S = 30.0
CUTS = int(os.environ.get("STRESSD_POWERLOSS_CUTS", "3"))
SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
WITHOUT_THE_JOURNAL = struct.pack("I", 2)  # what was not yet in the journal on the disk is lost
MEGABYTES = 32
WRITERS = "ab"


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    image = tmp_path_factory.mktemp("device") / "image"
    with open(image, "wb") as file:
        file.truncate(MEGABYTES << 20)
    run("mkfs.ext4", "-q", "-F", str(image))
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    with loop_device(image) as device:
        yield device


@pytest.fixture
def powered(device, tmp_path):
    """A context that mounts the device; nothing is written back for five minutes unless somebody asks."""
    return lambda: mounted("-t", "ext4", "-o", "commit=300", device, at=tmp_path / "disk")


def cut_power(disk):
    fd = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, WITHOUT_THE_JOURNAL)
    except OSError as error:
        pytest.skip(f"{disk} cannot be shut down: {error}")
    finally:
        os.close(fd)


class WithoutLogSync(Disk):
    def sync_folder(self, path):
        if not path.endswith("/log"):
            super().sync_folder(path)


def opened(folder, name, disk=None, **settings):
    config = FeatureStoreConfig(folder / name, keep_versions=3, grace_seconds=0.0, cache_enabled=False, **settings)
    return SimpleFeatureStore(config, disk=disk)


def frame(value):
    return pd.DataFrame({"value": [value]})


def value(store, name):
    try:
        return int(store.get_features([name], "g")[name]["value"].iloc[0])
    except KeyError:
        return -1


def save_until_the_cut(folder, name, first, pipe):
    """One thread a feature; each tells what was acknowledged: (feature, value, commit)."""
    store = opened(folder, name)
    telling = threading.Lock()

    def save(feature):
        number = first
        with contextlib.suppress(FeatureStoreError, OSError):
            while True:
                commit = store.commit("g", {feature: frame(number)}).number
                with telling:
                    pipe.send((feature, number, commit))
                number += 1

    threads = [threading.Thread(target=save, args=(feature,)) for feature in WRITERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.close()


@contextlib.contextmanager
def writers(*args):
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=save_until_the_cut, args=(*args, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def told(pipe):
    """What the writers say, until they end."""
    with contextlib.suppress(EOFError):
        while pipe.poll(DEADLINE_S):
            yield pipe.recv()


def test_nothing_acknowledged_is_lost(powered, run_seed):
    rng = seeded(run_seed, "power")
    last, newest = dict.fromkeys(WRITERS, -1), 0
    for cut in range(CUTS):
        with powered() as disk, writers(disk, "store", 1000 * cut) as pipe:
            cut_after = rng.randint(1, 60)
            for count, (feature, number, commit) in enumerate(told(pipe), start=1):
                last[feature], newest = number, max(newest, commit)
                if count == cut_after:
                    time.sleep(rng.random() * 0.01)  # into the middle of whatever they do
                    cut_power(disk)
            assert count >= cut_after
        with powered() as disk:
            store = opened(disk, "store")
            assert store.head("g") >= newest
            assert all(value(store, feature) >= number for feature, number in last.items())
            assert store.verify() == []
            newest = store.commit("g", {"after": frame(cut)}).number
            last["after"] = cut


@pytest.mark.parametrize("weaker", [{"durability": "relaxed"}, {"disk": WithoutLogSync()}])
def test_the_cut_takes_what_was_not_forced_to_the_disk(powered, weaker):
    """So that the test above could fail."""
    with powered() as disk:
        opened(disk, "weak").save_features("g", {"a": frame(1)})
        store = opened(disk, "weak", **weaker)
        store.save_features("g", {"a": frame(2)})
        assert value(store, "a") == 2
        cut_power(disk)
    with powered() as disk:
        store = opened(disk, "weak")
        assert value(store, "a") == 1
        assert store.verify() == []
        store.drop_group("g")

"""What a save leaves when a call fails, the process dies or the disk lies."""

import errno
import functools
import multiprocessing
import os
import time

import pandas as pd
import pytest

from featurestore import (
    CommitUnknown,
    CorruptFeature,
    FeatureStoreConfig,
    SaveFailed,
    SimpleFeatureStore,
)
from featurestore.disk import Disk

CALLS = [name for name in vars(Disk) if not name.startswith("_")]
PROCESSES = multiprocessing.get_context("forkserver")
DEADLINE_S = 20.0


def frame(value):
    return pd.DataFrame({"value": [float(value)] * 3})


class HookedDisk(Disk):
    """Calls `hook(name, args)` before every file-system call."""

    def __init__(self, hook, **options):
        super().__init__(**options)
        self.hook = hook


def _hooked(name):
    call = getattr(Disk, name)

    @functools.wraps(call)
    def hooked(self, *args):
        self.hook(name, args)
        return call(self, *args)

    return hooked


for _name in CALLS:
    setattr(HookedDisk, _name, _hooked(_name))


def nothing(name, args):
    pass


def opened(path, hook=nothing, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(path, **settings), disk=HookedDisk(hook))


def value(store):
    return store.get_features(["f"], "g")["f"]["value"].tolist()


def leavings(path):
    group = path / "g"
    log = SimpleFeatureStore(FeatureStoreConfig(path))._group("g").log
    named = {file for number in log.numbers() for file in log.read(number).files()}
    data = {f"{p.parent.name}/{p.name}" for p in (group / "data").glob("*/*")}
    return sorted(data - named) + [p.name for part in ("pins", "tmp") for p in (group / part).iterdir()]


def test_whichever_call_fails_the_answer_is_true_and_nothing_is_left(tmp_path):
    outcomes = set()
    for number in range(1, 200):
        base = tmp_path / str(number)
        store = opened(base)
        store.save_features("g", {"f": frame(1)})
        left = [number]

        def fail(name, args, left=left):
            left[0] -= 1
            if left[0] == 0 and name != "close":  # a close that fails has closed
                raise OSError(errno.EIO, f"injected into {name}")

        store._backend._disk.hook = fail
        try:
            store.save_features("g", {"f": frame(2)})
            outcome, allowed = "saved", ([2.0] * 3,)
        except SaveFailed:
            outcome, allowed = "failed", ([1.0] * 3,)
        except CommitUnknown:
            outcome, allowed = "unknown", ([1.0] * 3, [2.0] * 3)
        store._backend._disk.hook = nothing
        outcomes.add(outcome)
        assert value(store) in allowed, (number, outcome)
        assert value(opened(base)) == value(store), "every process gives the same answer"
        opened(base).collect()
        assert [x for x in leavings(base) if outcome == "failed"] == [], (number, outcome)
        assert opened(base).verify() == []
        if left[0] > 0:
            break
    assert outcomes == {"saved", "failed", "unknown"}
    assert left[0] > 0, "the whole commit was covered"


def test_a_commit_whose_folder_cannot_be_synced_is_unknown_and_its_files_stay(tmp_path):
    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})

    def fail(name, args):
        if name == "sync_folder" and args[0].endswith("/log"):
            raise OSError(errno.EIO, "injected")

    store._backend._disk.hook = fail
    with pytest.raises(CommitUnknown, match="may not survive"):
        store.save_features("g", {"f": frame(2)})
    store._backend._disk.hook = nothing
    assert value(store) == [2.0] * 3


def test_a_full_disk_fails_the_save_and_takes_its_files_away(tmp_path):
    def fail(name, args):
        if name == "write":
            raise OSError(errno.ENOSPC, "no space left on device")

    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})
    store._backend._disk.hook = fail
    with pytest.raises(SaveFailed, match="no space left") as failed:
        store.save_features("g", {"f": frame(2)})
    assert failed.value.__cause__.errno == errno.ENOSPC
    store._backend._disk.hook = nothing
    assert leavings(tmp_path) == []
    assert value(store) == [1.0] * 3


def test_a_full_disk_collects_early(tmp_path):
    store = opened(tmp_path, keep_versions=2, grace_seconds=10_000)
    for number in range(6):
        store.save_features("g", {"f": frame(number)})

    def full_while_six_commits_are_kept(name, args):
        if name == "create" and "/data/" in args[0] and len(list((tmp_path / "g/data/f").iterdir())) >= 6:
            raise OSError(errno.ENOSPC, "no space left on device")

    store._backend._disk.hook = full_while_six_commits_are_kept
    store.save_features("g", {"f": frame(9)})
    assert value(store) == [9.0] * 3


def test_relaxed_durability_syncs_nothing_and_the_default_does(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), sync(fd)))
    relaxed = SimpleFeatureStore(FeatureStoreConfig(tmp_path / "relaxed", durability="relaxed", keep_versions=1))
    for number in range(3):
        relaxed.save_features("g", {"f": frame(number)})
    assert synced == []
    SimpleFeatureStore(FeatureStoreConfig(tmp_path / "commit")).save_features("g", {"f": frame(1)})
    assert len(synced) >= 8  # file, manifest, their folders, and the parents of every folder that was new


def test_what_must_be_on_the_disk_is_before_the_link(tmp_path):
    calls = []
    store = opened(tmp_path, lambda name, args: calls.append((name, str(args[0]))))
    store.save_features("g", {"f": frame(1), "h": frame(2)})
    order = [name for name, _ in calls]
    link = order.index("link", order.index("rename"))  # the first link made the store's id
    before, after = calls[:link], calls[link + 1 :]
    assert [name for name, _ in before].count("sync") >= 3  # two data files and the manifest
    synced = {path.removeprefix(str(tmp_path)) for name, path in before if name == "sync_folder"}
    assert {"", "/g", "/g/data", "/g/data/f", "/g/data/h"} <= synced
    assert ("sync_folder", f"{tmp_path}/g/log") in after
    pin = order.index("rename")
    assert not [path for name, path in calls[:pin] if name == "create" and "/data/" in path]


def test_a_folder_that_somebody_removed_costs_one_save(tmp_path):
    store = opened(tmp_path)
    os.remove(store.save_features("g", {"f": frame(1)})["f"])
    (tmp_path / "g/data/f").rmdir()
    with pytest.raises(SaveFailed, match="No such file"):
        store.save_features("g", {"f": frame(2)})
    store.save_features("g", {"f": frame(3)})
    assert value(store) == [3.0] * 3


def die_at(base, step, ready):
    def hook(name, args):
        if step(name, args):
            ready.set()
            time.sleep(DEADLINE_S)  # until the parent kills us

    store = opened(base)
    store._backend._disk.hook = hook
    store.save_features("g", {"f": frame(2), "new": frame(2)})


def at_first_data(name, args):
    return name == "create" and "/data/" in args[0]


def at_data_sync(name, args):
    return name == "sync"


def at_link(name, args):
    return name == "link"


def at_log_sync(name, args):
    """After its link: another's is synced before."""
    return name == "sync_folder" and args[0].endswith("/log") and len(os.listdir(args[0])) == 2


def at_pin(name, args):
    return name == "rename"


@pytest.mark.parametrize("step", [at_pin, at_first_data, at_data_sync, at_link, at_log_sync])
def test_a_writer_killed_in_mid_save_leaves_a_valid_store_and_its_leavings_are_swept(tmp_path, step):
    opened(tmp_path).save_features("g", {"f": frame(1)})
    ready = PROCESSES.Event()
    writer = PROCESSES.Process(target=die_at, args=(tmp_path, step, ready))
    writer.start()
    assert ready.wait(DEADLINE_S)
    running = opened(tmp_path)  # beside a live writer: nothing of it may be swept
    pins = list((tmp_path / "g/pins").iterdir())
    assert len(pins) == 1
    assert value(running) == ([2.0] * 3 if step is at_log_sync else [1.0] * 3)
    writer.kill()
    writer.join(DEADLINE_S)
    after = opened(tmp_path)
    assert leavings(tmp_path) == []
    assert value(after) == ([2.0] * 3 if step is at_log_sync else [1.0] * 3)
    assert after.verify() == []
    after.save_features("g", {"f": frame(3)})
    assert value(running) == value(after) == [3.0] * 3


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def extend(path):
    path.write_bytes(path.read_bytes() + b"\0")


def swap(path):
    other = next(p for p in path.parent.iterdir() if p != path)
    path.write_bytes(other.read_bytes())


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [flip, truncate, empty, extend, swap, remove])
def test_a_damaged_file_is_named_and_never_read_as_an_older_version(tmp_path, damage):
    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})
    path = store.save_features("g", {"f": frame(2)})["f"]
    damage(type(tmp_path)(path))
    with pytest.raises(CorruptFeature) as corrupt:
        store.get_features(["f"], "g")
    assert corrupt.value.path == path
    assert path in str(corrupt.value)
    assert len(store.verify()) == 1
    assert path in store.verify()[0]
    store.save_features("g", {"f": frame(3)})
    assert value(store) == [3.0] * 3


@pytest.mark.parametrize("damage", [flip, truncate, empty, swap])
def test_a_damaged_manifest_is_named(tmp_path, damage):
    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})
    store.save_features("g", {"f": frame(2)})
    manifest = tmp_path / "g/log/00000000000000000002"
    damage(manifest)
    with pytest.raises(CorruptFeature) as corrupt:
        opened(tmp_path).get_features(["f"], "g")
    assert corrupt.value.path == str(manifest)
    assert str(manifest) in opened(tmp_path).verify()[0]


def test_a_bad_read_that_does_not_repeat_is_no_damage(tmp_path):
    class LyingOnce(Disk):
        lies = 1

        def read(self, fd):
            data, status = super().read(fd)
            if data.startswith(b"PAR1") and LyingOnce.lies:
                LyingOnce.lies -= 1
                data = data[:-1] + b"?"
            return data, status

    opened(tmp_path).save_features("g", {"f": frame(1)})
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path), disk=LyingOnce())
    assert value(store) == [1.0] * 3
    assert LyingOnce.lies == 0

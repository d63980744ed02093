"""No room, no inodes, no permission, too few descriptors: on real file systems. Saves fail, and reads go on."""

import errno
import multiprocessing
import os
import resource

import numpy as np
import pandas as pd
import pytest
from faulty_disk import leavings, open_files
from real_disks import run, tmpfs

from featurestore import FeatureStoreConfig, ReadFailed, SaveFailed, SimpleFeatureStore

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet"])
DEADLINE_S = 30.0
PAGE = 4096
ROWS = 2_000  # a file of five pages


def frame(number):
    return pd.DataFrame({"value": np.full(ROWS, number), "noise": np.random.default_rng(number).random(ROWS)})


def opened(base, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(base, **{"cache_enabled": False, **settings}))


def value(store):
    (found,) = store.get_features(["f"], "g")["f"]["value"].unique()
    return int(found)


def attempt(store, number):
    """Return None where it was saved, the number of the system's error where it was not."""
    try:
        store.save_features("g", {"f": frame(number)})
    except SaveFailed as error:
        return error.__cause__.errno
    return None


def free_pages(folder):
    return os.statvfs(folder).f_bfree


def free_inodes(folder):
    return os.statvfs(folder).f_ffree


def leave_pages(folder, pages):
    """Fill the disk until this many pages are free."""
    with open(folder / "filler", "ab", buffering=0) as file:
        while (surplus := free_pages(folder) - pages) > 0:
            file.write(bytes(PAGE * min(surplus, 64)))


def leave_inodes(folder, inodes):
    while free_inodes(folder) > inodes:
        (folder / f"filler{free_inodes(folder)}").touch()


def remove_fillers(folder):
    for path in folder.glob("filler*"):
        path.unlink()


def fails_cleanly_or_saves(base, store, number, allowed):
    before = value(store)
    failure = attempt(store, number)
    assert failure in {None, *allowed}
    assert value(store) == value(opened(base)) == (before if failure else number)
    if failure:
        assert leavings(base) == []
    assert store.verify() == []
    return failure


def test_a_disk_that_fills_up_at_any_page_fails_saves_alone(tmp_path):
    with tmpfs(tmp_path / "disk", size="4m") as disk:
        store = opened(disk / "store", keep_versions=1000)
        store.save_features("g", {"f": frame(0)})
        failures = set()
        for pages in range(24):
            leave_pages(disk, pages)
            failures.add(fails_cleanly_or_saves(disk / "store", store, pages, {errno.ENOSPC}))
            remove_fillers(disk)
        assert failures == {None, errno.ENOSPC}
        assert attempt(store, 99) is None, "good again, once there is room"
        assert value(store) == 99


def test_a_disk_without_a_single_free_page_collects_early(tmp_path):
    with tmpfs(tmp_path / "disk", size="4m") as disk:
        store = opened(disk / "store", keep_versions=2, grace_seconds=10_000)
        for number in range(8):
            store.save_features("g", {"f": frame(number)})
        store.collect()
        assert len(store.history("g")) == 8, "all are young"
        leave_pages(disk, 0)
        assert attempt(store, 8) is None
        assert value(store) == value(opened(disk / "store")) == 8
        assert [revision.commit for revision in store.history("g")] == [9, 8, 7]
        assert store.verify() == []


def test_a_disk_that_runs_out_of_inodes_fails_saves_alone(tmp_path):
    with tmpfs(tmp_path / "disk", size="4m", nr_inodes=200) as disk:
        store = opened(disk / "store", keep_versions=1000)
        store.save_features("g", {"f": frame(0)})
        failures = []
        for inodes in range(6):
            leave_inodes(disk, inodes)
            failures.append(fails_cleanly_or_saves(disk / "store", store, inodes, {errno.ENOSPC}))
            remove_fillers(disk)
        assert failures[:3] == [errno.ENOSPC] * 3  # pin, data file and manifest; tmpfs counts a link as one more
        assert failures[4:] == [None] * 2
        assert attempt(store, 99) is None


def test_a_disk_with_one_free_inode_collects_early(tmp_path):
    with tmpfs(tmp_path / "disk", size="4m", nr_inodes=200) as disk:
        store = opened(disk / "store", keep_versions=2, grace_seconds=10_000)
        for number in range(8):
            store.save_features("g", {"f": frame(number)})
        leave_inodes(disk, 1)
        assert attempt(store, 8) is None
        assert value(store) == 8


def test_on_a_read_only_disk_reads_go_on_and_a_store_can_be_opened(tmp_path):
    with tmpfs(tmp_path / "disk", size="4m") as disk:
        store = opened(disk / "store")
        store.save_features("g", {"f": frame(1)})
        run("mount", "-o", "remount,ro", str(disk))
        for known in (store, opened(disk / "store")):
            assert fails_cleanly_or_saves(disk / "store", known, 2, {errno.EROFS}) == errno.EROFS
        run("mount", "-o", "remount,rw", str(disk))
        assert attempt(store, 3) is None
        assert value(store) == 3


@pytest.mark.parametrize("folder", ["log", "data/f", "pins", "tmp", "."])
def test_a_folder_that_may_not_change_fails_saves_alone(tmp_path, folder):
    store = opened(tmp_path / "store")
    store.save_features("g", {"f": frame(1)})
    immutable = str(tmp_path / "store" / "g" / folder)
    run("chattr", "+i", immutable)
    try:
        failure = fails_cleanly_or_saves(tmp_path / "store", store, 2, {errno.EPERM})
        assert failure == (None if folder in (".", "tmp") else errno.EPERM)  # nothing new is needed there
    finally:
        run("chattr", "-i", immutable)
    assert attempt(store, 3) is None
    assert value(store) == 3


def files_may_not_grow(base):
    store = opened(base)
    store.save_features("g", {"f": frame(0)})
    failures = set()
    for limit in (0, 1, PAGE, 2 * PAGE, 1 << 20):  # the manifest has a few hundred bytes, the data file five pages
        limited_to(resource.RLIMIT_FSIZE, limit)
        failures.add(fails_cleanly_or_saves(base, store, limit, {errno.EFBIG}))
    limited_to(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    assert failures == {None, errno.EFBIG}


def descriptors_are_few(base):
    store = opened(base)
    store.save_features("g", {"f": frame(0), "other": frame(0)})
    value(store)  # whatever is imported late was imported
    saves, reads = set(), set()
    known, many = 0, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for spare in range(10):
        before = open_files()
        limited_to(resource.RLIMIT_NOFILE, next_descriptor() + spare)
        try:
            failure = attempt(store, spare)
            try:
                reads.add(len(store.get_features(["f", "other"], "g")))
            except ReadFailed as error:
                reads.add(error.__cause__.errno)
        finally:
            limited_to(resource.RLIMIT_NOFILE, many)
        saves.add(failure)
        known = known if failure else spare
        assert open_files() == before
        assert value(store) == known
        assert leavings(base) == []
    assert saves == {errno.EMFILE, None}
    assert reads == {errno.EMFILE, 2}


def limited_to(what, most):
    resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def next_descriptor():
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    return fd


@pytest.mark.parametrize("limited", [files_may_not_grow, descriptors_are_few])
def test_a_process_at_its_limits_fails_saves_alone(tmp_path, limited):
    ours, theirs = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=tell, args=(limited, tmp_path, theirs))
    child.start()
    assert ours.poll(DEADLINE_S)
    problem = ours.recv()
    child.join(DEADLINE_S)
    assert problem is None


def tell(limited, base, pipe):
    try:
        pipe.send(limited(base))
    except BaseException as error:  # noqa: BLE001 - the parent tells it
        pipe.send(repr(error))

"""The n-th call of each kind fails, n = 1, 2, ... until all goes well: once, or from then on; in every operation."""

import contextlib
import errno
import itertools
import os
import shutil

import pytest
from faulty_disk import CALLS, FaultyDisk, frame, leavings, open_files, opened, value

from featurestore import CommitUnknown, FeatureStoreError, ReadFailed, SaveFailed

ONCE, EVER = "once", "from then on"
N_AT_MOST = 200


class Failing:
    """Makes the n-th call of a kind fail, and the later ones too if it is for ever."""

    def __init__(self, kind, n, number, how_long):
        self.kind, self.n, self.number, self.how_long = kind, n, number, how_long
        self.count = 0

    def __call__(self, name, args):
        if name == self.kind:
            self.count += 1
            if self.count == self.n or (self.count > self.n and self.how_long == EVER):
                raise OSError(self.number, f"injected into {name}")

    @property
    def fired(self):
        return self.count >= self.n


def failures():
    """Yield Failing after Failing; sends of False end a kind, since its n-th call was not reached."""
    for kind, number, how_long in itertools.product(CALLS, (errno.EIO, errno.ENOSPC), (ONCE, EVER)):
        for n in range(1, N_AT_MOST):
            failing = Failing(kind, n, number, how_long)
            yield failing
            if not failing.fired:
                break
        assert n < N_AT_MOST - 1


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    base = tmp_path_factory.mktemp("template") / "store"
    store = opened(base)
    for number in range(4):
        store.save_features("g", {"f": frame(number), "other": frame(-1)})
    return base


def copied(template, tmp_path):
    return shutil.copytree(template, tmp_path / "copy", symlinks=True)


@pytest.mark.parametrize("group", ["a new group", "a group with history"])
def test_a_save(template, tmp_path, group):
    answers = set()
    for failing in failures():
        base = copied(template, tmp_path) if group == "a group with history" else tmp_path / f"new{id(failing)}"
        disk = FaultyDisk()
        store = opened(base, disk)
        store._group("g")._commits = 1  # so that the save collects
        before, files = value(store), open_files()
        disk.before = failing
        try:
            store.save_features("g", {"f": frame(9)})
            answer, allowed = "saved", [9.0]
        except SaveFailed:
            answer, allowed = "failed", [before]
        except CommitUnknown:
            answer, allowed = "unknown", [before, 9.0]
        disk.before = None
        if failing.fired:
            answers.add((failing.kind, answer))
        about = vars(failing)
        assert open_files() == files, about
        assert value(store) in allowed, about
        assert value(opened(base)) == value(store), about
        if answer == "failed" and failing.kind != "remove":
            assert leavings(base) == [], about
        assert_useful(base, store)
        shutil.rmtree(base)
    assert {answer for _, answer in answers} == {"saved", "failed", "unknown"}
    assert {kind for kind, answer in answers if answer == "unknown"} == {"link", "sync_folder"}


def assert_useful(base, store):
    store.save_features("g", {"f": frame(10)})
    assert value(store) == value(opened(base)) == 10.0
    store.collect()
    assert store.verify() == []
    assert leavings(base) == []


def test_a_read(template):
    answers = set()
    for failing in failures():
        disk = FaultyDisk()
        store = opened(template, disk)
        files = open_files()
        disk.before = failing
        try:
            answers.add(tuple(got["value"][0] for got in store.get_features(["f", "other"], "g").values()))
        except ReadFailed as error:
            answers.add(error.__cause__.errno)
        disk.before = None
        assert open_files() == files, vars(failing)
        assert value(store) == 3.0
    assert answers == {(3.0, -1.0), errno.EIO, errno.ENOSPC}


def test_opening_a_store(template, tmp_path):
    """With leavings, so that it has to clean up."""
    answers = set()
    for failing in failures():
        base = copied(template, tmp_path)
        (base / "g" / "pins" / f"{4:020d}-{'0' * 32}").write_bytes(b"")
        (base / "g" / "tmp" / ("0" * 32)).write_bytes(b"")
        files = open_files()
        try:
            store = opened(base, FaultyDisk(failing))
            store._backend._disk.before = None
            answers.add(value(store))
        except FeatureStoreError:
            answers.add("failed")
        assert open_files() == files, vars(failing)
        assert value(opened(base)) == 3.0
        assert leavings(base) == []
        shutil.rmtree(base)
    assert answers == {3.0, "failed"}


def test_collecting(template, tmp_path):
    for failing in failures():
        base = copied(template, tmp_path)
        disk = FaultyDisk()
        store = opened(base, disk, keep_versions=1)
        orphan = base / "g" / "data" / "f" / f"{'0' * 32}.parquet"
        orphan.write_bytes(b"")
        files = open_files()
        disk.before = failing
        with contextlib.suppress(OSError, ReadFailed):
            store.collect()
        disk.before = None
        assert open_files() == files, vars(failing)
        assert store.verify() == [], vars(failing)
        assert value(opened(base)) == 3.0
        store.collect()
        assert leavings(base) == [], vars(failing)
        assert len(os.listdir(base / "g" / "log")) == 1
        shutil.rmtree(base)


@pytest.mark.parametrize("bytes_at_once", [1, 7, 100])
def test_a_disk_that_takes_little_at_a_time_gets_all(tmp_path, monkeypatch, bytes_at_once):
    write = os.write
    monkeypatch.setattr("featurestore.disk.os.write", lambda fd, data: write(fd, data[:bytes_at_once]))
    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})
    assert store.verify() == []
    assert value(opened(tmp_path)) == 1.0


def test_a_write_that_stops_half_way_publishes_nothing(tmp_path, monkeypatch):
    """First in the data file, then in the manifest, and the room it had taken is free again."""
    store = opened(tmp_path)
    store.save_features("g", {"f": frame(1)})
    write = os.write
    for complete in range(2):
        left = [complete]

        def half(fd, data, left=left):
            if left[0] == 0:
                write(fd, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "no space left on device")
            left[0] -= 1
            return write(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr("featurestore.disk.os.write", half)
            with pytest.raises(SaveFailed) as failed:
                store.save_features("g", {"f": frame(2)})
        assert failed.value.__cause__.errno == errno.ENOSPC
        assert leavings(tmp_path) == []
        assert value(store) == value(opened(tmp_path)) == 1.0

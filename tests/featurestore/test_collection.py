import fcntl
import itertools
import time

import pandas as pd

from featurestore import FeatureStoreConfig, SimpleFeatureStore
from featurestore.disk import Disk


def frame(value):
    return pd.DataFrame({"value": [float(value)]})


class Clock:
    """Seconds since the epoch; files carry the real time, so only the distance to it counts."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


def store_at(path, clock=None, disk=None, **settings):
    config = FeatureStoreConfig(path, **{"durability": "relaxed", **settings})
    return SimpleFeatureStore(config, wall_clock=clock or Clock(), disk=disk)


def numbers(path):
    return sorted(int(p.name) for p in (path / "g/log").iterdir())


def data(path):
    return list((path / "g/data").glob("*/*"))


def test_the_newest_commits_and_the_young_ones_are_kept(tmp_path):
    clock = Clock()
    store = store_at(tmp_path, clock, keep_versions=3, grace_seconds=600)
    for value in range(20):
        store.save_features("g", {"f": frame(value)})
    assert store.collect().commits == 0, "all are young"
    clock.ahead = 601
    removed = store.collect()
    assert (removed.commits, removed.files) == (17, 17)
    assert removed.bytes > 0
    assert numbers(tmp_path) == [18, 19, 20]
    assert len(data(tmp_path)) == 3
    assert store.get_features(["f"], "g", version=18)["f"]["value"].tolist() == [17.0]


def test_a_file_stays_as_long_as_a_kept_commit_names_it(tmp_path):
    store = store_at(tmp_path, keep_versions=2, grace_seconds=0)
    store.save_features("g", {"old": frame(7), "f": frame(0)})
    for value in range(10):
        store.save_features("g", {"f": frame(value)})
    store.collect()
    assert store.get_features(["old"], "g")["old"]["value"].tolist() == [7.0]
    assert len(data(tmp_path)) == 3


def test_thousands_of_saves_leave_few_files_without_anybody_asking(tmp_path):
    store = store_at(tmp_path, keep_versions=4, grace_seconds=0)
    most = 0
    for value in range(1000):
        store.save_features("g", {"f": frame(value)})
        if value % 50 == 0:
            most = max(most, store.stats().files)
    assert most <= 4 * 2 * 2 + 4
    assert store.head("g") == 1000


def test_the_cost_of_collecting_does_not_grow_with_what_is_kept(tmp_path):
    class CountingDisk(Disk):
        calls = 0

        def names(self, path):
            CountingDisk.calls += 1
            return super().names(path)

    store = store_at(tmp_path, disk=CountingDisk(durable=False), keep_versions=2, grace_seconds=10_000)
    for value in range(400):
        store.save_features("g", {"f": frame(value)})
    assert CountingDisk.calls < 400  # a collection takes a few listings; every second commit would be over 600


def test_what_a_power_cut_left_unnamed_is_swept_when_asked(tmp_path):
    store = store_at(tmp_path)
    store.save_features("g", {"f": frame(1)})
    orphan = tmp_path / "g/data/f" / ("0" * 32 + ".parquet")
    orphan.write_bytes(b"half")
    draft = tmp_path / "g/tmp" / ("1" * 32)
    draft.write_bytes(b"half")
    assert store.collect().files == 2
    assert not orphan.exists()
    assert not draft.exists()
    assert store.verify() == []


def test_nothing_is_swept_while_a_manifest_cannot_be_read(tmp_path):
    store = store_at(tmp_path)
    store.save_features("g", {"f": frame(1)})
    store.save_features("g", {"f": frame(2)})
    (tmp_path / "g/log/00000000000000000001").write_bytes(b"damaged")
    store.collect()
    assert len(data(tmp_path)) == 2


def test_only_one_collects_at_a_time(tmp_path):
    store = store_at(tmp_path, keep_versions=1, grace_seconds=0)
    store.save_features("g", {"f": frame(1)})
    with open(tmp_path / "g/collector", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for value in range(5):
            store.save_features("g", {"f": frame(value)})
        assert store.collect().commits == 0
        assert len(numbers(tmp_path)) == 6
    assert store.collect().commits == 5


def test_a_commit_is_never_built_on_what_may_be_gone(tmp_path):
    """The head is read, the horizon moves, and only then the writer goes on: it must start again."""
    store = store_at(tmp_path, keep_versions=1, grace_seconds=0)
    other = store_at(tmp_path, keep_versions=1, grace_seconds=0)
    store.save_features("g", {"f": frame(0)})
    log = store._group("g").log
    heads, stale = itertools.count(), log.head()
    real = log.head
    other.save_features("g", {"other": frame(1)})
    other.save_features("g", {"other": frame(2)})
    other.collect()
    log.head = lambda: stale if next(heads) < 2 else real()  # once for the pin, once for the base
    assert store.commit("g", {"f": frame(3)}).number == 4
    assert other.get_features(["f", "other"], "g")["other"]["value"].tolist() == [2.0]
    assert other.get_features(["f"], "g")["f"]["value"].tolist() == [3.0]

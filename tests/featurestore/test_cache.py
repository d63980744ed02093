import threading

import numpy as np
import pandas as pd
import pytest

from featurestore import FeatureCache, FeatureStoreConfig, SimpleFeatureStore
from featurestore.disk import Disk

NOTHING_NESTED: list[int] = []


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def frame(value=1.0):
    return pd.DataFrame({"value": [value, value]})


def fill(cache, key, value=1.0, size_bytes=10):
    got, _load, mine = cache.claim(key)
    assert got is None
    assert mine
    return cache.fill(key, frame(value), size_bytes, NOTHING_NESTED)


def holds(cache, key):
    got, _load, mine = cache.claim(key)
    if mine:
        cache.abandon([key])
    return got is not None


def test_an_entry_expires_at_its_age():
    clock = Clock()
    cache = FeatureCache(10, 1000, 60.0, clock)
    fill(cache, "a")
    clock.now += 59.9
    assert holds(cache, "a")
    clock.now += 0.1
    assert not holds(cache, "a")
    stats = cache.get_stats()
    assert (stats["expirations"], stats["hits"], stats["misses"], stats["size"]) == (1, 1, 2, 0)
    assert stats["hit_rate"] == pytest.approx(1 / 3)
    assert (stats["max_size"], stats["ttl_seconds"]) == (10, 60.0)


def test_the_least_recently_used_entry_goes_first():
    cache = FeatureCache(2, 1000, 60.0, Clock())
    fill(cache, "a")
    fill(cache, "b")
    assert holds(cache, "a")
    fill(cache, "c")
    assert [holds(cache, key) for key in "abc"] == [True, False, True]
    assert cache.get_stats()["evictions"] == 1


def test_bytes_are_bounded_and_what_is_larger_is_not_kept():
    cache = FeatureCache(10, 100, 60.0, Clock())
    fill(cache, "a", size_bytes=60)
    fill(cache, "b", size_bytes=60)
    assert [holds(cache, key) for key in "ab"] == [False, True]
    assert fill(cache, "huge", size_bytes=101)["value"].iloc[0] == 1
    assert not holds(cache, "huge")
    assert cache.get_stats()["bytes"] == 60
    cache.discard(["b", "b"])
    assert cache.get_stats()["bytes"] == 0


def test_the_first_reader_does_not_hold_the_cached_frame():
    cache = FeatureCache(10, 1000, 60.0, Clock())
    first = fill(cache, "a", 1.0)
    first.iloc[0, 0] = 99.0
    first["value"] += 1
    second, _, _ = cache.claim("a")
    second.iloc[1, 0] = 98.0
    third, _, _ = cache.claim("a")
    assert third["value"].tolist() == [1.0, 1.0]
    cache.clear()
    second.iloc[0, 0] = 97.0  # and stays writable when the cache has forgotten it
    assert second["value"].tolist() == [97.0, 98.0]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"c": pd.array([1, 2], "Int64")}),
        pd.DataFrame({"c": pd.to_datetime(["2020", "2021"]).tz_localize("UTC")}),
        pd.DataFrame({"c": pd.Categorical(["x", "y"])}),
        pd.DataFrame({"c": ["x", "y"]}),
        pd.DataFrame({"c": [1.0, 2.0]}, index=["p", "q"]),
    ],
)
def test_scribbling_on_a_column_is_seen_by_nobody_else(tmp_path, frame):
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, durability="relaxed"))
    store.save_features("g", {"f": frame})
    for _ in range(3):
        got = store.get_features(["f"], "g")["f"]
        pd.testing.assert_frame_equal(got, frame)
        values = got["c"].to_numpy()
        if values.flags.writeable:
            values[0] = values[1]
        got.iloc[0, 0] = got.iloc[1, 0]
        if got.index.to_numpy().flags.writeable:
            got.index.to_numpy()[0] = got.index[1]


@pytest.mark.parametrize("cells", [[[1, 2], [3]], [["a"], None], [[[1], [2]], []], [{"a": [1]}, {"a": [2]}]], ids=str)
def test_scribbling_into_a_cell_is_seen_by_nobody_else(tmp_path, cells):
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, durability="relaxed"))
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    store.save_features("g", {"f": pd.DataFrame({"c": column, "n": [1, 2]})})

    def first_cell():
        return store.get_features(["f"], "g")["f"]["c"].iloc[0]

    before = repr(first_cell())
    cell = first_cell()
    if isinstance(cell, dict):
        cell["a"][0] = 99
        cell["more"] = 1
    elif isinstance(cell[0], np.ndarray):
        cell[0][0] = 99
    else:
        with pytest.raises(ValueError, match="read-only"):
            cell[0] = cell[0] * 2
        cell = None
    assert repr(cell) != before
    assert repr(first_cell()) == before


def test_a_frame_that_many_threads_miss_is_read_once(tmp_path):
    class SlowDisk(Disk):
        opened = 0

        def open(self, path):
            if "/data/" in path:
                SlowDisk.opened += 1
                everybody.wait(timeout=10)
            return super().open(path)

    everybody = threading.Event()
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, durability="relaxed"), disk=SlowDisk())
    store.save_features("g", {"f": frame(7.0)})
    results = []
    threads = [threading.Thread(target=lambda: results.append(store.read("g", ["f"]).frames["f"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = threading.Event()
    while store.cache.get_stats()["misses"] < 8 and not deadline.wait(0.005):
        pass
    everybody.set()
    for thread in threads:
        thread.join(timeout=10)
    assert SlowDisk.opened == 1
    assert [got["value"].tolist() for got in results] == [[7.0, 7.0]] * 8
    results[0].iloc[0, 0] = 0.0
    assert results[1]["value"].tolist() == [7.0, 7.0]


def test_who_waits_for_a_load_that_fails_reads_for_himself():
    cache = FeatureCache(10, 1000, 60.0, Clock())
    _, _, mine = cache.claim("a")
    _, load, second = cache.claim("a")
    assert (mine, second) == (True, False)
    cache.abandon(["a"])
    assert load.wait(10.0) is None
    assert cache.claim("a")[2], "the next one may try again"


def test_a_read_past_its_ttl_comes_from_the_store_and_is_right(tmp_path):
    clock = Clock()
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, durability="relaxed", cache_ttl_seconds=5), clock=clock)
    store.save_features("g", {"f": frame(3.0)})
    seen = [store.read("g", ["f"]).cached, store.read("g", ["f"]).cached]
    clock.now += 5
    after = store.read("g", ["f"])
    assert [*seen, after.cached] == [False, True, False]
    assert after.frames["f"]["value"].tolist() == [3.0, 3.0]

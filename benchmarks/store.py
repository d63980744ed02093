"""Saves and reads of one frame and of six, beside pandas' own Parquet; what a commit costs; what a group's size costs.

"Cold" reads go round the store's cache (the operating system's stays warm, for both sides) and verify the file's
checksum, which pandas does not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from rounds import WARM_UP, Call, Taken, interleaved

from featurestore import FeatureStoreConfig, SimpleFeatureStore, datafile
from featurestore.disk import Disk

GROUP_SIZES = (10, 1_000, 10_000)


def numbers(rows: int, columns: int) -> pd.DataFrame:
    """Random floats, the hardest to make smaller."""
    values = np.random.default_rng(7).random((rows, columns))
    return pd.DataFrame(values, columns=[f"feature_{i}" for i in range(columns)])


def movie_like(rows: int, columns: int) -> pd.DataFrame:
    """Floats, small integers, flags and texts in turn, as features of movies are."""
    rng = np.random.default_rng(7)
    kinds: list[Callable[[], object]] = [
        lambda: rng.random(rows),
        lambda: rng.integers(1950, 2026, rows),
        lambda: rng.random(rows) < 0.1,
        lambda: [f"tier {i}" for i in rng.integers(0, 5, rows)],
    ]
    return pd.DataFrame({f"feature_{i}": kinds[i % 4]() for i in range(columns)})


def opened(folder: str, name: str, **settings: Any) -> SimpleFeatureStore:
    """Open a store that keeps eight commits, however young: collecting the others is part of the price."""
    return SimpleFeatureStore(FeatureStoreConfig(os.path.join(folder, name), grace_seconds=0, **settings))


def one_frame(folder: str, frame: pd.DataFrame, rounds: int) -> dict[str, Taken]:
    """Time a frame saved and read alone."""
    relaxed = opened(folder, "relaxed", durability="relaxed")
    durable = opened(folder, "commit", durability="commit")
    file = os.path.join(folder, "pandas.parquet")
    saved = {"f": frame}
    taken = interleaved(
        {
            "to_parquet": Call(lambda: frame.to_parquet(file)),
            "save, relaxed": Call(lambda: relaxed.save_features("g", saved)),
            "save, commit": Call(lambda: durable.save_features("g", saved)),
            "encode": Call(lambda: datafile.encode(frame, "parquet", "snappy")),
            "read_parquet": Call(lambda: pd.read_parquet(file)),
            "read, cold": Call(lambda: relaxed.read("g", ["f"], use_cache=False)),
            "fill": Call(lambda: relaxed.read("g", ["f"])),
            "read, cached": Call(lambda: relaxed.read("g", ["f"]), times=20),
            "deep copy": Call(lambda: frame.copy(deep=True), times=20),
        },
        rounds,
    )
    cold, cached = (relaxed.read("g", ["f"], use_cache=use).frames["f"] for use in (False, True))
    pd.testing.assert_frame_equal(cold, frame)
    pd.testing.assert_frame_equal(cached, cold)
    return taken


def six_frames(folder: str, rounds: int) -> dict[str, Taken]:
    """Time six small frames of mixed columns, saved as one commit and read as one snapshot."""
    frames = {f"f{i}": movie_like(500, 20 + 4 * i) for i in range(6)}
    names = list(frames)
    relaxed = opened(folder, "six relaxed", durability="relaxed")
    durable = opened(folder, "six commit", durability="commit")
    paths = [os.path.join(folder, f"{name}.parquet") for name in names]
    return interleaved(
        {
            "to_parquet": Call(lambda: [f.to_parquet(path) for f, path in zip(frames.values(), paths, strict=True)]),
            "save, relaxed": Call(lambda: relaxed.save_features("g", frames)),
            "save, commit": Call(lambda: durable.save_features("g", frames)),
            "read_parquet": Call(lambda: [pd.read_parquet(path) for path in paths]),
            "read, cold": Call(lambda: relaxed.read("g", names, use_cache=False)),
        },
        rounds,
    )


class TimedDisk(Disk):
    """Adds up the time that goes into data files: making, writing, forcing and closing them."""

    def __init__(self, *, durable: bool) -> None:
        super().__init__(durable=durable)
        self.data_ns = 0
        self._data: set[int] = set()

    def create(self, path: str) -> int:
        """As the disk does, timed where it is a data file."""
        start_ns = time.perf_counter_ns()
        fd = super().create(path)
        if "/data/" in path:
            self._data.add(fd)
            self.data_ns += time.perf_counter_ns() - start_ns
        return fd

    def write(self, fd: int, data: bytes | memoryview) -> None:
        """As the disk does."""
        self._timed(super().write, fd, data)

    def start_writing(self, fd: int) -> None:
        """As the disk does."""
        self._timed(super().start_writing, fd)

    def sync(self, fd: int) -> None:
        """As the disk does."""
        self._timed(super().sync, fd)

    def close(self, fd: int) -> None:
        """As the disk does."""
        self._timed(super().close, fd)
        self._data.discard(fd)

    def _timed(self, call: Callable[..., None], fd: int, *args: Any) -> None:
        start_ns = time.perf_counter_ns()
        call(fd, *args)
        if fd in self._data:
            self.data_ns += time.perf_counter_ns() - start_ns


def own_cost(folder: str, rounds: int, *, durable: bool, times: int = 16) -> dict[str, float]:
    """Return median seconds of one-row saves, of encoding and data file in them, and of the rest: the commit's own."""
    disk, encode, encode_ns = TimedDisk(durable=durable), datafile.encode, 0

    def timed_encode(*args: Any) -> datafile.Encoded:
        nonlocal encode_ns
        start_ns = time.perf_counter_ns()
        try:
            return encode(*args)
        finally:
            encode_ns += time.perf_counter_ns() - start_ns

    store = SimpleFeatureStore(FeatureStoreConfig(os.path.join(folder, "own"), grace_seconds=0), disk=disk)
    frame = pd.DataFrame({"value": [1.0]})
    seconds: dict[str, list[float]] = {"save": [], "encode": [], "data": [], "own": []}
    datafile.encode = timed_encode
    try:
        for _ in range(rounds + WARM_UP):
            disk.data_ns = encode_ns = 0
            start_ns = time.perf_counter_ns()
            for _ in range(times):
                store.save_features("g", {"f": frame})
            save_ns = time.perf_counter_ns() - start_ns
            parts = (save_ns, encode_ns, disk.data_ns, save_ns - encode_ns - disk.data_ns)
            for taken, spent_ns in zip(seconds.values(), parts, strict=True):
                taken.append(spent_ns / 1e9 / times)
    finally:
        datafile.encode = encode
    return {name: statistics.median(taken[WARM_UP:]) for name, taken in seconds.items()}


def write_file(path: str, data: Any, *, sync: bool) -> None:
    """Write a new file as plainly as can be."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    if sync:
        os.fsync(fd)
    os.close(fd)


def large_frames(folder: str, rounds: int, rows: int = 1_000_000, columns: int = 30) -> dict[str, Any]:
    """Return bytes and times of a frame in Arrow's format, beside one write of as many bytes from memory."""
    frame = numbers(rows, columns)
    data = bytearray(datafile.encode(frame, "arrow", "none").data)
    stores = {
        "relaxed": opened(folder, "large relaxed", durability="relaxed", format="arrow", keep_versions=1000),
        "commit": opened(folder, "large commit", durability="commit", format="arrow", keep_versions=1000),
    }
    raw = os.path.join(folder, "raw")

    def emptied(name: str) -> None:
        stores[name].drop_group("g")

    def settled() -> None:
        os.remove(raw)
        time.sleep(0.2)  # for the disk to forget what was removed

    taken = interleaved(
        {
            "raw, relaxed": Call(lambda: write_file(raw, data, sync=False), settled),
            "save, relaxed": Call(
                lambda: stores["relaxed"].save_features("g", {"f": frame}), lambda: emptied("relaxed")
            ),
            "raw, commit": Call(lambda: write_file(raw, data, sync=True), settled),
            "save, commit": Call(lambda: stores["commit"].save_features("g", {"f": frame}), lambda: emptied("commit")),
        },
        rounds,
    )
    return {"bytes": len(data), "taken": taken}


def group_sizes(folder: str, rounds: int) -> dict[str, Taken]:
    """Time a save of one small frame into groups of a few names and of many."""
    frame = numbers(100, 10)
    stores = {size: opened(folder, f"group {size}", durability="relaxed") for size in GROUP_SIZES}
    for size, store in stores.items():
        fill(store, size)
    durable = {size: opened(folder, f"group {size}", durability="commit") for size in GROUP_SIZES}
    calls = {
        f"{size:,} names, relaxed": Call(lambda store=store: store.save_features("g", {"n7": frame}), times=8)  # type: ignore[misc]
        for size, store in stores.items()
    } | {
        f"{size:,} names, commit": Call(lambda store=store: store.save_features("g", {"n7": frame}), times=8)  # type: ignore[misc]
        for size, store in durable.items()
    }
    return interleaved(calls, rounds)


def fill(store: SimpleFeatureStore, size: int) -> None:
    """Save so many features, a thousand in a commit."""
    tiny = pd.DataFrame({"value": [1.0]})
    for start in range(0, size, 1_000):
        store.save_features("g", {f"n{i}": tiny for i in range(start, min(start + 1_000, size))})


@contextlib.contextmanager
def own_folder(parent: str, name: str) -> Iterator[str]:
    """Make a folder, which goes afterwards."""
    folder = os.path.join(parent, name)
    os.makedirs(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

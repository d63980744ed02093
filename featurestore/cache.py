"""Decoded frames kept in this process, keyed by their immutable files: an entry can be old, but never wrong.

Nobody outside holds a cached frame. With pandas 3 a reader gets a shallow copy, which pandas copies on the first
write (writing into a column's `.array` goes round that, as everywhere in pandas 3); with pandas 2, and for
columns whose cells or arrays could be edited in place, it gets a deep one.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd

_COPY_ON_WRITE = int(pd.__version__.split(".", 1)[0]) >= 3


class CacheStats(TypedDict):
    """Entries held and allowed, their age limit, reads so far, bytes held, and entries dropped by reason."""

    size: int
    max_size: int
    ttl_seconds: float
    hits: int
    misses: int
    hit_rate: float
    bytes: int
    evictions: int
    expirations: int


@dataclass(frozen=True, slots=True)
class _Entry:
    frame: pd.DataFrame
    bytes: int
    nested: list[int]
    shareable: bool
    loaded_at: float

    def copy(self) -> pd.DataFrame:
        """Return a frame of the caller's own."""
        out = self.frame.copy(deep=not self.shareable)
        for position in self.nested:
            cells = np.empty(len(out), dtype=object)
            cells[:] = [_own(cell) for cell in self.frame.iloc[:, position]]
            column: Any = pd.Series(cells, index=out.index, dtype=object)
            out.isetitem(position, column)
        if not _COPY_ON_WRITE:
            out.index = _own_index(out.index)
        return out


class Load:
    """A frame that one thread is reading and others may be waiting for."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._entry: _Entry | None = None

    def wait(self, timeout_s: float) -> pd.DataFrame | None:
        """Return the frame, once it is there; None if its reader failed or takes too long."""
        self._done.wait(timeout_s)
        return self._entry.copy() if self._entry is not None else None

    def finish(self, entry: _Entry | None) -> None:
        """Wakes those who wait."""
        self._entry = entry
        self._done.set()


class FeatureCache:
    """Least recently used goes first; bounded by entries, bytes and age. Thread-safe.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, max_size: int, max_bytes: int, ttl_seconds: float, clock: Callable[[], float]) -> None:
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._loads: dict[str, Load] = {}
        self._bytes = self._hits = self._misses = self._evictions = self._expirations = 0

    def claim(self, key: str) -> tuple[pd.DataFrame | None, Load | None, bool]:
        """Return (frame, None, False) where the frame is here, otherwise (None, load, mine).

        If mine, the caller reads the frame and calls `fill` or `abandon`; if not, another thread does, and the
        caller waits for it.
        """
        with self._lock:
            entry = self._fresh(key)
            if entry is not None:
                self._hits += 1
                self._entries.move_to_end(key)
                if entry.shareable and not entry.nested:
                    return entry.copy(), None, False  # under the lock: pandas counts its sharers without one
            else:
                self._misses += 1
                load = self._loads.get(key)
                if load is not None:
                    return None, load, False
                self._loads[key] = load = Load()
                return None, load, True
        return entry.copy(), None, False

    def fill(self, key: str, frame: pd.DataFrame, size_bytes: int, nested: list[int]) -> pd.DataFrame:
        """Keep the frame, which the caller gives away, and returns a copy for the caller."""
        entry = _Entry(frame, size_bytes, nested, _is_shareable(frame), self._clock())
        with self._lock:
            load = self._loads.pop(key, None)
            self._drop(key)
            if size_bytes <= self._max_bytes:
                self._entries[key] = entry
                self._bytes += size_bytes
            while len(self._entries) > self._max_size or self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
                self._evictions += 1
            mine = entry.copy()
        if load is not None:
            load.finish(entry)
        return mine

    def abandon(self, keys: Iterable[str]) -> None:
        """Give up loading the frames claimed; whoever waits reads for itself."""
        with self._lock:
            loads = [self._loads.pop(key, None) for key in keys]
        for load in loads:
            if load is not None:
                load.finish(None)

    def discard(self, keys: Iterable[str]) -> None:
        """Forgets entries, for example those that a save replaced."""
        with self._lock:
            for key in keys:
                self._drop(key)

    def clear(self) -> None:
        """Forgets every entry."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def get_stats(self) -> CacheStats:
        """Return counts since the store was opened."""
        with self._lock:
            reads = self._hits + self._misses
            return CacheStats(
                size=len(self._entries),
                max_size=self._max_size,
                ttl_seconds=self._ttl_seconds,
                hits=self._hits,
                misses=self._misses,
                hit_rate=self._hits / reads if reads else 0.0,
                bytes=self._bytes,
                evictions=self._evictions,
                expirations=self._expirations,
            )

    def _fresh(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None or self._clock() - entry.loaded_at < self._ttl_seconds:
            return entry
        self._drop(key)
        self._expirations += 1
        return None

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.bytes


def _is_shareable(frame: pd.DataFrame) -> bool:
    """Whether copy-on-write protects every column: NumPy's, and texts, whose Arrow memory nobody can write to."""
    return _COPY_ON_WRITE and all(
        isinstance(kind, np.dtype) or (isinstance(kind, pd.StringDtype) and kind.storage == "pyarrow")
        for kind in frame.dtypes
    )


def _own_index(index: pd.Index) -> pd.Index:
    """Copy the index, values and all: pandas 2 hands out the array behind an index, even behind a counted one."""
    if isinstance(index, pd.RangeIndex):
        return pd.RangeIndex(index.start, index.stop, index.step, name=index.name)
    return index.copy(deep=True)


def _own(cell: Any) -> Any:
    if isinstance(cell, np.ndarray) and cell.dtype != object:
        return cell.copy()
    return copy.deepcopy(cell)

"""The shared table: one mmapped file, one row per lane, one writer per row.

Byte layout, little-endian, all cells 8 bytes:

    0      magic "STRESSDT"
    8      version 1
    16     rows
    24     columns of a row, padding included (a row is a multiple of 64 bytes)
    32     xxh3-64 of the column names: two builds that disagree about the layout must not share a table
    64     64 control cells, written by the daemon alone (`Control`)
    576    row 0, row 1, ...

A histogram takes `BUCKETS` columns of counts and one of the sum in nanoseconds. A cell is stored with one aligned
8-byte write (`memoryview.cast("Q")[i] = n`), so that a reader in another process never sees half of it. A row belongs
to its lane's slot for the whole run: the replacement of a dead worker goes on adding to the same cells.
"""

import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

import numpy as np
import xxhash

from stressd.metrics import LANE_METRICS, Metric
from stressd.stats.histogram import BUCKETS, Counts

MAGIC: Final = int.from_bytes(b"STRESSDT", "little")
VERSION: Final = 1
CONTROL_AT: Final = 8
CONTROL_CELLS: Final = 64
ROWS_AT: Final = CONTROL_AT + CONTROL_CELLS
_ROW_CELLS: Final = 8  # padding to a cache line: neighbours do not share one


class Control(IntEnum):
    """Cells by which the daemon steers all lanes; times are CLOCK_MONOTONIC nanoseconds, the same in all processes."""

    DRAIN = 0  # when the load ended: begin no further operation; 0: it has not
    LOAD_START_NS = 1  # when the load starts; 0: not yet
    FAULT_FROM_NS = 2  # the target raises from here ...
    FAULT_UNTIL_NS = 3  # ... to here
    SLOW_UNTIL_NS = 4  # to here, each call of the target is made longer ...
    SLOW_BY_NS = 5  # ... by this
    NO_WRITES_FROM_NS = 6  # files cannot be written from here ...
    NO_WRITES_UNTIL_NS = 7  # ... to here: saves that failed meanwhile failed on schedule


ColumnKey = tuple[str, *tuple[str, ...]]


def _layout() -> tuple[dict[ColumnKey, int], int]:
    columns: dict[ColumnKey, int] = {}
    width = 0
    for metric in LANE_METRICS:
        for values in metric.series:
            columns[metric.name, *values] = width
            width += _cells(metric)
    return columns, -(-width // _ROW_CELLS) * _ROW_CELLS


def _cells(metric: Metric) -> int:
    return BUCKETS + 1 if metric.kind == "histogram" else 1


COLUMNS, ROW_WIDTH = _layout()


def column(name: str, *values: str) -> int:
    """Return the place in a row of a lane metric's cell, or of the first bucket of a histogram."""
    return COLUMNS[name, *values]


def _fingerprint() -> int:
    return xxhash.xxh3_64_intdigest(repr((list(COLUMNS), BUCKETS)).encode())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of all rows at one moment: `cells` has the shape (rows, columns). Subtract two to get a window."""

    cells: Counts

    def __sub__(self, earlier: "Snapshot") -> "Snapshot":
        return Snapshot(self.cells - earlier.cells)

    def rows(self, rows: slice | list[int]) -> "Snapshot":
        """Return the snapshot of some lanes alone: a pool, a worker."""
        return Snapshot(self.cells[rows])

    def total(self, name: str, *values: str) -> int:
        """Return the sum over all lanes of one counter."""
        return int(self.cells[:, column(name, *values)].sum())

    def gauge(self, name: str, *values: str) -> Counts:
        """Return each lane's cell of one gauge."""
        return self.cells[:, column(name, *values)]

    def histogram(self, name: str, *values: str) -> Counts:
        """Return the bucket counts of one histogram, summed over all lanes."""
        at = column(name, *values)
        merged: Counts = self.cells[:, at : at + BUCKETS].sum(axis=0)
        return merged

    def sum_ns(self, name: str, *values: str) -> int:
        """Return the sum in nanoseconds of one histogram, over all lanes."""
        return int(self.cells[:, column(name, *values) + BUCKETS].sum())


class Table:
    """An open shared table. Rows may be written by one thread each; snapshots may be taken by anyone, any time."""

    def __init__(self, mapped: mmap.mmap, rows: int) -> None:
        self._map = mapped
        self._cells = memoryview(mapped).cast("Q")
        self.rows = rows
        self._array = np.frombuffer(mapped, dtype=np.uint64, offset=8 * ROWS_AT).reshape(rows, ROW_WIDTH)

    @classmethod
    def create(cls, path: str, rows: int) -> Self:
        """Create the file with `rows` rows of zeros. All its blocks are allocated now: a full disk fails here."""
        size = 8 * (ROWS_AT + rows * ROW_WIDTH)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            mapped = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        cells = memoryview(mapped).cast("Q")
        cells[0], cells[1], cells[2], cells[3], cells[4] = MAGIC, VERSION, rows, ROW_WIDTH, _fingerprint()
        return cls(mapped, rows)

    @classmethod
    def open(cls, path: str) -> Self:
        """Map an existing table; ValueError if it is not one of this build's layout."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            mapped = mmap.mmap(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
        magic, version, rows, width, fingerprint = memoryview(mapped).cast("Q")[:5]
        if (magic, version, width, fingerprint) != (MAGIC, VERSION, ROW_WIDTH, _fingerprint()):
            raise ValueError(f"{path}: not a table of this version of stressd")
        return cls(mapped, rows)

    def row(self, lane: int) -> memoryview:
        """Return the lane's cells, for its one writer to bind."""
        start = ROWS_AT + lane * ROW_WIDTH
        return self._cells[start : start + ROW_WIDTH]

    @property
    def control(self) -> memoryview:
        """The control cells, indexed by `Control`."""
        return self._cells[CONTROL_AT : CONTROL_AT + CONTROL_CELLS]

    def snapshot(self) -> Snapshot:
        """Copy all rows."""
        return Snapshot(self._array.copy())

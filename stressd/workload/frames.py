"""What a save holds: frames that are a pure function of (content, run seed, key, writer, sequence).

Every frame ends in four int64 stamp columns: `_key`, `_writer`, `_seq` and `_sum`, the canonical sum of its
payload under a seed that covers all of these and the frame's name. So one of another key, writer, sequence,
name or run is told at once, and any value can be made again to see what became of it. Sums and payload sizes
leave the stamps out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pandas as pd
import xxhash

from stressd import scenario
from stressd.workload.canonical import Kind, in_order
from stressd.workload.movie_tables import MovieTables, Span

STAMPS: Final = ("_key", "_writer", "_seq", "_sum")
MASK: Final = 2**64 - 1
_SIGN: Final = 2**63
_SHAPES_KEPT: Final = 4096


class Identity(NamedTuple):
    """Which frame: of which key, name, sequence and writer."""

    key: int
    name: str
    seq: int
    writer: int = 0


class Shape(NamedTuple):
    """How big one frame is: its rows, and the bytes of its payload in canonical form."""

    rows: int
    payload_bytes: int


class Size(NamedTuple):
    """How big frames are together: rows, bytes of their payload in canonical form, and its cells."""

    rows: int
    payload_bytes: int
    cells: int


class Made(NamedTuple):
    """The frames of one save, fresh, the caller's own; rows and payload bytes of all of them, and their common sum."""

    frames: dict[str, pd.DataFrame]
    rows: int
    payload_bytes: int
    total: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The payload columns of a frame with their kinds, in order; `labels` and `index` have the stamps behind them."""

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    labels: list[str] = field(init=False, repr=False, compare=False)
    index: pd.Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", [*self.columns, *STAMPS])
        object.__setattr__(self, "index", pd.Index(self.labels))


class Content(Protocol):
    """Where frames come from. One thread each: an instance may remember shapes."""

    names: tuple[str, ...]
    layouts: Mapping[str, Layout]

    def frames(self, key: int, seq: int, writer: int = 0) -> Made:
        """Make all frames of a save."""
        ...

    def frame(self, key: int, name: str, seq: int, writer: int = 0) -> pd.DataFrame:
        """Make one frame of a save."""
        ...

    def shapes(self, key: int, seq: int) -> Mapping[str, Shape]:
        """Return how big each frame of a save is, without making it."""
        ...

    def sum_seed(self, frame: Identity) -> int:
        """Return the seed of the frame's sum: 64 bits, unsigned."""
        ...


def size_of(content: Content, shapes: Mapping[str, Shape]) -> Size:
    """Return how big the frames of these shapes are together."""
    rows = payload_bytes = compared = 0
    for name, shape in shapes.items():
        rows += shape.rows
        payload_bytes += shape.payload_bytes
        compared += shape.rows * len(content.layouts[name].columns)
    return Size(rows, payload_bytes, compared)


def signed(total: int) -> int:
    """Return a 64-bit sum as the int64 that a stamp column holds."""
    return total - 2**64 if total >= _SIGN else total


class _Seeded:
    """What both contents share: seeds, random numbers by name, and the shapes of the newest saves."""

    def __init__(self, plan: scenario.Content, seed: int, source: str = "") -> None:
        self.names = plan.names
        self._rows_low, self._rows_high = plan.rows
        self._seed = xxhash.xxh3_64_intdigest(source.encode(), seed & MASK)
        self._shapes: dict[int, tuple[int, dict[str, Shape]]] = {}

    def sum_seed(self, frame: Identity) -> int:
        """Return the seed of the frame's sum."""
        key, name, seq, writer = frame
        return xxhash.xxh3_64_intdigest(f"{name}/{key}/{writer}/{seq}".encode(), self._seed)

    def _draw(self, *of: object) -> int:
        return xxhash.xxh3_64_intdigest(repr(of).encode(), self._seed)

    def _rows(self, key: int, seq: int) -> int:
        if self._rows_low == self._rows_high:
            return self._rows_low
        return self._rows_low + self._draw("rows", key, seq) % (self._rows_high - self._rows_low + 1)

    def shapes(self, key: int, seq: int) -> Mapping[str, Shape]:
        """Return how big each frame of a save is."""
        known = self._shapes.get(key)
        if known is not None and known[0] == seq:
            return known[1]
        if len(self._shapes) >= _SHAPES_KEPT:
            self._shapes.clear()
        shapes = self._all_shapes(key, seq)
        self._shapes[key] = seq, shapes
        return shapes

    def frames(self, key: int, seq: int, writer: int = 0) -> Made:
        """Make all frames of a save."""
        frames: dict[str, pd.DataFrame] = {}
        total = rows = payload_bytes = 0
        for name, shape in self.shapes(key, seq).items():
            frames[name], frame_sum = self._stamped(Identity(key, name, seq, writer), shape.rows)
            total ^= frame_sum
            rows += shape.rows
            payload_bytes += shape.payload_bytes
        return Made(frames, rows, payload_bytes, total)

    def frame(self, key: int, name: str, seq: int, writer: int = 0) -> pd.DataFrame:
        """Make one frame of a save."""
        return self._stamped(Identity(key, name, seq, writer), self._all_shapes(key, seq)[name].rows)[0]

    def _stamped(self, frame: Identity, rows: int) -> tuple[pd.DataFrame, int]:
        hasher = xxhash.xxh3_64(seed=self.sum_seed(frame))
        columns = self._payload(frame, rows, hasher)
        total = hasher.intdigest()
        for stamp, value in zip(STAMPS, (frame.key, frame.writer, frame.seq, signed(total)), strict=True):
            columns[stamp] = np.full(rows, value)
        return pd.DataFrame(columns), total  # which copies, so that the frame is its caller's own

    def _all_shapes(self, key: int, seq: int) -> dict[str, Shape]:
        raise NotImplementedError

    def _payload(self, frame: Identity, rows: int, hasher: Any) -> dict[str, Any]:
        """Return the payload columns, and feed the hasher with their canonical buffers, `in_order`."""
        raise NotImplementedError


class RandomContent(_Seeded):
    """`id` (int) and `columns` columns `c0` … of random floats in [0, 1). One thread each."""

    def __init__(self, plan: scenario.Content, seed: int) -> None:
        super().__init__(plan, seed)
        self._columns = tuple(f"c{i}" for i in range(plan.columns))
        floats: list[Kind] = ["float"]
        layout = Layout(("id", *self._columns), ("int", *floats * plan.columns))
        self.layouts: Mapping[str, Layout] = dict.fromkeys(self.names, layout)

    def _all_shapes(self, key: int, seq: int) -> dict[str, Shape]:
        rows = self._rows(key, seq)
        return dict.fromkeys(self.names, Shape(rows, 8 * rows * (1 + len(self._columns))))

    def _payload(self, frame: Identity, rows: int, hasher: Any) -> dict[str, Any]:
        # SFC64 takes half the time of Philox; each frame has a stream of its own, so no counter is needed.
        bits = np.random.SFC64(self._draw("cells", *frame))
        ids = np.arange(rows) + self._draw("id", frame.key, frame.seq) % 2**40
        block = np.random.Generator(bits).random((len(self._columns), rows))
        hasher.update(ids)
        hasher.update(block)
        return {"id": ids, **dict(zip(self._columns, block, strict=True))}


class MovieContent(_Seeded):
    """The feature groups of a run of movies, the same movies in all groups of a save. One thread each.

    A key's saves walk over all movies: each begins `stride` movies after the one before (round the end),
    where stride is prime to their number and, if there are enough movies, no two saves in succession share
    one.
    """

    def __init__(self, tables: MovieTables, plan: scenario.Content, seed: int) -> None:
        super().__init__(plan, seed, f"{tables.base.movies_sha256} {tables.base.as_of}")
        self._tables = tables
        self._movies = tables.base.movies
        self._stride = _stride(self._movies, self._rows_high)
        self.layouts: Mapping[str, Layout] = {
            name: Layout(tables.tables[name].names, tables.tables[name].kinds) for name in self.names
        }

    def _spans(self, key: int, seq: int) -> list[Span]:
        """Return the runs of movies that a save is about."""
        start = (self._draw("start", key) + seq * self._stride) % self._movies
        left = self._rows(key, seq)
        spans = []
        while left:
            stop = min(start + left, self._movies)
            spans.append((start, stop))
            left -= stop - start
            start = 0
        return spans

    def _all_shapes(self, key: int, seq: int) -> dict[str, Shape]:
        spans = self._spans(key, seq)
        shapes = {}
        for name in self.names:
            runs = self._tables.rows(name, spans)
            rows = sum(stop - start for start, stop in runs)
            shapes[name] = Shape(rows, self._tables.tables[name].payload_bytes(runs))
        return shapes

    def _payload(self, frame: Identity, rows: int, hasher: Any) -> dict[str, Any]:  # noqa: ARG002 - told by the runs
        table = self._tables.tables[frame.name]
        runs = self._tables.rows(frame.name, self._spans(frame.key, frame.seq))
        taken = [column.take(runs) for column in table.columns]
        for place in in_order(table.kinds):
            for buffer in taken[place][1]:
                hasher.update(buffer)
        return {name: values for name, (values, _) in zip(table.names, taken, strict=True)}

    def coverage(self, saves: Mapping[int, int]) -> float:
        """Return the share of all movies that were used, given how many saves each key has had."""
        used = np.zeros(self._movies, dtype=np.bool_)
        for key, count in saves.items():
            for seq in range(1, count + 1):
                for start, stop in self._spans(key, seq):
                    used[start:stop] = True
                if seq % 64 == 0 and used.all():
                    return 1.0
        return float(used.mean())


def _stride(movies: int, rows: int) -> int:
    least = max(1, min(rows, movies // 2))
    return next(stride for stride in range(least, least + movies + 1) if gcd(stride, movies) == 1)


class MovieBatches:
    """Movies for the generate operation, batch after batch, over all of them and round. One thread each."""

    def __init__(self, tables: MovieTables, size: int, start: int = 0) -> None:
        self._tables = tables
        self._size = size
        self._movies = tables.base.movies
        self._next = start % self._movies

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        return self

    def __next__(self) -> list[dict[str, Any]]:
        spans = []
        left = self._size
        while left:
            stop = min(self._next + left, self._movies)
            spans.append((self._next, stop))
            left -= stop - self._next
            self._next = stop % self._movies
        return self._tables.movies(spans)


def content_of(plan: scenario.Content, seed: int, tables: MovieTables | None) -> Content:
    """Return the content that the plan asks for; `tables` are needed for movies."""
    if plan.kind == "random":
        return RandomContent(plan, seed)
    if tables is None:
        raise ValueError("content: movies need the tables that build_base writes")
    return MovieContent(tables, plan, seed)


def names_total(sums: Sequence[int]) -> int:
    """Return the common sum of a save whose frames have these sums."""
    total = 0
    for one in sums:
        total ^= one & MASK
    return total

"""Looks at one frame that came back: whether it is a save's, unharmed, and of which; if not, what it is.

`look` and `right` are the hot path and only say yes or no. `examine` says what is wrong, by making
the frames of all saves again that it might have come from. One inspector a lane: it remembers what frames
look like.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stressd.workload.canonical import (
    Kind,
    KindMismatch,
    canonical,
    cells,
    columns_sum,
    constant_digest,
    digest,
    in_order,
    lies_as_it_is,
    sums_to,
)
from stressd.workload.columns import (
    Run,
    all_columns,
    block_dtypes,
    column_at,
    column_labels,
    dtypes,
    lying_of,
    run_values,
    runs_of,
)
from stressd.workload.frames import MASK, STAMPS, Content, Identity
from stressd.workload.scribble import holds_sentinel

WINDOW_BEFORE: Final = 8
CANDIDATES_MOST: Final = 24
_DAMAGE_OF_ONE_CELL: Final = 1

_STAMPS_FROM: Final = -len(STAMPS)
_SEQ_AT: Final = STAMPS.index("_seq")
_INT64: Final = np.dtype(np.int64)
_HOLDS: Final[dict[str, str]] = {
    "bool": "biu",
    "int": "iu",
    "float": "f",
    "instant": "M",
    "text": "OU",
    "ints": "O",
    "texts": "O",
}


class Finding(NamedTuple):
    """What one frame is. `kind` None: the unharmed frame of save `seq` of the key that was asked for."""

    kind: str | None
    seq: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Lying:
    """Where the parts of a frame lie whose columns are at `places`: payload in the order of its sum, and stamps."""

    lying: bytes
    places: list[int]
    payload: list[Run]
    kinds: list[Kind]
    stamps: list[Run]


class Looked(NamedTuple):
    """The stamp columns of one frame, a row a column, and how its columns lie; None if that is unknown."""

    stamps: NDArray[np.int64]
    lying: _Lying | None


class Inspector:
    """Inspects frames of one content. For one thread.

    `cells_ns` is the time spent on comparing cells so far, `cells_cpu_ns` the processor time of it.
    """

    def __init__(self, content: Content, writer: int = 0) -> None:
        self.cells_ns = 0
        self.cells_cpu_ns = 0
        self._content = content
        self._writer = writer
        self._layouts = dict(content.layouts)
        self._known = {
            name: (layout.index, layout.labels, list(range(len(layout.labels))))
            for name, layout in self._layouts.items()
        }
        self._fitting: dict[str, tuple[_Lying | None, list[Any]]] = {}
        self._lies: dict[str, _Lying] = {}

    # --- Hot path --------------------------------------------------------------------------------

    def look(self, frames: Mapping[str, Any]) -> list[Looked] | None:
        """Return the stamp columns of each name; None if one is not there, or has not exactly the expected columns."""
        found = []
        for name in self._content.names:
            frame: Any = frames.get(name)
            places = self._places(frame, name)
            looked = self._looked(frame, name, places) if places is not None else None
            if looked is None or not looked.stamps.shape[1]:
                return None
            found.append(looked)
        return found

    @staticmethod
    def seq_of(looked: list[Looked]) -> int:
        """Return the sequence that the first frame says it is of."""
        return int(looked[0].stamps[_SEQ_AT][0])

    def right(self, frames: Mapping[str, Any], looked: list[Looked], key: int, seq: int, full: bool) -> bool:
        """Whether frames that `look` saw are those of that save: kinds, rows and stamps; `full`: and every cell."""
        names, shapes, totals = self._content.names, self._content.shapes(key, seq), []
        for name, (stamps, lying) in zip(names, looked, strict=True):
            rows = shapes[name].rows
            if stamps.shape[1] != rows or not (full or self._kinds_fit(frames[name], name, lying)):
                return False
            total = int(stamps[-1][0])
            if digest(stamps) != constant_digest(rows, key, self._writer, seq, total):
                return False
            totals.append(total)
        return not full or self._cells_right(frames, looked, key, seq, totals)

    def _cells_right(
        self, frames: Mapping[str, Any], looked: list[Looked], key: int, seq: int, totals: list[int]
    ) -> bool:
        """Whether the payload of each frame has the sum that is stamped on it. A kind is seen by its cells."""
        started, started_cpu = time.perf_counter_ns(), time.thread_time_ns()
        try:
            for name, total, (_, lying) in zip(self._content.names, totals, looked, strict=True):
                identity = self._content.sum_seed(Identity(key, name, seq, self._writer))
                payload, kinds = self._payload(frames[name], name, lying)
                if not sums_to(payload, kinds, identity, total & MASK):
                    return False
        except KindMismatch:
            return False
        finally:
            self.cells_cpu_ns += time.thread_time_ns() - started_cpu
            self.cells_ns += time.perf_counter_ns() - started
        return True

    def _looked(self, frame: pd.DataFrame, name: str, places: list[int]) -> Looked | None:
        """Return the stamp columns as int64; None if one of them is no column of int without nulls."""
        lying = self._lying(frame, name, places)
        if lying is not None and len(lying.stamps) == 1:
            (together,) = run_values(frame, lying.stamps)
            if together.dtype == _INT64:
                return Looked(together, lying)
        try:
            each = [canonical(column_at(frame, place), "int") for place in places[_STAMPS_FROM:]]
        except KindMismatch:
            return None
        if any(nulls for _, *nulls in each):
            return None
        return Looked(np.stack([numbers for numbers, *_ in each]), lying)

    def _payload(self, frame: pd.DataFrame, name: str, lying: _Lying | None) -> tuple[list[Any], Sequence[Kind]]:
        """Return the payload as `sums_to` takes it, with the kind of each part."""
        if lying is not None:
            return run_values(frame, lying.payload), lying.kinds
        places, kinds = self._known[name][2], self._layouts[name].kinds
        order = in_order(kinds)
        return [column_at(frame, places[i]) for i in order], [kinds[i] for i in order]

    def _lying(self, frame: pd.DataFrame, name: str, places: list[int]) -> _Lying | None:
        """Return where payload and stamps lie in the frame; frames of one name mostly lie alike."""
        lying = lying_of(frame)
        if lying is None:
            return None
        known = self._lies.get(name)
        if known is None or known.lying != lying or known.places is not places:
            kinds = self._layouts[name].kinds
            order = in_order(kinds)
            ordered = [kinds[i] for i in order]
            payload = runs_of(frame, [places[i] for i in order], ordered, lies_as_it_is)
            stamps = runs_of(frame, places[_STAMPS_FROM:], ["int"] * len(STAMPS), lies_as_it_is)
            known = self._lies[name] = _Lying(
                lying, places, [run for _, run in payload], [kind for kind, _ in payload], [run for _, run in stamps]
            )
        return known

    def _places(self, frame: Any, name: str) -> list[int] | None:
        """Return where the expected columns stand in the frame; None if it does not have exactly those."""
        if not isinstance(frame, pd.DataFrame):
            return None
        columns = frame.columns
        known, known_labels, places = self._known[name]
        if columns.is_(known):
            return places
        if (have := column_labels(columns)) == known_labels:
            self._known[name] = columns, known_labels, places  # many stores hand out views of one index
            return places
        expected = self._layouts[name].labels
        if len(have) != len(expected) or set(have) != set(expected):
            return None
        found = [have.index(column) for column in expected]
        self._known[name] = columns, have, found
        return found

    def _kinds_fit(self, frame: pd.DataFrame, name: str, lying: _Lying | None) -> bool:
        """Whether the columns may be of their kinds, by their types alone; `_places` has just seen the frame."""
        found = block_dtypes(frame) if lying is not None else dtypes(frame)
        known_lying, known = self._fitting.get(name, (None, None))
        if known == found and known_lying is lying:
            return True
        each, places = dtypes(frame), self._known[name][2]
        kinds: tuple[Kind, ...] = (*self._layouts[name].kinds, "int", "int", "int", "int")
        fit = all(_may_hold(each[place], kind) for place, kind in zip(places, kinds, strict=True))
        if fit:
            self._fitting[name] = lying, found
        return fit

    # --- Off the hot path ------------------------------------------------------------------------

    def examine(self, frame: Any, name: str, key: int, seqs: Sequence[int]) -> Finding:
        """Say what a frame is that was read from `key`; `seqs` are saves it may be of, likely ones last."""
        places = self._places(frame, name)
        if places is None:
            return Finding("schema", 0, f"{name}: {self._columns_told(frame, name)}")
        frame = frame.copy(deep=True)  # one that has another owner too may change while it is looked at
        if not len(frame):
            return Finding("schema", 0, f"{name}: no rows")
        kinds: tuple[Kind, ...] = (*self._layouts[name].kinds, "int", "int", "int", "int")
        columns = [column_at(frame, place) for place in places]
        labels = self._layouts[name].index
        parts = []
        for column, kind, label in zip(columns, kinds, labels, strict=True):
            try:
                parts.append(canonical(column, kind))
            except KindMismatch as mismatch:
                return Finding("schema", 0, f"{name}.{label}: {mismatch}")
        edited = [label for (first, *_), label in zip(parts, labels, strict=True) if holds_sentinel(first)]
        if edited:
            return Finding("aliased", 0, f"{name}.{edited[0]}: another caller's edit shows up")
        stamps = [np.unique(part[0]).tolist() for part in parts[_STAMPS_FROM:]]
        if all(len(values) == 1 for values in stamps):
            stamped = [value for (value,) in stamps]
            finding = self._by_stamps(columns, name, key, stamped, max(seqs, default=0))
            if finding is not None:
                return finding
        return self._by_cells(columns, kinds, name, key, [*seqs, *stamps[2][:WINDOW_BEFORE]])

    def _columns_told(self, frame: Any, name: str) -> str:
        if not isinstance(frame, pd.DataFrame):
            return f"a {type(frame).__name__} instead of a DataFrame"
        have, expected = frame.columns.tolist(), self._layouts[name].index.tolist()
        missing = [column for column in expected if column not in have]
        extra = [column for column in have if column not in expected]
        return f"columns missing {missing}, not expected {extra}, {len(have)} instead of {len(expected)}"

    def _by_stamps(self, columns: list[Any], name: str, key: int, stamps: list[int], newest: int) -> Finding | None:
        """Judge a frame by its stamps, constant over its rows; None if its cells must be looked at."""
        own_key, writer, seq, total = stamps
        identity = self._content.sum_seed(Identity(own_key, name, seq, writer))
        payload = columns[:_STAMPS_FROM]
        if columns_sum(payload, self._layouts[name].kinds, identity) == total & MASK:
            if (own_key, writer) == (key, self._writer):
                return Finding(None, seq)
            return Finding("phantom", seq, f"{name}: of key {own_key}, writer {writer}, not {key}, {self._writer}")
        rows = len(columns[0])
        if own_key == key and 0 < seq <= newest and rows != (expected := self._rows(key, name, seq)):
            return Finding("schema", seq, f"{name}: {rows} rows instead of {expected}")
        return None

    def _rows(self, key: int, name: str, seq: int) -> int:
        return self._content.shapes(key, seq)[name].rows

    def _by_cells(self, columns: list[Any], kinds: tuple[Kind, ...], name: str, key: int, seqs: list[int]) -> Finding:
        """Tell a mixture of saves from damaged cells, by making the candidates again."""
        candidates = list(dict.fromkeys(reversed([seq for seq in seqs if seq > 0])))[:CANDIDATES_MOST]
        actual = np.stack([cells(column, kind) for column, kind in zip(columns, kinds, strict=True)])
        if not candidates:
            return Finding("corrupt", 0, f"{name}: the frame of no save")
        same = np.stack([self._same(actual, kinds, name, key, seq) for seq in candidates])
        counts = same.sum(axis=(1, 2))
        best = int(counts.argmax())
        differing = actual.size - int(counts[best])
        detail = f"{name}: {differing} of {actual.size} cells differ from save {candidates[best]}"
        payload, stamps = same[:, :_STAMPS_FROM], same[:, _STAMPS_FROM:]
        rows_of_saves = all(part.all(axis=1).any(axis=0).all() for part in (payload, stamps))
        columns_of_saves = same.all(axis=2).any(axis=0).all()
        if (rows_of_saves or columns_of_saves) and differing > _DAMAGE_OF_ONE_CELL:
            way = "row" if rows_of_saves else "column"
            return Finding("torn", candidates[best], f"{detail}, each {way} is of some save")
        return Finding("corrupt", candidates[best], f"{detail}, first at {self._first(same[best], name)}")

    def _same(
        self, actual: NDArray[np.int64], kinds: tuple[Kind, ...], name: str, key: int, seq: int
    ) -> NDArray[np.bool_]:
        """Return which cells (columns × rows) are those of that save."""
        frame = self._content.frame(key, name, seq, self._writer)
        columns = zip(all_columns(frame), kinds, strict=True)
        expected = np.stack([cells(column, kind) for column, kind in columns])
        rows = min(actual.shape[1], expected.shape[1])
        same = np.zeros(actual.shape, dtype=np.bool_)
        same[:, :rows] = actual[:, :rows] == expected[:, :rows]
        return same

    def _first(self, same: NDArray[np.bool_], name: str) -> str:
        column, row = (int(places[0]) for places in np.nonzero(~same)) if not same.all() else (0, 0)
        return f"{self._layouts[name].index[column]}[{row}]"


def _may_hold(dtype: Any, kind: Kind) -> bool:
    """Whether a column of that dtype looks to be of that kind. No is not final: `examine` looks at the cells."""
    if isinstance(dtype, pd.StringDtype):
        return kind == "text"
    return getattr(dtype, "kind", "O") in _HOLDS[kind]

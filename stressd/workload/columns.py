"""A frame's columns as arrays, without paying for a Series each.

`frame[name]` costs 12 µs with pandas 3, and one read of six feature tables has 110 columns. pandas' own way
to the arrays costs under one; where a future pandas has it no longer, the public way takes its place.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from stressd.workload.canonical import Kind


def _array_by_series(frame: pd.DataFrame, place: int) -> Any:
    return frame.iloc[:, place].array


def _arrays_by_series(frame: pd.DataFrame) -> list[Any]:
    return [frame.iloc[:, place].array for place in range(frame.shape[1])]


def column_labels(columns: pd.Index) -> list[Any]:
    """Return the column labels as a list.

    `Index.equals` and `tolist` of pandas 3 lend the interpreter's lock to Arrow: what takes 4 µs alone takes 5 ms where
    another thread is busy.
    """
    if isinstance(columns.dtype, pd.StringDtype):
        texts: list[Any] = pa.array(columns.array).to_pylist()
        return texts
    return columns.tolist()


column_at: Callable[[pd.DataFrame, int], Any] = getattr(pd.DataFrame, "_get_column_array", _array_by_series)
"""Return the values of the column at a place: a numpy array or an extension array, not a copy."""

_each_column: Callable[[pd.DataFrame], Any] = getattr(pd.DataFrame, "_iter_column_arrays", _arrays_by_series)


class Run(NamedTuple):
    """Columns that lie side by side in one block of pandas', from `first` up to `end`; one column alone without."""

    block: int
    first: int
    end: int | None = None


def lying_of(frame: pd.DataFrame) -> bytes | None:
    """Return how the frame's columns lie in pandas' blocks: the same for frames that lie alike; None if unknown."""
    try:
        manager: Any = frame._mgr  # noqa: SLF001 - as above; a pandas without it is asked column by column
        lying: bytes = manager.blknos.tobytes() + manager.blklocs.tobytes()
    except AttributeError:
        return None
    return lying


def block_dtypes(frame: pd.DataFrame) -> list[Any]:
    """Return the dtypes of the frame's blocks; `lying_of` must have known."""
    return [block.values.dtype for block in frame._mgr.blocks]  # noqa: SLF001 - see `lying_of`


def runs_of(
    frame: pd.DataFrame, places: Sequence[int], kinds: Sequence[Kind], join: Callable[[Kind], bool]
) -> list[tuple[Kind, Run]]:
    """Return where the columns at these places lie, in their order, each run with its kind; `lying_of` must have known.

    Neighbours in one block become one run where they are of one kind that is to `join`.
    """
    blocks, rows = frame._mgr.blknos.tolist(), frame._mgr.blklocs.tolist()  # noqa: SLF001 - see `lying_of`
    runs: list[tuple[Kind, Run]] = []
    for place, kind in zip(places, kinds, strict=True):
        block, row = blocks[place], rows[place]
        last_kind, last = runs[-1] if runs else (None, None)
        if last is not None and (last_kind, last.block, last.end) == (kind, block, row):
            runs[-1] = kind, last._replace(end=row + 1)
        else:
            runs.append((kind, Run(block, row, row + 1 if join(kind) else None)))
    return runs


def run_values(frame: pd.DataFrame, runs: Sequence[Run]) -> list[Any]:
    """Return the values of each run, not copies: a row a column, or the one column itself."""
    blocks = frame._mgr.blocks  # noqa: SLF001 - see `lying_of`
    return [_values(blocks[block].values, first, end) for block, first, end in runs]


def _values(values: Any, first: int, end: int | None) -> Any:
    if values.ndim == 1:
        return values
    return values[first] if end is None else values[first:end]


def all_columns(frame: pd.DataFrame) -> list[Any]:
    """Return the values of all columns in the frame's order, not copies."""
    return list(_each_column(frame))


def dtypes(frame: pd.DataFrame) -> list[Any]:
    """Return the dtypes of all columns in the frame's order."""
    get_dtypes = getattr(getattr(frame, "_mgr", None), "get_dtypes", None)
    return list(get_dtypes()) if get_dtypes is not None else frame.dtypes.tolist()

"""What can go wrong with a frame: each takes a good one and gives a wrong copy, None where that cannot be done.

`old` is the same feature of an earlier save, if there is one. None of them knows what the columns mean.
"""

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

Change = Callable[[pd.DataFrame, pd.DataFrame | None, random.Random], pd.DataFrame | None]

_MANTISSA_BITS: Final = 52
_TRIES: Final = 64


def mix_rows(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:
    """Take the rows from some row on from the earlier save."""
    rows = len(frame)
    if old is None or rows < 2 or len(old) < rows or list(old.columns) != list(frame.columns):
        return None
    first = draw.randrange(1, rows)
    mixed = pd.concat([frame.iloc[:first], old.iloc[first:rows]], ignore_index=True)
    return _if_changed(mixed, frame)


def mix_columns(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:
    """Take every other column from the earlier save."""
    if old is None or len(old) != len(frame) or list(old.columns) != list(frame.columns):
        return None
    mixed = frame.copy(deep=True)
    for name in frame.columns[draw.randrange(2) :: 2]:
        mixed[name] = old[name].array.copy()
    return _if_changed(mixed, frame)


def flip_bit(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:  # noqa: ARG001
    """Turn one bit of one number the other way round."""
    columns = [name for name, dtype in frame.dtypes.items() if dtype in (np.dtype("i8"), np.dtype("f8"))]
    for _ in range(_TRIES if columns and len(frame) else 0):
        name, row = draw.choice(columns), draw.randrange(len(frame))
        values = frame[name].to_numpy(copy=True)
        if values.dtype.kind == "f" and not (np.isfinite(values[row]) and values[row]):
            continue  # a null stays null, and the sign of zero is nobody's business
        bits = values.view(np.uint64)
        bits[row] ^= np.uint64(1 << draw.randrange(_MANTISSA_BITS))
        return _with(frame, name, values)
    return None


def drop_column(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:  # noqa: ARG001
    """Leave a column out."""
    if frame.shape[1] < 2:
        return None
    return frame.drop(columns=draw.choice(list(frame.columns)))


def retype_column(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:  # noqa: ARG001
    """Give a column of numbers out as text."""
    columns = [name for name, dtype in frame.dtypes.items() if getattr(dtype, "kind", "O") in "if"]
    if not columns or not len(frame):
        return None
    name = draw.choice(columns)
    return _with(frame, name, frame[name].astype(str))


def lose_rows(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:  # noqa: ARG001
    """Leave the last rows out."""
    if len(frame) < 2:
        return None
    return frame.iloc[: draw.randrange(1, len(frame))].copy(deep=True)


def reorder_rows(frame: pd.DataFrame, old: pd.DataFrame | None, draw: random.Random) -> pd.DataFrame | None:  # noqa: ARG001
    """Give the rows out in another order."""
    order = list(range(len(frame)))
    draw.shuffle(order)
    return _if_changed(frame.iloc[order].reset_index(drop=True), frame)


def _with(frame: pd.DataFrame, name: Any, values: Any) -> pd.DataFrame:
    changed = frame.copy(deep=True)
    changed[name] = values
    return changed


def _if_changed(changed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame | None:
    return None if changed.equals(frame.reset_index(drop=True)) else changed


CHANGES: Final[dict[str, Change]] = {
    change.__name__: change
    for change in (mix_rows, mix_columns, flip_bit, drop_column, retype_column, lose_rows, reorder_rows)
}

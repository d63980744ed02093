"""Checks that a column of Python objects comes back from Arrow with the values that went in.

Arrow guesses one type for the column. Mostly it is right; it turns a text between bytes into bytes, though, a
set into a list, and gives every dict the keys of all the others.
"""

from __future__ import annotations

import datetime as dt
import decimal
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from featurestore.errors import InvalidFrame

_is = pa.types
_ALLOWED: tuple[tuple[Any, tuple[type, ...]], ...] = (
    (_is.is_boolean, (bool, np.bool_)),
    (_is.is_integer, (numbers.Integral,)),
    (_is.is_floating, (numbers.Real,)),
    (_is.is_decimal, (decimal.Decimal, numbers.Integral)),
    (_is.is_date, (dt.date,)),
    (_is.is_time, (dt.time,)),
    (_is.is_timestamp, (dt.datetime, np.datetime64)),
    (_is.is_duration, (dt.timedelta, np.timedelta64)),
    (_is.is_binary, (bytes, bytearray, memoryview)),
    (_is.is_large_binary, (bytes, bytearray, memoryview)),
    (_is.is_struct, (dict,)),
    (_is.is_list, (list, tuple, np.ndarray)),
    (_is.is_large_list, (list, tuple, np.ndarray)),
    (_is.is_string, (str,)),
    (_is.is_large_string, (str,)),
)


def check_cells(name: str, cells: Iterable[Any], column: Any) -> None:
    """Raise InvalidFrame if `column`, the Arrow form of these cells, would not give them back."""
    kind = column.type
    if _is.is_string(kind) or _is.is_null(kind):
        return  # Arrow takes nothing but texts for texts, and nothing for nothing
    kinds = {type(cell) for cell in cells if not _is_missing(cell)}
    allowed = next((types for test, types in _ALLOWED if test(kind)), ())
    strays = [k for k in kinds if not _is_one_of(k, allowed, kind)]
    if strays:
        raise InvalidFrame(
            f"column {name!r} holds {', '.join(sorted(k.__name__ for k in kinds))}, stored as {kind}, which would "
            f"not bring {strays[0].__name__} back; give the column one plain type"
        )
    if _is.is_nested(kind) and not is_simple_list(kind):
        for row, (cell, stored) in enumerate(zip(cells, column.to_pylist(), strict=True)):
            if not _same(cell, stored):
                raise InvalidFrame(
                    f"column {name!r}, row {row}: {cell!r:.80} would come back as {stored!r:.80}; "
                    "store it as a JSON text or as columns"
                )


def _is_one_of(python: type, allowed: tuple[type, ...], kind: Any) -> bool:
    if python is bool or issubclass(python, np.bool_):
        return bool(_is.is_boolean(kind))  # True is an Integral, and would come back as 1
    if issubclass(python, dt.datetime):
        return bool(_is.is_timestamp(kind))  # a datetime is a date, and would lose its time
    return issubclass(python, allowed)


def is_simple_list(kind: Any) -> bool:
    """Whether these are lists of numbers or texts: Arrow takes nothing else for them, and their items are immutable."""
    if not (_is.is_list(kind) or _is.is_large_list(kind)):
        return False
    value = kind.value_type
    return bool(_is.is_integer(value) or _is.is_floating(value) or _is.is_string(value) or _is.is_null(value))


def _same(cell: Any, stored: Any) -> bool:
    if isinstance(cell, dict):
        return (
            isinstance(stored, dict)
            and cell.keys() == stored.keys()
            and all(_same(value, stored[key]) for key, value in cell.items())
        )
    if isinstance(cell, (list, tuple, np.ndarray)):
        return (
            isinstance(stored, list)
            and len(cell) == len(stored)
            and all(_same(one, other) for one, other in zip(cell, stored, strict=True))
        )
    if _is_missing(cell):
        return stored is None
    return type(cell) is not bool and bool(cell == stored) if type(stored) is not bool else cell is stored


def _is_missing(cell: Any) -> bool:
    return (
        cell is None
        or cell is pd.NA
        or cell is pd.NaT
        or (isinstance(cell, (float, np.floating)) and bool(np.isnan(cell)))
    )

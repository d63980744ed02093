"""Arrow tables straight into the blocks of a DataFrame, where every column is of a plain kind.

Arrow's own conversion looks at everything anew for each table, which is most of a small read and half of a large
one. Here it does so once for each schema; what it made then shows where the columns go. Every number is copied
once, into memory that is the frame's own.

Needs pandas 3; with an older one nothing is known, and Arrow does it all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_from_blocks: Any = getattr(getattr(pd.api, "internals", None), "create_dataframe_from_blocks", None)
_PANDAS_KEY = b"pandas"
_PLAIN_KINDS = "fiubM"  # floats, integers, flags, times without a zone
_LAYOUTS_AT_MOST = 512


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the columns of one schema go: numbers of one dtype into one block, texts each into its own."""

    types: list[Any]
    labels: pd.Index
    numbers: list[tuple[np.dtype[Any], np.ndarray[Any, Any]]]
    texts: list[tuple[Any, np.ndarray[Any, Any]]]


_layouts: dict[bytes, _Layout | None] = {}


def restore(table: Any) -> tuple[pd.DataFrame, int] | None:
    """Return the frame in this table and its bytes; None where Arrow has to convert it. Thread-safe."""
    layout = _layouts.get(_key(table))
    if layout is None or table.schema.types != layout.types or table.num_rows == 0:
        return None
    columns, size = table.columns, 0
    blocks: list[tuple[Any, np.ndarray[Any, Any]]] = []
    for dtype, positions in layout.numbers:
        block = np.empty((len(positions), table.num_rows), dtype)
        for row, position in enumerate(positions):
            values = _numbers(columns[position], dtype)
            if values is None:
                return None
            block[row] = values
        blocks.append((block, positions))
        size += block.nbytes
    for text, positions in layout.texts:
        column = columns[positions[0]]
        blocks.append((text.__from_arrow__(column), positions))
        size += column.nbytes
    return _from_blocks(blocks, index=pd.RangeIndex(table.num_rows), columns=layout.labels.view()), size


def learn(table: Any, frame: pd.DataFrame) -> None:
    """Take note of how Arrow converted this table, whose frame nobody has changed yet."""
    if len(_layouts) >= _LAYOUTS_AT_MOST:
        _layouts.clear()
    _layouts[_key(table)] = _layout(table, frame) if _is_plain(table, frame) else None


def _key(table: Any) -> bytes:
    """Return what pandas noted beside the table: labels, dtypes and index."""
    noted: bytes = (table.schema.metadata or {}).get(_PANDAS_KEY, b"")
    return noted


def _is_plain(table: Any, frame: pd.DataFrame) -> bool:
    metadata = table.schema.metadata or {}
    return (
        _from_blocks is not None
        and list(metadata) == [_PANDAS_KEY]
        and json.loads(metadata[_PANDAS_KEY])["index_columns"] == []
        and type(frame.columns) is pd.Index
        and type(frame.index) is pd.RangeIndex
        and frame.shape == (table.num_rows, table.num_columns)
        and all(map(_is_plain_column, table.schema.types, frame.dtypes))
    )


def _is_plain_column(kind: Any, dtype: Any) -> bool:
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "pyarrow" and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return isinstance(dtype, np.dtype) and dtype.kind in _PLAIN_KINDS and kind.to_pandas_dtype() == dtype


def _layout(table: Any, frame: pd.DataFrame) -> _Layout:
    numbers: dict[np.dtype[Any], list[int]] = {}
    texts = []
    for position, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, np.dtype):
            numbers.setdefault(dtype, []).append(position)
        else:
            texts.append((dtype, _positions([position])))
    by_dtype = [(dtype, _positions(positions)) for dtype, positions in numbers.items()]
    return _Layout(table.schema.types, frame.columns.view(), by_dtype, texts)


def _positions(positions: Iterable[int]) -> np.ndarray[Any, Any]:
    return np.array(positions, dtype=np.intp)


def _numbers(column: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """Return the column's values; None where they are not all of this dtype, as where an integer is missing."""
    if column.num_chunks != 1 or (column.null_count and dtype.kind not in "fM"):
        return None
    values: np.ndarray[Any, Any] = column.chunk(0).to_numpy(zero_copy_only=False)
    return values if values.dtype == dtype else None

"""DataFrames to Arrow tables and back, so that what goes in comes out.

Arrow's own conversion loses some things silently (a column of Python objects comes back as numbers, categories
of numbers lose their type, seconds become milliseconds); they are written beside the table, under the schema's
metadata key `featurestore`, and put right on the way back. What cannot be put right is refused.

One thing is not kept: in a column of Python objects None and NaN both mean "missing" and come back as one of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from featurestore.cells import check_cells, is_simple_list
from featurestore.errors import InvalidFrame

_OWN_KEY = b"featurestore"
_PANDAS_KEY = b"pandas"
_COLUMN_READER = "_get_column_array"  # pandas' own; a Series per column costs more than everything else here
_PLANS_AT_MOST = 512
_SAMPLE_ROWS = 256
_DICTIONARY_ROWS = 64

type_errors = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    TypeError,
    ValueError,
    OverflowError,
)


@dataclass(slots=True)
class Converted:
    """An Arrow table, and the columns that a dictionary makes smaller.

    `needs_proof`: labels or index are unusual, and only reading it back can tell that nothing was lost.
    """

    table: Any
    dictionary_columns: list[str]
    needs_proof: bool = False


@dataclass(slots=True)
class _Plan:
    """What converting one shape (labels and dtypes) of frame taught us; building it costs ten times its use."""

    schema: Any
    complete: Any  # the same schema where no cell is missing: Parquet then need not say so of each
    dictionary_columns: list[str] | None  # None until a frame was large enough to tell


_plans: dict[tuple[Any, ...], _Plan] = {}


def to_table(frame: pd.DataFrame, *, nan_is_missing: bool = True) -> Converted:
    """Return the frame as a table. Raises InvalidFrame where it could not come back the same. Thread-safe.

    `nan_is_missing`: whether other readers of the file find NaN in plain floats as a missing value, or as NaN.
    """
    try:
        return _convert(frame, nan_is_missing)
    except type_errors as error:
        if isinstance(error, InvalidFrame):
            raise
        raise InvalidFrame(_one_line(error)) from error


def _convert(frame: pd.DataFrame, nan_is_missing: bool) -> Converted:
    values = _column_values(frame)
    key = _shape(frame, values)
    converted = _by_plan(values, key, nan_is_missing)
    if converted is None:
        converted = _by_pandas(frame, key)  # which makes a plan where it can: all files of a shape are then alike
        converted = _by_plan(values, key, nan_is_missing) or converted
    return converted


def to_frame(table: Any, *, use_threads: bool) -> pd.DataFrame:
    """Return the frame that was converted to this table; its memory is its own and writable.

    All but the cells of a list column: these are read-only arrays, so that readers can share them. A copy of each of
    thousands of lists would make up most of a read from the cache.
    """
    frame: pd.DataFrame = table.to_pandas(use_threads=use_threads, integer_object_nulls=True)
    for position in _columns_of(table, is_simple_list):
        for cell in frame.iloc[:, position]:
            if isinstance(cell, np.ndarray):
                cell.flags.writeable = False
    own = (table.schema.metadata or {}).get(_OWN_KEY)
    return _put_right(frame, table, json.loads(own)) if own else frame


def nested_columns(table: Any) -> list[int]:
    """Positions of columns whose cells are mutable objects (dicts, lists of lists)."""
    return _columns_of(table, lambda kind: pa.types.is_nested(kind) and not is_simple_list(kind))


def _columns_of(table: Any, test: Callable[[Any], bool]) -> list[int]:
    return [position for position, kind in enumerate(table.schema.types) if test(kind)]


def same_labels(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether index and column labels are equal in values, kinds and names."""
    pairs = ((one.index, other.index), (one.columns, other.columns))
    return all(_same_index(a, b) for a, b in pairs)


def _same_index(one: pd.Index, other: pd.Index) -> bool:
    if isinstance(one, pd.MultiIndex) and isinstance(other, pd.MultiIndex):
        kinds = one.dtypes.tolist() == other.dtypes.tolist()
    else:
        texts = {one.inferred_type, other.inferred_type} == {"string"}
        kinds = texts or one.dtype == other.dtype or len(one) == len(other) == 0
    values = list(map(type, one.names)) == list(map(type, other.names)) and one.names == other.names
    return bool(kinds and values and one.equals(other))


def _shape(frame: pd.DataFrame, values: list[Any]) -> tuple[Any, ...] | None:
    """Return what a plan depends on, None where the frame needs a look of its own."""
    index, columns = frame.index, frame.columns
    if frame.attrs or columns.nlevels > 1 or columns.name is not None or len(columns) == 0:
        return None
    if type(index) is not pd.RangeIndex or index.start != 0 or index.step != 1 or index.name is not None:
        return None
    kinds = [column.dtype for column in values]
    if any(type(kind) is pd.CategoricalDtype for kind in kinds):
        return None
    return (*columns.tolist(), *kinds)


def _by_plan(values: list[Any], key: tuple[Any, ...] | None, nan_is_missing: bool) -> Converted | None:
    """By the plan, or None where there is none, or the cells of an object column are of another kind this time."""
    plan = _plans.get(key) if key is not None else None
    if plan is None:
        return None
    arrays = []
    for field, column in zip(plan.schema, values, strict=True):
        if column.dtype == object:
            array = pa.array(column, from_pandas=True)
            if array.type != field.type:
                return None
            check_cells(field.name, column, array)
        else:
            array = pa.array(column, type=field.type, from_pandas=_may_miss(column, nan_is_missing))
        arrays.append(array)
    missing = any(array.null_count for array in arrays)
    table = pa.Table.from_arrays(arrays, schema=plan.schema if missing else plan.complete)
    if plan.dictionary_columns is None and table.num_rows >= _DICTIONARY_ROWS:
        plan.dictionary_columns = _worth_a_dictionary(table)
    return Converted(table, plan.dictionary_columns or [])


def _may_miss(column: Any, nan_is_missing: bool) -> bool:
    """Whether Arrow has to look for missing values: in floats NumPy does it ten times as fast."""
    if not isinstance(column, np.ndarray) or column.dtype.kind != "f" or len(column) == 0:
        return True
    return nan_is_missing and bool(np.isnan(column.min()))


def _by_pandas(frame: pd.DataFrame, key: tuple[Any, ...] | None) -> Converted:
    _refuse_ambiguous(frame)
    own: dict[str, Any] = {}
    plain, categories = _without_categories(frame, own)
    table = pa.Table.from_pandas(plain, nthreads=1)
    for position, array in categories.items():
        table = table.set_column(position, table.field(position).name, array)
    _note_kinds(plain, table, own)
    dictionary = _worth_a_dictionary(table) if table.num_rows >= _DICTIONARY_ROWS else None
    proof = not _has_usual_labels(frame)
    if own:
        table = _with_metadata(table, _OWN_KEY, json.dumps(own).encode())
    if key is not None and not categories and not proof and table.num_columns == len(frame.columns):
        table = _independent_of_rows(table)
        if len(_plans) >= _PLANS_AT_MOST:
            _plans.clear()
        _plans[key] = _Plan(table.schema, _complete(table.schema), dictionary)
    return Converted(table, dictionary or [], proof)


def _refuse_ambiguous(frame: pd.DataFrame) -> None:
    labels, names = frame.columns, [*frame.index.names, *frame.columns.names]
    if labels.nlevels == 1 and labels.inferred_type.startswith("mixed"):
        raise InvalidFrame(f"column names {list(labels)[:5]} are of several types; use texts")
    if not all(name is None or isinstance(name, str) for name in names):
        raise InvalidFrame(f"index or column levels are named {names}; use texts")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise InvalidFrame(f"columns {twice[:5]} appear more than once; rename them")
    if len(frame.columns) == 0 and len(frame) > 0:
        raise InvalidFrame(f"{len(frame)} rows and no column; there is nothing to store")


def _without_categories(frame: pd.DataFrame, own: dict[str, Any]) -> tuple[pd.DataFrame, dict[int, Any]]:
    """Return the frame with codes for categories, and the columns of plain values to store in their place.

    Other readers of the file see the values; the categories, in their order and used or not, go beside them.
    """
    positions = [i for i, kind in enumerate(frame.dtypes) if isinstance(kind, pd.CategoricalDtype)]
    if not positions:
        return frame, {}
    plain = frame.copy(deep=False)
    arrays = {}
    for position in positions:
        values = frame.iloc[:, position].array
        plain.isetitem(position, values.codes)
        known = pa.Table.from_pandas(pd.DataFrame({"c": values.categories}), nthreads=1)
        codes = pa.array(values.codes, mask=values.codes < 0)
        arrays[position] = known.column(0).combine_chunks().take(codes)
        entry = {"ordered": bool(values.ordered), "values": _to_text(known)}
        own.setdefault("categories", {})[str(position)] = entry
    return plain, arrays


def _note_kinds(frame: pd.DataFrame, table: Any, own: dict[str, Any]) -> None:
    """Note what Arrow would not bring back, and checks columns of objects cell by cell."""
    for position, kind in enumerate(frame.dtypes):
        if kind == np.dtype(object):
            field = table.field(position)
            own.setdefault("objects", []).append(position)
            check_cells(field.name, frame.iloc[:, position].to_numpy(), table.column(position))
        elif kind.kind == "M" and getattr(kind, "unit", np.datetime_data(kind.base)[0]) == "s":
            own.setdefault("kinds", {})[str(position)] = str(kind)  # Parquet has no seconds
    if isinstance(frame.index.dtype, np.dtype) and frame.index.dtype == np.dtype(object):
        own["object_index"] = True


def _put_right(frame: pd.DataFrame, table: Any, own: dict[str, Any]) -> pd.DataFrame:
    for position in own.get("objects", ()):
        if frame.dtypes.iloc[position] != np.dtype(object):
            frame.isetitem(position, _as_objects(frame.iloc[:, position], table.column(position)))
    for position, kind in own.get("kinds", {}).items():
        cells: Any = frame.iloc[:, int(position)].astype(kind)
        frame.isetitem(int(position), cells)
    for position, entry in own.get("categories", {}).items():
        known = pd.Index(_from_text(entry["values"]).to_pandas()["c"]).rename(None)
        values = frame.iloc[:, int(position)]
        restored = pd.Categorical(values, categories=known, ordered=entry["ordered"])
        frame.isetitem(int(position), restored)
    if own.get("object_index") and not isinstance(frame.index, pd.MultiIndex):
        frame.index = frame.index.astype(object)
    return frame


def _as_objects(values: pd.Series[Any], column: Any) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(column.to_numpy(zero_copy_only=False), index=values.index, dtype=object)
    return values.astype(object)


def _has_usual_labels(frame: pd.DataFrame) -> bool:
    """Labels and index that Arrow is known to bring back: texts, and rows counted, numbered or dated."""
    index = frame.index
    if index.nlevels > 1 or frame.columns.nlevels > 1:
        return False
    labels = [*frame.columns, *(name for name in (index.name, frame.columns.name) if name is not None)]
    texts = all(type(label) is str and not label.startswith("__index_level_") for label in labels)
    numbered = isinstance(index.dtype, np.dtype) and index.dtype.kind in "iuf"
    return texts and numbered


def _independent_of_rows(table: Any) -> Any:
    """Without the RangeIndex in pandas' metadata, which says nothing that the number of rows does not."""
    metadata = json.loads(table.schema.metadata[_PANDAS_KEY])
    metadata["index_columns"] = []
    return _with_metadata(table, _PANDAS_KEY, json.dumps(metadata).encode())


def _complete(schema: Any) -> Any:
    return pa.schema([field.with_nullable(False) for field in schema], schema.metadata)


def _with_metadata(table: Any, key: bytes, value: bytes) -> Any:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), key: value})


def _worth_a_dictionary(table: Any) -> list[str]:
    """Integer and text columns with few distinct values, by a look at the first rows.

    Never floats: there it costs ten times the writing and saves nothing.
    """
    return [
        field.name
        for field, column in zip(table.schema, table.columns, strict=True)
        if (pa.types.is_integer(field.type) or _is_text(field.type))
        and len(column.slice(0, _SAMPLE_ROWS).unique()) * 4 <= min(_SAMPLE_ROWS, table.num_rows)
    ]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _column_values(frame: pd.DataFrame) -> list[Any]:
    read = getattr(frame, _COLUMN_READER, None) or (lambda position: frame.iloc[:, position].array)
    return [read(position) for position in range(frame.shape[1])]


def _to_text(table: Any) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _from_text(text: str) -> Any:
    return pa.ipc.open_stream(base64.b64decode(text)).read_all()


def _one_line(error: Exception) -> str:
    parts = error.args if isinstance(error, pa.ArrowException) else (error,)
    return " ".join(str(part) for part in parts)

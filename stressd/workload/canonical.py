"""The canonical form of a column, so that two representations of one content hash the same.

A column has a kind, and its canonical form is a few contiguous buffers:

    bool      one byte a cell: 0, 1, or 2 for null
    int       int64; if there are nulls, they are 0 and one byte a cell follows that says which
    float     float64; −0.0 is 0.0, and null is the one NaN of numpy
    instant   int64 microseconds UTC, null the least int64; nanoseconds, if any, follow as int64
    text      int64 ends, in bytes; then all UTF-8 end to end; if there are nulls, they are empty and one byte a cell
              follows that says which
    ints      int64 items, after each list the least int64; a null is a list of the least but one; if there are null
              items, they are 0 and one byte an item follows that says which
    texts     int64 lengths of the lists, −1 for null; then the items, canonical

Widths, units, time zones, containers, dictionaries and offsets do not count. Another kind is a
`KindMismatch`, but for 0 and 1 in place of bool, and float in place of int where a null forces it. Functions
here have no state: any thread.
"""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

Kind = Literal["bool", "int", "float", "instant", "text", "ints", "texts"]
Buffers = tuple[Any, ...]
Ints = NDArray[np.int64]

NULL_INSTANT: Final = np.iinfo(np.int64).min
END_OF_LIST: Final = np.iinfo(np.int64).min
_NULL_LIST: Final = END_OF_LIST + 1
_NULL_BOOL: Final = 2
_NULL_LENGTH: Final = -1
_NANOSECONDS: Final = 1000
_SPREAD: Final = 0x1E3779B97F4A7C15
_ORDER: Final[tuple[Kind, ...]] = ("int", "float", "bool", "instant", "text", "ints", "texts")
_UNITS_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}


class KindMismatch(ValueError):  # noqa: N818 - an outcome of judging, not a failure of the program
    """The column is of another kind than the content that was saved."""


def canonical(values: Any, kind: Kind) -> Buffers:
    """Return the canonical buffers of a numpy, pandas or Arrow array. KindMismatch if it is of another kind."""
    if type(values) is _DATETIMES and type(values.dtype) is not _ZONED:
        values = values.to_numpy()
    if type(values) is np.ndarray:
        plain = _PLAIN.get((kind, values.dtype))
        if plain is not None and (buffers := plain(values)) is not None:
            return buffers
    try:
        return _OF_ARROW[kind](as_arrow(values))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, KindMismatch):
            raise
        raise KindMismatch(f"not of kind {kind}: {error}") from error


@lru_cache(maxsize=256)
def in_order(kinds: tuple[Kind, ...]) -> tuple[int, ...]:
    """Return the places of columns in the order in which they are summed: by kind, then as they stand.

    pandas keeps columns of one type side by side in that order: whole blocks are summed at once.
    """
    return tuple(sorted(range(len(kinds)), key=lambda place: _ORDER.index(kinds[place])))


def columns_sum(columns: Sequence[Any], kinds: Sequence[Kind], seed: int) -> int:
    """Return the 64-bit sum of the columns' canonical form under the seed (64 bits, unsigned)."""
    places = in_order(tuple(kinds))
    return _canonical_sum([columns[place] for place in places], [kinds[place] for place in places], seed)


def sums_to(parts: Sequence[Any], kinds: Sequence[Kind], seed: int, total: int) -> bool:
    """Whether `columns_sum` of the columns is `total`; all their bytes are read. KindMismatch as there.

    `parts` are columns in the order of `in_order`, or several of a kind that lies as it is, a row a column.
    Where they are of content's own types, no canonical form is made first: bytes that have the sum of the canonical
    form are in it. Only others may still be the same in another form.
    """
    return _sum_as_they_lie(parts, kinds, seed) == total or _canonical_sum(parts, kinds, seed) == total


def lies_as_it_is(kind: Kind) -> bool:
    """Whether the canonical form of a column of that kind is what numpy has in memory, most of the time."""
    return kind in _LIES_AS


def _canonical_sum(parts: Sequence[Any], kinds: Sequence[Kind], seed: int) -> int:
    hasher = xxhash.xxh3_64(seed=seed)
    for values, kind in zip(parts, kinds, strict=True):
        _add(hasher.update, values, kind)
    return hasher.intdigest()


def _sum_as_they_lie(parts: Sequence[Any], kinds: Sequence[Kind], seed: int) -> int:
    hasher = xxhash.xxh3_64(seed=seed)
    update = hasher.update
    for values, kind in zip(parts, kinds, strict=True):
        lies_as = _LIES_AS.get(kind)
        if type(values) is np.ndarray and values.dtype is lies_as and values.flags.c_contiguous:
            update(values)  # type: ignore[arg-type]  # an array is a buffer, whatever its stubs say
        elif (as_it_lies := _AS_IT_LIES.get(kind)) is not None and (buffers := as_it_lies(values)) is not None:
            for buffer in buffers:
                update(buffer)
        else:
            _add(update, values, kind)
    return hasher.intdigest()


def _instants_as_they_lie(values: Any) -> Buffers | None:
    """Return the microseconds of pandas' own column of them, which it would take 15 µs to hand out as numpy's."""
    us = getattr(values, "asi8", None) if type(values) is _DATETIMES and values.unit == "us" else None
    return (us,) if us is not None and us.flags.c_contiguous else None


def _lists_as_they_lie(values: Any) -> Buffers | None:
    """Return what `_plain_ints` does, without a look at the type of each list: other types have other bytes."""
    lists = values.tolist() if type(values) is np.ndarray else ()
    try:
        return (_END.join(lists), _END) if lists and lists[0].dtype is _INT64 else None
    except (AttributeError, TypeError, ValueError, BufferError):
        return None


def _add(update: Callable[[Any], None], values: Any, kind: Kind) -> None:
    for column in values if getattr(values, "ndim", 1) > 1 else (values,):
        for buffer in canonical(column, kind):
            update(buffer)


def digest(numbers: Ints) -> int:
    """Return a 64-bit digest of an int64 column, or of several one after the other, as they lie."""
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(numbers))  # type: ignore[arg-type]  # as above


@lru_cache(maxsize=4096)
def constant_digest(rows: int, *numbers: int) -> int:
    """Return what `digest` makes of a column of so many rows of each number, one after the other.

    Made as bytes: an array's own way to fill itself lends the interpreter's lock.
    """
    columns = [number.to_bytes(8, sys.byteorder, signed=True) * rows for number in numbers]
    return xxhash.xxh3_64_intdigest(b"".join(columns))


def cells(values: Any, kind: Kind) -> Ints:
    """Return one number for each cell, the same for the same canonical cell: to find where two columns differ. Slow."""
    if kind in ("text", "ints", "texts"):
        items = as_arrow(values).to_pylist()
        hashes = (hash(tuple(item) if isinstance(item, list) else item) for item in items)
        return np.fromiter(hashes, np.int64, len(items))
    first, *more = canonical(values, kind)
    numbers: Ints = first.view(np.int64) if first.itemsize == 8 else first.astype(np.int64)
    for extra in more:  # nulls, or nanoseconds: absent where all are 0, so 0 must change nothing
        numbers = numbers ^ (extra.astype(np.int64) * _SPREAD)
    return numbers


def as_arrow(values: Any) -> Any:
    """Return the values as one plain Arrow array: no chunks, no dictionary; NaN and the like are null."""
    if isinstance(values, np.ndarray) and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    array = values.__arrow_array__() if isinstance(values, pd.arrays.ArrowExtensionArray) else values
    if not isinstance(array, pa.Array | pa.ChunkedArray):
        array = pa.array(array, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


# --- Straight from numpy ---------------------------------------------------------------------------


def _plain_int(values: NDArray[Any]) -> Buffers:
    return (np.ascontiguousarray(values),)


def _plain_bool(values: NDArray[Any]) -> Buffers:
    return (np.ascontiguousarray(values).view(np.uint8),)


def _plain_float(values: NDArray[Any]) -> Buffers:
    clean = values + 0.0  # a new array, in which −0.0 has become 0.0
    null = clean != clean  # noqa: PLR0124 - true for NaN alone
    if null.any():
        clean[null] = np.nan
    return (clean,)


def _plain_instant(values: NDArray[Any]) -> Buffers:
    return _instants_us(np.ascontiguousarray(values).view(np.int64))


def _plain_instant_ns(values: NDArray[Any]) -> Buffers:
    return _instants_ns(np.ascontiguousarray(values).view(np.int64))


def _instants_us(us: Ints) -> Buffers:
    return (us,)


def _instants_ns(ns: Ints) -> Buffers:
    us, rest = np.divmod(ns, _NANOSECONDS)
    null = ns == NULL_INSTANT
    us[null], rest[null] = NULL_INSTANT, 0
    return (us, rest) if rest.any() else (us,)


def _plain_ints(values: NDArray[Any]) -> Buffers | None:
    """Return the buffers of a column of int64 arrays; None where a cell is anything else."""
    lists = values.tolist()
    try:
        if list(map(_DTYPE, lists)).count(_INT64) == len(lists) > 0:
            return _END.join(lists), _END
    except (AttributeError, TypeError, BufferError):
        pass
    if any(getattr(getattr(item, "dtype", None), "kind", "") in ("m", "M") for item in lists):
        raise KindMismatch("a list of times in place of ints")  # Arrow dies of some of these, and the process with it
    return None


_DATETIMES: Final = pd.arrays.DatetimeArray
_ZONED: Final = pd.DatetimeTZDtype
_INT64: Final = np.dtype(np.int64)
_END: Final = np.int64(END_OF_LIST).tobytes()
_DTYPE: Final = attrgetter("dtype")
_LIES_AS: Final[dict[Kind, Any]] = {"int": _INT64, "bool": np.dtype(np.bool_), "float": np.dtype(np.float64)}
_AS_IT_LIES: Final[dict[Kind, Callable[[Any], Buffers | None]]] = {
    "instant": _instants_as_they_lie,
    "ints": _lists_as_they_lie,
}
_PLAIN: Final[dict[tuple[Kind, Any], Callable[[NDArray[Any]], Buffers | None]]] = {
    ("int", _INT64): _plain_int,
    ("bool", np.dtype(np.bool_)): _plain_bool,
    ("float", np.dtype(np.float64)): _plain_float,
    ("instant", np.dtype("M8[us]")): _plain_instant,
    ("instant", np.dtype("M8[ns]")): _plain_instant_ns,
    ("ints", np.dtype(np.object_)): _plain_ints,
}


# --- Through Arrow: whatever else there is ---------------------------------------------------------


def _null_mask(array: Any) -> NDArray[np.uint8]:
    return np.asarray(array.is_null().cast(pa.uint8()))


def _filled(array: Any, type_: Any, filler: Any) -> NDArray[Any]:
    """Return the array as numpy's, nulls replaced."""
    filled: NDArray[Any] = np.asarray(array.cast(type_).fill_null(filler))
    return filled


def _bools(array: Any) -> Buffers:
    if not (pa.types.is_boolean(array.type) or pa.types.is_null(array.type)):
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise KindMismatch(f"{array.type} in place of bool")
        if not set(array.unique().to_pylist()) <= {0, 1, None}:
            raise KindMismatch(f"{array.type} other than 0 and 1 in place of bool")
    return (_filled(array, pa.uint8(), _NULL_BOOL),)


def _int(array: Any) -> Buffers:
    array = _nan_as_null(array)
    forced = pa.types.is_floating(array.type) and array.null_count  # a null forces int into float
    if not (pa.types.is_integer(array.type) or pa.types.is_null(array.type) or forced):
        raise KindMismatch(f"{array.type} in place of int")
    numbers = _filled(array, pa.int64(), 0)  # the cast is checked: 1.5 or 2⁶³ raise
    return (numbers, _null_mask(array)) if array.null_count else (numbers,)


def _float(array: Any) -> Buffers:
    if not (pa.types.is_floating(array.type) or pa.types.is_null(array.type)):
        raise KindMismatch(f"{array.type} in place of float")
    return _plain_float(_filled(array, pa.float64(), np.nan))


def _nan_as_null(array: Any) -> Any:
    if not pa.types.is_floating(array.type):
        return array
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)


def _instant(array: Any) -> Buffers:
    if pa.types.is_date(array.type) or pa.types.is_null(array.type):
        array = array.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(array.type):
        raise KindMismatch(f"{array.type} in place of instant")
    unit = array.type.unit
    numbers = array.cast(pa.int64())  # counts from 1970 in UTC, whatever the zone
    if unit == "ns":
        return _instants_ns(np.asarray(numbers.fill_null(NULL_INSTANT)))
    scaled = pc.multiply_checked(numbers, _UNITS_US[unit])
    return _instants_us(np.asarray(scaled.fill_null(NULL_INSTANT)))


def _text(array: Any) -> Buffers:
    if array.type != _LARGE_STRING:
        if not (pa.types.is_string(array.type) or pa.types.is_null(array.type) or _is_string_view(array.type)):
            raise KindMismatch(f"{array.type} in place of text")
        array = array.cast(_LARGE_STRING)
    if not len(array):
        return (np.zeros(0, np.int64),)
    if not array.null_count:
        return _utf8(array)
    return (*_utf8(array.fill_null("")), _null_mask(array))  # what lies under a null is nobody's business


def _utf8(array: Any) -> Buffers:
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    first, last = int(bounds[0]), int(bounds[-1])
    ends = bounds[1:] - first if first else bounds[1:]
    return ends, memoryview(data)[first:last] if data is not None else b""


def _is_string_view(type_: Any) -> bool:
    return bool(getattr(pa.types, "is_string_view", lambda _: False)(type_))


def _lists(array: Any) -> tuple[Ints, Any]:
    """Return the lists' lengths, −1 for null, and the items end to end."""
    if pa.types.is_null(array.type):
        return np.full(len(array), _NULL_LENGTH), pa.array([], pa.null())
    if not any(is_list(array.type) for is_list in _LIST_TYPES):
        raise KindMismatch(f"{array.type} in place of a list")
    return _filled(pc.list_value_length(array), pa.int64(), _NULL_LENGTH), array.flatten()


def _texts(array: Any) -> Buffers:
    lengths, items = _lists(array)
    return (lengths, *_text(items))


def _ints(array: Any) -> Buffers:
    lengths, items = _lists(array)
    numbers, *nulls = _int(items)
    null = lengths == _NULL_LENGTH
    stops = np.cumsum(np.where(null, 0, lengths))
    numbers = np.insert(numbers, stops[null], _NULL_LIST)
    return (np.insert(numbers, stops + np.cumsum(null), END_OF_LIST), *nulls)


_LARGE_STRING: Final = pa.large_string()
_LIST_TYPES: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_OF_ARROW: Final[dict[Kind, Callable[[Any], Buffers]]] = {
    "bool": _bools,
    "int": _int,
    "float": _float,
    "instant": _instant,
    "text": _text,
    "ints": _ints,
    "texts": _texts,
}

"""The canonical form of a column, so that two representations of one content hash the same.

A column has a kind, and its canonical form is a few contiguous buffers:

    bool      one byte a cell: 0, 1, or 2 for null
    int       int64; if there are nulls, they are 0 and one byte a cell follows that says which
    float     float64; −0.0 is 0.0, and null is the one NaN of numpy
    instant   int64 microseconds UTC, null the least int64; nanoseconds, if any, follow as int64
    text      int64 lengths in bytes, −1 for null; then all UTF-8 end to end
    ints      int64 lengths of the lists, −1 for null; then the items, canonical
    texts     the same with text

Widths, units, time zones, containers, dictionaries and offsets do not count. Another kind is a
`KindMismatch`, but for 0 and 1 in place of bool, and float in place of int where a null forces it. Functions
here have no state: any thread.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

Kind = Literal["bool", "int", "float", "instant", "text", "ints", "texts"]
Buffers = tuple[Any, ...]
Ints = NDArray[np.int64]

NULL_INSTANT: Final = np.iinfo(np.int64).min
_NULL_BOOL: Final = 2
_NULL_LENGTH: Final = -1
_NANOSECONDS: Final = 1000
_SPREAD: Final = 0x1E3779B97F4A7C15
_UNITS_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}


class KindMismatch(ValueError):  # noqa: N818 - an outcome of judging, not a failure of the program
    """The column is of another kind than the content that was saved."""


def canonical(values: Any, kind: Kind) -> Buffers:
    """Return the canonical buffers of a numpy, pandas or Arrow array. KindMismatch if it is of another kind."""
    if type(values) is np.ndarray:
        plain = _PLAIN.get((kind, values.dtype))
        if plain is not None:
            return plain(values)
    try:
        return _OF_ARROW[kind](as_arrow(values))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, KindMismatch):
            raise
        raise KindMismatch(f"not of kind {kind}: {error}") from error


def columns_sum(columns: Iterable[Any], kinds: Sequence[Kind], seed: int) -> int:
    """Return the 64-bit sum of the columns' canonical form, in the order given, under the seed (64 bits, unsigned)."""
    hasher = xxhash.xxh3_64(seed=seed)
    update = hasher.update
    for values, kind in zip(columns, kinds, strict=True):
        for buffer in canonical(values, kind):
            update(buffer)
    return hasher.intdigest()


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
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
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


_PLAIN: Final[dict[tuple[Kind, Any], Callable[[NDArray[Any]], Buffers]]] = {
    ("int", np.dtype(np.int64)): _plain_int,
    ("bool", np.dtype(np.bool_)): _plain_bool,
    ("float", np.dtype(np.float64)): _plain_float,
    ("instant", np.dtype("M8[us]")): _plain_instant,
    ("instant", np.dtype("M8[ns]")): _plain_instant_ns,
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
    lengths, data = _utf8(array.fill_null(""))  # what lies under a null is nobody's business
    lengths[_null_mask(array).view(np.bool_)] = _NULL_LENGTH
    return lengths, data


def _utf8(array: Any) -> tuple[Ints, Any]:
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    return np.diff(bounds), memoryview(data)[bounds[0] : bounds[-1]] if data is not None else b""


def _is_string_view(type_: Any) -> bool:
    return bool(getattr(pa.types, "is_string_view", lambda _: False)(type_))


def _lists_of(items: Callable[[Any], Buffers]) -> Callable[[Any], Buffers]:
    def lists(array: Any) -> Buffers:
        if pa.types.is_null(array.type):
            return (np.full(len(array), _NULL_LENGTH),)
        if not any(is_list(array.type) for is_list in _LIST_TYPES):
            raise KindMismatch(f"{array.type} in place of a list")
        lengths = _filled(pc.list_value_length(array), pa.int64(), _NULL_LENGTH)
        return (lengths, *items(array.flatten()))

    return lists


_LARGE_STRING: Final = pa.large_string()
_LIST_TYPES: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_OF_ARROW: Final[dict[Kind, Callable[[Any], Buffers]]] = {
    "bool": _bools,
    "int": _int,
    "float": _float,
    "instant": _instant,
    "text": _text,
    "ints": _lists_of(_int),
    "texts": _lists_of(_text),
}

"""From a list of movie dicts to clean columns, in one pass a field.

Every field is read whole: its values are pulled into a list, and where they all have the type that they
should, one call makes an array of them. Only rows that stand out are looked at one by one, so that a dirty
movie costs what it costs and no more. What is missing or broken gets the default of its `Field` and is
counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.movies.dates import CivilDates, parse_dates
from featurestore.movies.genres import LARGEST_GENRE_ID, parse_genres
from featurestore.movies.schema import FIELDS, Field
from featurestore.movies.strings import large_strings, utf8_bytes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Measures = tuple[Floats, Floats, Floats]
Movie = dict[str, Any]

_BY_NAME: Final = {field.name: field for field in FIELDS}
_TEXT_OR_NULL: Final[frozenset[type]] = frozenset({str, NoneType})
_LIST: Final = frozenset({list})
_BOOL: Final = frozenset({bool})
_TRUTHS: Final = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


class _Missing(Exception):  # noqa: N818 - a signal within this module, never seen outside
    """The value is null or empty."""


@dataclass(frozen=True, slots=True)
class MovieColumns:
    """Clean columns of equal length, a place a movie; texts are Arrow `large_string` without nulls.

    `genre_ids` holds all movies' genres end to end, `genre_counts` how many of them are each movie's.
    `missing` and `broken` count per field what got its default; `skipped` counts movies that were no mapping
    at all.
    """

    movie_id: Ints
    title: Any
    overview: Any
    original_language: Any
    release_date: CivilDates
    vote_average: Floats
    vote_count: Ints
    popularity: Floats
    adult: Bools
    genre_ids: Ints
    genre_counts: Ints
    skipped: int
    missing: dict[str, int]
    broken: dict[str, int]

    def __len__(self) -> int:
        return len(self.movie_id)


def read_columns(movies: Iterable[object]) -> MovieColumns:
    """Return the clean columns of the movies. Raises TypeError for what is no collection of movies."""
    check_movies(movies)
    everything = list(movies)
    rows = _mappings(everything)
    tally = _Tally()
    genre_ids, genre_counts = _genres(_values(rows, _BY_NAME["genre_ids"]), tally)
    return MovieColumns(
        movie_id=_numbers(rows, "movie_id", tally),
        title=_texts(rows, "title", tally),
        overview=_texts(rows, "overview", tally),
        original_language=_texts(rows, "original_language", tally),
        release_date=_dates(_values(rows, _BY_NAME["release_date"]), tally),
        vote_average=_numbers(rows, "vote_average", tally),
        vote_count=_numbers(rows, "vote_count", tally),
        popularity=_numbers(rows, "popularity", tally),
        adult=_bools(_values(rows, _BY_NAME["adult"]), tally),
        genre_ids=genre_ids,
        genre_counts=genre_counts,
        skipped=len(everything) - len(rows),
        missing=tally.counts(tally.missing),
        broken=tally.counts(tally.broken),
    )


def read_measures(movies: Iterable[object]) -> Measures:
    """Return ratings, popularity and votes of the movies alone, as `read_columns` would."""
    rows, tally = _mappings(list(movies)), _Tally()
    votes = _numbers(rows, "vote_count", tally).astype(np.float64)
    return _numbers(rows, "vote_average", tally), _numbers(rows, "popularity", tally), votes


def check_movies(movies: object) -> None:
    """Raise TypeError for what is no collection of movies."""
    if isinstance(movies, str | bytes | Mapping) or hasattr(movies, "iloc") or not isinstance(movies, Iterable):
        raise TypeError(
            f"movies: expected a list of dicts, one a movie, not {type(movies).__name__}; "
            "a DataFrame's rows are `frame.to_dict('records')`"
        )


class _Tally:
    """Counts what was missing and what was broken, by field."""

    def __init__(self) -> None:
        self.missing: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()

    def counts(self, counter: Counter[str]) -> dict[str, int]:
        return {field.name: int(counter[field.name]) for field in FIELDS}

    def repair(self, values: list[Any], rows: Sequence[int], field: Field, parse: Callable[[Any], Any]) -> list[int]:
        """Replace each row's value by what it parses to, or else the default; return the defaulted rows."""
        if len(rows) == len(values) and set(map(type, values)) == {NoneType}:
            values[:] = [field.default] * len(values)
            self.missing[field.name] += len(values)
            return list(rows)
        return [row for row in rows if not self._parsed(values, row, field, parse)]

    def _parsed(self, values: list[Any], row: int, field: Field, parse: Callable[[Any], Any]) -> bool:
        try:
            values[row] = parse(values[row])
        except _Missing:
            self.missing[field.name] += 1
        except (ValueError, OverflowError, TypeError):
            self.broken[field.name] += 1
        else:
            return True
        values[row] = field.default
        return False


def _mappings(movies: list[Any]) -> list[Movie]:
    if set(map(type, movies)) <= {dict}:
        return movies
    return [found for movie in movies if (found := _as_dict(movie)) is not None]


def _as_dict(movie: object) -> Movie | None:
    if type(movie) is dict:
        return movie
    if not isinstance(movie, Mapping):
        return None
    try:
        return dict(movie)  # a defaultdict would grow by being read
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _values(rows: list[Movie], field: Field) -> list[Any]:
    """Return one value a movie, None where there is none; the list is the caller's own."""
    found = _of_name(rows, field.name)
    for alias in field.aliases:
        kinds = set(map(type, found))
        if NoneType not in kinds:
            break
        others = _of_name(rows, alias)
        if kinds == {NoneType}:
            found = others
        else:
            found = [other if value is None else value for value, other in zip(found, others, strict=True)]
    return found


def _of_name(rows: list[Movie], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _odd_rows(values: list[Any], clean: frozenset[type]) -> list[int]:
    if set(map(type, values)) <= clean:
        return []
    return [row for row, value in enumerate(values) if type(value) not in clean]


def _is_null(value: object) -> bool:
    """None, NaN of any float type, and pandas' NA and NaT, which compare to nothing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float | np.floating) and bool(value != value)  # noqa: PLR0124 - NaN's one property


# Numbers


def _numbers(rows: list[Movie], name: str, tally: _Tally) -> Any:
    field = _BY_NAME[name]
    dtype, clean, parse = _NUMBER_READERS[field.kind]
    values = _values(rows, field)
    array: NDArray[Any]
    defaulted = tally.repair(values, _odd_rows(values, clean), field, parse)
    try:
        array = np.array(values, dtype)
    except OverflowError:
        defaulted += tally.repair(values, _huge_rows(values, field), field, _refuse)
        array = np.array(values, dtype)
    fits = (array >= field.least) & (array <= field.most)
    fits[defaulted] = True
    if not fits.all():
        outside = np.flatnonzero(~fits)
        nulls = int(np.isnan(array[outside]).sum())
        tally.missing[name] += nulls
        tally.broken[name] += len(outside) - nulls
        array[outside] = field.default
    return array


def _number(value: object) -> int | float:
    if _is_null(value):
        raise _Missing
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _number_of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _number_of_text(text: str) -> int | float:
    if not text:
        raise _Missing
    if "_" in text:  # Python's own notation, nobody's data
        raise ValueError
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if math.isnan(number):
        raise _Missing
    return number


def _whole_number(value: object) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError
    return int(number)


def _refuse(_: object) -> None:
    raise ValueError


def _huge_rows(values: list[Any], field: Field) -> list[int]:
    return [row for row, value in enumerate(values) if isinstance(value, int) and abs(value) > field.most]


_NUMBER_READERS: Final[dict[str, tuple[type, frozenset[type], Callable[[Any], Any]]]] = {
    "int": (np.int64, frozenset({int}), _whole_number),
    "float": (np.float64, frozenset({int, float}), _number),
}


# Texts and dates


def _texts(rows: list[Movie], name: str, tally: _Tally) -> Any:
    field = _BY_NAME[name]
    return _strings(_values(rows, field), field, tally, _text)


def _strings(values: list[Any], field: Field, tally: _Tally, parse: Callable[[Any], str]) -> Any:
    """Return the values as Arrow strings, "" where missing or broken; an empty text counts as missing."""
    defaulted = tally.repair(values, _odd_rows(values, _TEXT_OR_NULL), field, parse)
    try:
        texts = large_strings(values)
    except UnicodeEncodeError:
        lone = [row for row, value in enumerate(values) if value is not None and not _is_encodable(value)]
        defaulted += tally.repair(values, lone, field, _refuse)
        texts = large_strings(values)
    texts = texts.fill_null("") if texts.null_count else texts
    empty = len(values) - int(np.count_nonzero(np.diff(utf8_bytes(texts)[0])))
    tally.missing[field.name] += empty - len(defaulted)
    return texts


def _text(value: object) -> str:
    if _is_null(value):
        raise _Missing
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _dates(values: list[Any], tally: _Tally) -> CivilDates:
    field = _BY_NAME["release_date"]
    texts = _strings(values, field, tally, _date_text)
    dates = parse_dates(texts)
    odd = np.flatnonzero(~dates.known & (np.diff(utf8_bytes(texts)[0]) > 0))
    if len(odd):
        others = texts.take(pa.array(odd)).to_pylist()
        tally.repair(others, range(len(others)), field, _date_of_timestamp)
        dates.put(odd, parse_dates(large_strings(others).fill_null("")))
    return dates


def _date_text(value: object) -> str:
    if _is_null(value):
        raise _Missing
    if isinstance(value, np.datetime64):
        return "" if np.isnat(value) else str(value.astype("datetime64[D]"))
    if isinstance(value, datetime):
        value = value.date()
    return value.isoformat() if isinstance(value, date) else _text(value)


def _date_of_timestamp(text: str) -> str:
    """Take the date of an ISO timestamp; the time is of no matter, but has to be one."""
    if text[10:11] not in {"T", " "}:
        raise ValueError
    return datetime.fromisoformat(text).date().isoformat()


# Truths and genres


def _bools(values: list[Any], tally: _Tally) -> Bools:
    tally.repair(values, _odd_rows(values, _BOOL), _BY_NAME["adult"], _truth)
    return np.array(values, np.bool_)


def _truth(value: object) -> bool:
    if _is_null(value) or (isinstance(value, str) and not value.strip()):
        raise _Missing
    if not isinstance(value, str | int | float | np.generic):
        raise TypeError
    text = str(value).strip().lower()
    if text not in _TRUTHS:
        raise ValueError
    return _TRUTHS[text]


def _genres(values: list[Any], tally: _Tally) -> tuple[Ints, Ints]:
    _repair_genres(values, _odd_rows(values, _LIST), tally)
    ids = _flat_genres(values)
    if ids is None:
        _repair_genres(values, [row for row, found in enumerate(values) if _flat_genres([found]) is None], tally)
        ids = np.array(list(chain.from_iterable(values)), np.int64)
    return ids, np.fromiter(map(len, values), np.int64, len(values))


def _flat_genres(lists: list[list[Any]]) -> Ints | None:
    """Return all ids end to end, or None where any is not an id."""
    flat = list(chain.from_iterable(lists))
    if not set(map(type, flat)) <= {int}:
        return None
    try:
        ids = np.array(flat, np.int64)
    except OverflowError:
        return None
    return None if len(ids) and (ids.min() < 0 or ids.max() >= LARGEST_GENRE_ID) else ids


def _repair_genres(values: list[Any], rows: Iterable[int], tally: _Tally) -> None:
    """Replace each row's genres by those that are understood, be it all of them, some or none."""
    cells: dict[str, tuple[list[int], bool]] = {}  # the same few hundred combinations make up any catalogue
    for row in rows:
        value = values[row]
        if _is_null(value) or (isinstance(value, str) and not value.strip()):
            tally.missing["genre_ids"] += 1
            values[row] = []
            continue
        if isinstance(value, str):
            values[row], whole = cells.get(value) or cells.setdefault(value, parse_genres(value))
        else:
            values[row], whole = parse_genres(value)
        tally.broken["genre_ids"] += not whole

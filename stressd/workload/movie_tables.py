"""The features of all movies, computed once by the daemon, as Arrow files that all workers map.

A folder holds `<group>.arrow` for each of the six feature groups, `movies.arrow` with the movies themselves
as JSON, and `content.json`, which is written last and says of which movies and day all this is, with the
checksum of every file. Booleans are stored a byte each, so that a slice is the numpy array; floats are
canonical (no −0.0, one NaN), so that a slice can be hashed as it lies. Mapped memory is read-only and shared;
slices are views of it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from featurestore.movies import FEATURE_GROUPS, AdvancedTMDBPreProcessor
from stressd.workload.canonical import END_OF_LIST, Kind, as_arrow

FORMAT: Final = 1
DESCRIPTION: Final = "content.json"
MOVIES: Final = "movies"
ROWS_MOST: Final = 50
"""Most rows that a movie has in `augmented`; how many it has is its popularity / 10, at least one."""

_LARGE_INTS: Final = pa.large_list(pa.int64())
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Base:
    """What `content.json` says: of which movies and which day the features are."""

    movies_sha256: str
    as_of: str
    movies: int
    format: int = FORMAT


def build_base(movies: Sequence[object], as_of: date, path: str) -> Base:
    """Write the features of all movies into the folder, unless exactly they are there already.

    What is no mapping is left out. ValueError if nothing is left. To be called in one process, before others
    map the folder.
    """
    kept = [dict(movie) for movie in movies if isinstance(movie, Mapping)]
    if not kept:
        raise ValueError("movies: there is none to make features of")
    lines = [json.dumps(movie, ensure_ascii=False, default=_plain) for movie in kept]
    digest = hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
    base = Base(digest, as_of.isoformat(), len(kept))
    if not _is_there(base, path):
        _write(base, kept, lines, as_of, path)
    return base


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _is_there(base: Base, path: str) -> bool:
    try:
        with open(os.path.join(path, DESCRIPTION), encoding="utf-8") as file:
            described = json.load(file)
        files = described.pop("files")
        return bool(described == asdict(base) and all(_checksum(path, name) == files[name] for name in files))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _checksum(path: str, name: str) -> str:
    with open(os.path.join(path, name), "rb") as file:
        return xxhash.xxh3_64_hexdigest(file.read())


def _write(base: Base, movies: list[dict[str, Any]], lines: list[str], as_of: date, path: str) -> None:
    os.makedirs(path, exist_ok=True)
    description = os.path.join(path, DESCRIPTION)
    if os.path.exists(description):
        os.unlink(description)  # from here on the folder describes nothing
    features = AdvancedTMDBPreProcessor(movies, as_of=as_of).extract_all_features()
    tables = {name: _table(pd.DataFrame(features[name])) for name in FEATURE_GROUPS}
    tables[MOVIES] = pa.table(
        {"json": pa.array([line.encode(errors="surrogatepass") for line in lines], pa.large_binary())}
    )
    _augmented_bounds(tables["basic"], tables["augmented"])  # raises if the rows of a movie could not be told
    for name, table in tables.items():
        _write_table(table, os.path.join(path, f"{name}.arrow"))
    files = {f"{name}.arrow": _checksum(path, f"{name}.arrow") for name in tables}
    with open(f"{description}.new", "w", encoding="utf-8") as file:
        json.dump({**asdict(base), "files": files}, file, indent=1)
    os.replace(f"{description}.new", description)


def _write_table(table: Any, path: str) -> None:
    fresh = f"{path}.new"  # a new file: whoever maps the old one keeps it
    with pa.OSFile(fresh, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    os.replace(fresh, path)


def _table(frame: pd.DataFrame) -> Any:
    columns = [_stored(frame[name].array) for name in frame.columns]
    fields = [
        pa.field(name, array.type, metadata={"kind": kind})
        for name, (kind, array) in zip(frame.columns, columns, strict=True)
    ]
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema(fields))


def _stored(values: Any) -> tuple[Kind, Any]:
    array = as_arrow(values)
    kind = kind_of(array.type)
    if kind == "float":
        numbers = np.asarray(array.cast(pa.float64()).fill_null(np.nan)) + 0.0
        numbers[np.isnan(numbers)] = np.nan
        return kind, pa.array(numbers)
    stored = array.cast(_STORED[kind])
    if kind != "instant" and stored.null_count:
        raise ValueError(f"a {kind} column of the movies' features holds nulls, which its kind has none of")
    return kind, stored


def kind_of(type_: Any) -> Kind:
    """Return the kind of an Arrow type. ValueError if content has no such columns."""
    for kind, fits in _KIND_TESTS.items():
        if fits(type_):
            return kind
    raise ValueError(f"{type_}: content has no columns of this type")


def _is_list(type_: Any) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


_KIND_TESTS: Final[dict[Kind, Any]] = {
    "bool": pa.types.is_boolean,
    "int": pa.types.is_integer,
    "float": pa.types.is_floating,
    "instant": pa.types.is_timestamp,
    "text": lambda type_: pa.types.is_string(type_) or pa.types.is_large_string(type_),
    "ints": lambda type_: (
        _is_list(type_) and (pa.types.is_integer(type_.value_type) or pa.types.is_null(type_.value_type))
    ),
}
_STORED: Final[dict[Kind, Any]] = {
    "bool": pa.uint8(),
    "int": pa.int64(),
    "instant": pa.timestamp("us"),
    "text": pa.large_string(),
    "ints": _LARGE_INTS,
}


# --- Mapped ----------------------------------------------------------------------------------------


class Table:
    """A mapped feature group: for runs of rows, the columns as pandas takes them and their canonical buffers."""

    def __init__(self, path: str) -> None:
        with pa.memory_map(path) as source:
            self._table = pa.ipc.open_file(source).read_all()  # views of the map, which lives as long as they do
        self.rows: int = self._table.num_rows
        self.names: tuple[str, ...] = tuple(self._table.column_names)
        self.kinds: tuple[Kind, ...] = tuple(field.metadata[b"kind"].decode() for field in self._table.schema)
        self.columns = [_COLUMN_TYPES[kind](_flat(self._table.column(i)), kind) for i, kind in enumerate(self.kinds)]

    def payload_bytes(self, spans: Iterable[Span]) -> int:
        """Return how many bytes the canonical form of the rows takes."""
        return sum(column.payload_bytes(span) for span in spans for column in self.columns)


def _flat(chunked: Any) -> Any:
    return chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()


class _Numbers:
    """Bool, int, float or instant."""

    def __init__(self, array: Any, kind: Kind) -> None:
        width = np.uint8 if kind == "bool" else np.int64
        raw = np.frombuffer(array.buffers()[1], width, len(array), array.offset * np.dtype(width).itemsize)
        if kind == "instant" and array.null_count:
            raw = np.asarray(array.cast(pa.int64()).fill_null(np.iinfo(np.int64).min))
        self._values = raw.view(_DTYPES[kind])
        self._canonical = raw

    def take(self, spans: Sequence[Span]) -> tuple[Any, tuple[Any, ...]]:
        if len(spans) == 1:
            span = slice(*spans[0])
            return self._values[span], (self._canonical[span],)
        values = np.concatenate([self._values[start:stop] for start, stop in spans])
        return values, (values.view(self._canonical.dtype),)

    def payload_bytes(self, span: Span) -> int:
        return (span[1] - span[0]) * self._canonical.itemsize


class _Text:
    def __init__(self, array: Any, _: Kind) -> None:
        self._array = array
        self._bounds = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)
        self._data = memoryview(array.buffers()[2] or b"")

    def take(self, spans: Sequence[Span]) -> tuple[Any, tuple[Any, ...]]:
        bounds = self._bounds
        slices = [self._array.slice(start, stop - start) for start, stop in spans]
        data = [self._data[bounds[start] : bounds[stop]] for start, stop in spans]
        before = list(accumulate(map(len, data[:-1]), initial=0))
        ends = [
            bounds[start + 1 : stop + 1] - (bounds[start] - base)
            for (start, stop), base in zip(spans, before, strict=True)
        ]
        texts = slices[0] if len(slices) == 1 else pa.concat_arrays(slices)
        return text_column(texts), (*ends, *data)

    def payload_bytes(self, span: Span) -> int:
        start, stop = span
        return 8 * (stop - start) + int(self._bounds[stop] - self._bounds[start])


class _IntLists:
    def __init__(self, array: Any, _: Kind) -> None:
        self._bounds = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)
        self._items = np.asarray(array.values)

    def take(self, spans: Sequence[Span]) -> tuple[Any, tuple[Any, ...]]:
        bounds = [self._bounds[start : stop + 1] for start, stop in spans]
        items = [self._items[run[0] : run[-1]] for run in bounds]
        lists = [cell for run, flat in zip(bounds, items, strict=True) for cell in _cut(flat, run - run[0])]
        ended = [np.insert(flat, run[1:] - run[0], END_OF_LIST) for run, flat in zip(bounds, items, strict=True)]
        return np.fromiter(lists, object, len(lists)), tuple(ended)

    def payload_bytes(self, span: Span) -> int:
        start, stop = span
        return 8 * (stop - start) + 8 * int(self._bounds[stop] - self._bounds[start])


def _cut(items: NDArray[np.int64], bounds: NDArray[np.int64]) -> list[list[int]]:
    flat, places = items.tolist(), bounds.tolist()
    return [flat[start:stop] for start, stop in pairwise(places)]


_DTYPES: Final[dict[Kind, str]] = {"bool": "?", "int": "i8", "float": "f8", "instant": "M8[us]"}
_COLUMN_TYPES: Final[dict[Kind, Any]] = {**dict.fromkeys(_DTYPES, _Numbers), "text": _Text, "ints": _IntLists}
_TEXT_DTYPE: Final[Any] = pd.Series(["text"]).dtype


def text_column(texts: Any) -> Any:
    """Return Arrow text as pandas' own: `str` over the same memory with pandas 3, objects before."""
    from_arrow = getattr(_TEXT_DTYPE, "__from_arrow__", None)
    return texts.to_numpy(zero_copy_only=False) if from_arrow is None else from_arrow(texts)


def _augmented_bounds(basic: Any, augmented: Any) -> NDArray[np.int64]:
    """Return where each movie's rows begin in `augmented`, and where the last end."""
    popularity = np.asarray(basic.column("popularity"))
    counts = np.clip((popularity / 10).astype(np.int64), 1, ROWS_MOST)
    expected = np.repeat(np.asarray(basic.column("movie_id")), counts)
    if not np.array_equal(expected, np.asarray(augmented.column("movie_id"))):
        raise ValueError(
            "augmented: the rows of a movie are not those that its popularity says, so they cannot be told apart"
        )
    return np.concatenate([[0], np.cumsum(counts)])


class MovieTables:
    """A folder that `build_base` wrote, mapped. Immutable; any thread. ValueError if it is none."""

    def __init__(self, path: str, groups: Iterable[str] = FEATURE_GROUPS) -> None:
        self.base = _described(path)
        self.tables = {name: Table(os.path.join(path, f"{name}.arrow")) for name in groups}
        basic, augmented = (self._raw(path, name) for name in ("basic", "augmented"))
        self._augmented_bounds = _augmented_bounds(basic, augmented).tolist()
        self._movies = _flat(self._raw(path, MOVIES).column("json"))

    @staticmethod
    def _raw(path: str, name: str) -> Any:
        with pa.memory_map(os.path.join(path, f"{name}.arrow")) as source:
            return pa.ipc.open_file(source).read_all()

    def rows(self, name: str, movies: Sequence[Span]) -> Sequence[Span]:
        """Return the runs of rows that the runs of movies have in a table."""
        if name != "augmented":
            return movies
        bounds = self._augmented_bounds
        return [(bounds[start], bounds[stop]) for start, stop in movies]

    def movies(self, spans: Iterable[Span]) -> list[dict[str, Any]]:
        """Return movies as they were loaded, the caller's own."""
        runs = [self._movies.slice(start, stop - start).to_pylist() for start, stop in spans]
        lines = b",".join(line for run in runs for line in run)
        loaded: list[dict[str, Any]] = json.loads(b"[" + lines + b"]")
        return loaded


def _described(path: str) -> Base:
    description = os.path.join(path, DESCRIPTION)
    try:
        with open(description, encoding="utf-8") as file:
            found = json.load(file)
        found.pop("files")
        base = Base(**found)
    except FileNotFoundError:
        raise ValueError(f"{path}: no {DESCRIPTION} there; the daemon has not made the content yet") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{description}: not a description of content: {error}") from error
    if base.format != FORMAT:
        raise ValueError(f"{description}: format {base.format}; this stressd reads format {FORMAT}")
    return base

"""Reading movies from CSV (TMDB's columns, the Kaggle files) and JSON Lines.

Real files are dirty. A record that is broken is skipped and counted with its reason, and costs no other; a
field that is broken in a good record is kept as it is, for the features to give it its default and count it.
Nothing is guessed: a record with too few or too many fields has shifted, so all of it is skipped.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from featurestore.movies.genres import parse_genres

Movie = dict[str, Any]

_NAMES: Final = {
    "movie_id": ("movie_id", "id"),
    "title": ("title", "original_title"),
    "overview": ("overview",),
    "original_language": ("original_language",),
    "release_date": ("release_date",),
    "vote_average": ("vote_average",),
    "vote_count": ("vote_count",),
    "popularity": ("popularity",),
    "adult": ("adult",),
    "genre_ids": ("genre_ids", "genres"),
}
"""Every field of a loaded movie, and the columns or keys that it is taken from: the first that there is."""

_TRUTHS: Final[dict[str, Any]] = {"true": True, "false": False}
_BROKEN_QUOTING: Final = "broken quoting"
_LARGEST_ID: Final = 2**53
_LEAST_TEXT_SHARE: Final = 0.9
_SAMPLE_BYTES: Final = 4096
_SHOWN_COLUMNS: Final = 12


class MoviesFileError(ValueError):
    """A file that holds no movies: missing, not readable, empty, binary, or without an id and a title."""


@dataclass(frozen=True, slots=True)
class LoadedMovies:
    """Movies from a file: `good` of them, `bad` records skipped and why (`reasons`), the file's SHA-256."""

    movies: list[Movie]
    good: int
    bad: int
    sha256: str
    path: str
    reasons: dict[str, int]


def load_movies(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a CSV or JSON Lines file of movies.

    Its ending tells which (.csv, .jsonl, .ndjson), else whether it begins with ``{``. Raises MoviesFileError
    if there is no such file or there are no movies in it.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending in {".jsonl", ".ndjson"}:
        return movies_from_jsonl(path)
    if ending == ".csv":
        return movies_from_csv(path)
    data = _contents(path)
    begins_with = data.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return _from_jsonl(path, data) if begins_with == b"{" else _from_csv(path, data)


def movies_from_csv(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a UTF-8 CSV file with a header that has an id and a title column, in any order, among any others.

    Quoting is strict: a stray quote breaks its record, and reading goes on at the line after the one where
    that record began, so that an unclosed quote cannot swallow what follows. An empty cell is None; numbers
    that are none stay text. `genres` may be JSON, a Python literal, or names or ids parted by ``|``, ``,`` or
    ``;``.
    """
    return _from_csv(path, _contents(path))


def movies_from_jsonl(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a UTF-8 file of a movie a line, each a JSON object with an id; blank lines are fine."""
    return _from_jsonl(path, _contents(path))


# CSV


class _Bad(Exception):  # noqa: N818 - a signal within this module, never seen outside
    """The record cannot be used; the message is its reason, as counted."""


def _from_csv(path: str | os.PathLike[str], data: bytes) -> LoadedMovies:
    records = _csv_records(list(io.StringIO(_text(data), newline="")))
    header = next(records, None)
    if not isinstance(header, list):
        raise MoviesFileError(
            f"{os.fspath(path)}: {header or 'no header'} in the first line; it has to name the columns"
        )
    return _loaded(path, data, _csv_movies(records, header, _places(header, path)))


def _csv_records(lines: list[str]) -> Iterator[list[str] | str]:
    """Yield each record, or the reason why there is none, going on at the line after the one where it began.

    A record over several lines that has not as many fields as the first one has an unclosed quote in it.
    """
    begin, width = 0, 0
    while begin < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(begin, len(lines))), strict=True)
        done = 0
        try:
            for record in filter(None, reader):
                width = width or len(record)
                if len(record) != width and reader.line_num > done + 1:
                    yield _BROKEN_QUOTING
                    break
                yield record
                done = reader.line_num
            else:
                return
        except csv.Error as error:
            yield "field too long" if "limit" in str(error) else _BROKEN_QUOTING
        begin += done + 1


def _places(header: list[str], path: str | os.PathLike[str]) -> dict[str, int]:
    columns = [name.strip().lower() for name in header]
    places = {}
    for field, names in _NAMES.items():
        found = [columns.index(name) for name in names if name in columns]
        if found:
            places[field] = found[0]
    for field in ("movie_id", "title"):
        if field not in places:
            shown = ", ".join(columns[:_SHOWN_COLUMNS])
            wanted = " or ".join(_NAMES[field])
            raise MoviesFileError(
                f"{os.fspath(path)}: no column {wanted} among {shown[:200]!r}; "
                "name the columns in the first line, with commas between"
            )
    return places


def _csv_movies(
    records: Iterator[list[str] | str], header: list[str], places: dict[str, int]
) -> Iterator[Movie | str]:
    genres: dict[str, Any] = {}
    for record in records:
        if isinstance(record, str):
            yield record
        elif len(record) != len(header):
            yield "too few fields" if len(record) < len(header) else "too many fields"
        else:
            cells = {field: record[place] for field, place in places.items()}
            try:
                yield _csv_movie(cells, genres)
            except _Bad as bad:
                yield str(bad)


def _csv_movie(cells: dict[str, str], genres: dict[str, Any]) -> Movie:
    _check_text(cells.values())
    if "\n" in cells["title"] or "\r" in cells["title"]:  # an unclosed quote that found another record's
        raise _Bad(_BROKEN_QUOTING)
    cell = cells.get("genre_ids", "")
    if cell not in genres:
        genres[cell] = _genre_cell(cell)
    known = genres[cell]
    return {
        "movie_id": _movie_id(cells["movie_id"]),
        "title": cells["title"] or None,
        "overview": cells.get("overview") or None,
        "original_language": cells.get("original_language") or None,
        "release_date": cells.get("release_date") or None,
        "vote_average": _number(cells.get("vote_average"), float),
        "vote_count": _number(cells.get("vote_count"), int),
        "popularity": _number(cells.get("popularity"), float),
        "adult": _TRUTHS.get(cells.get("adult", "").lower(), cells.get("adult") or None),
        "genre_ids": known.copy() if isinstance(known, list) else known,
    }


def _genre_cell(cell: str) -> list[int] | str | None:
    """Return the genres, or the cell itself where it is broken."""
    if not cell.strip():
        return None
    known, whole = parse_genres(cell)
    return known if whole else cell


def _number(cell: str | None, kind: type[int | float]) -> Any:
    if not cell:
        return None
    if "_" in cell:  # Python would read 1_000
        return cell
    try:
        return kind(cell)
    except ValueError:
        return cell


def _check_text(cells: Any) -> None:
    for cell in cells:
        if not cell.isascii() and not _is_unicode(cell):
            raise _Bad("not UTF-8")
        if "\0" in cell:
            raise _Bad("NUL byte")


def _is_unicode(text: str) -> bool:
    """Bytes that were not UTF-8 have become lone surrogates on decoding, which do not encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _movie_id(value: Any) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_ID:
        raise _Bad("id is no whole number")
    return value


# JSON Lines


def _from_jsonl(path: str | os.PathLike[str], data: bytes) -> LoadedMovies:
    return _loaded(path, data, _jsonl_movies(data))


def _jsonl_movies(data: bytes) -> Iterator[Movie | str]:
    for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n"):
        if not line.strip():
            continue
        try:
            yield _json_movie(line)
        except _Bad as bad:
            yield str(bad)


def _json_movie(line: bytes) -> Movie:
    try:
        found = json.loads(line.decode())
    except UnicodeDecodeError:
        raise _Bad("not UTF-8") from None
    except (ValueError, RecursionError):
        raise _Bad("broken JSON") from None
    if not isinstance(found, dict):
        raise _Bad("no JSON object")
    movie: Movie = {field: _first(found, names) for field, names in _NAMES.items()}
    movie["movie_id"] = _movie_id(movie["movie_id"])
    return movie


def _first(found: Movie, names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


# Both


def _contents(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise MoviesFileError(f"{name}: no such file; give a CSV or JSON Lines file of movies") from None
    except IsADirectoryError:
        raise MoviesFileError(f"{name}: a folder; give the file of movies in it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MoviesFileError(
            f"{name!r}: cannot be read ({why}); give a CSV or JSON Lines file of movies"
        ) from error
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise MoviesFileError(f"{name}: empty; give a CSV or JSON Lines file of movies")
    if _is_binary(data[:_SAMPLE_BYTES]):
        raise MoviesFileError(f"{name}: not UTF-8 text; unpack it, or save it as CSV (UTF-8) or JSON Lines")
    return data


def _is_binary(sample: bytes) -> bool:
    """Whether too much of it is no text: control characters (UTF-16 is half NULs) or what no UTF-8 has."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"PK\x03\x04", b"\x1f\x8b", b"PAR1")):
        return True
    text = sample.decode(errors="replace")
    strange = sum(1 for char in text if char == "\ufffd" or (char < " " and char not in "\t\r\n"))
    return strange > (1 - _LEAST_TEXT_SHARE) * len(text)


def _text(data: bytes) -> str:
    """Decode, with bytes that are not UTF-8 as lone surrogates, so that they cost their own record alone."""
    return data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")


def _loaded(path: str | os.PathLike[str], data: bytes, found: Iterator[Movie | str]) -> LoadedMovies:
    movies: list[Movie] = []
    reasons: Counter[str] = Counter()
    for movie in found:
        if isinstance(movie, str):
            reasons[movie] += 1
        else:
            movies.append(movie)
    if not movies:
        why = (
            ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common()) or "it has no records"
        )
        raise MoviesFileError(
            f"{os.fspath(path)}: no movie in it ({why}); each needs a whole number as its id"
        )
    return LoadedMovies(
        movies=movies,
        good=len(movies),
        bad=reasons.total(),
        sha256=hashlib.sha256(data).hexdigest(),
        path=os.fspath(path),
        reasons=dict(reasons),
    )

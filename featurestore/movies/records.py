"""From the lines of a CSV or JSON Lines file to movies, one at a time.

Everything here yields a movie or, in its place, the reason why its record was skipped. No more is held than the
lines of one record.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from featurestore.movies.files import MoviesFileError
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
_SHOWN_COLUMNS: Final = 12
_GENRE_CELLS_AT_MOST: Final = 10_000


class _Bad(Exception):  # noqa: N818 - a signal within this module, never seen outside
    """The record cannot be used; the message is its reason, as counted."""


# CSV


def csv_movies(path: str, lines: Iterable[str]) -> Iterator[Movie | str]:
    """Yield the movies of a CSV file. Raises MoviesFileError if its first line does not name the columns."""
    records = _csv_records(lines)
    header = next(records, None)
    if not isinstance(header, list):
        raise MoviesFileError(f"{path}: {header or 'no header'} in the first line; it has to name the columns")
    places = _places(header, path)
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


class _Lines:
    """Lines of which those handed out since the last `forget` can be had again."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self.held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.held.append(line)
        return line

    def forget(self) -> None:
        self.held.clear()

    def back_to_the_second(self) -> None:
        """Go on at the second of the lines held."""
        self._again.extendleft(reversed(self.held[1:]))
        self.held.clear()


def _csv_records(lines: Iterable[str]) -> Iterator[list[str] | str]:
    """Yield each record, or the reason why there is none, going on at the line after the one where it began.

    A record over several lines that has not as many fields as the first one has an unclosed quote in it. How far
    one can reach is bounded by the csv module's limit on the length of a field.
    """
    source, width = _Lines(lines), 0
    while True:
        try:
            for record in csv.reader(source, strict=True):
                width = width or len(record)
                if len(record) != width and len(source.held) > 1:
                    yield _BROKEN_QUOTING
                    source.back_to_the_second()
                    break
                if record:
                    yield record
                source.forget()
            else:
                return
        except csv.Error as error:
            yield "field too long" if "limit" in str(error) else _BROKEN_QUOTING
            source.back_to_the_second()


def _places(header: list[str], path: str) -> dict[str, int]:
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
                f"{path}: no column {wanted} among {shown[:200]!r}; "
                "name the columns in the first line, with commas between"
            )
    return places


def _csv_movie(cells: dict[str, str], genres: dict[str, Any]) -> Movie:
    _check_text(cells.values())
    if "\n" in cells["title"] or "\r" in cells["title"]:  # an unclosed quote that found another record's
        raise _Bad(_BROKEN_QUOTING)
    known = _known_genres(cells.get("genre_ids", ""), genres)
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


def _known_genres(cell: str, genres: dict[str, Any]) -> list[int] | str | None:
    if cell not in genres:
        if len(genres) >= _GENRE_CELLS_AT_MOST:  # real files have a few thousand combinations
            genres.clear()
        genres[cell] = _genre_cell(cell)
    found: list[int] | str | None = genres[cell]
    return found


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


def _check_text(cells: Iterable[str]) -> None:
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


# JSON Lines


def json_movies(lines: Iterable[bytes]) -> Iterator[Movie | str]:
    """Yield the movies of a JSON Lines file."""
    mark = codecs.BOM_UTF8
    for line in lines:
        text, mark = line.removeprefix(mark).strip(), b""  # a mark stands at the very beginning or nowhere
        if text:
            try:
                yield _json_movie(text)
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


def _movie_id(value: Any) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_ID:
        raise _Bad("id is no whole number")
    return value

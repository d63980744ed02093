"""Reading movies from CSV (TMDB's columns, the Kaggle files) and JSON Lines, whole or one at a time.

Real files are dirty. A record that is broken is skipped and counted with its reason, and costs no other; a
field that is broken in a good record is kept as it is, for the features to give it its default and count it.
Nothing is guessed: a record with too few or too many fields has shifted, so all of it is skipped.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from featurestore.movies.files import (
    MoviesFileError,
    check_is_text,
    is_json,
    is_regular,
    lines_of,
    open_movies,
    text_of,
    unreadable,
)
from featurestore.movies.records import Movie, csv_movies, json_movies

__all__ = [
    "LoadedMovies",
    "MovieStream",
    "MoviesFileError",
    "iter_movies",
    "load_movies",
    "movies_from_csv",
    "movies_from_jsonl",
]


@dataclass(frozen=True, slots=True)
class LoadedMovies:
    """Movies from a file: `good` of them, `bad` records skipped and why (`reasons`), the file's SHA-256."""

    movies: list[Movie]
    good: int
    bad: int
    sha256: str
    path: str
    reasons: dict[str, int]


class MovieStream:
    """The movies of a file, one at a time; every iteration reads the file anew, in memory that does not grow with it.

    `good`, `bad` and `reasons` (how many records were skipped, by why) are those of the iteration begun last, so
    far. Not to be iterated by two threads at once. An iteration raises MoviesFileError where the file cannot be
    read any more, or had no movie in it.
    """

    def __init__(self, path: str, open_file: Callable[[], BinaryIO], *, as_json: bool | None = None) -> None:
        self.path = path
        self.good = 0
        self.reasons: Counter[str] = Counter()
        self._open = open_file
        self._as_json = as_json

    @property
    def bad(self) -> int:
        """Records skipped."""
        return self.reasons.total()

    def __iter__(self) -> Iterator[Movie]:
        self.good = 0
        self.reasons = Counter()
        with self._open() as file:
            try:
                check_is_text(self.path, file)
                yield from self._good_ones(file)
            except OSError as error:
                raise unreadable(self.path, error) from error
        if not self.good:
            why = ", ".join(f"{count} × {reason}" for reason, count in self.reasons.most_common())
            raise MoviesFileError(
                f"{self.path}: no movie in it ({why or 'it has no records'}); each needs a whole number as its id"
            )

    def _good_ones(self, file: BinaryIO) -> Iterator[Movie]:
        for movie in self._movies(file):
            if isinstance(movie, str):
                self.reasons[movie] += 1
            else:
                self.good += 1
                yield movie

    def _movies(self, file: BinaryIO) -> Iterator[Movie | str]:
        if is_json(self.path, file) if self._as_json is None else self._as_json:
            yield from json_movies(lines_of(self.path, file))
        else:
            with text_of(file) as text:
                yield from csv_movies(self.path, lines_of(self.path, text))


def iter_movies(path: str | os.PathLike[str]) -> MovieStream:
    """Return the movies of a CSV or JSON Lines file, as `load_movies` reads them, without holding them all.

    Raises MoviesFileError at once if there is no such file, it cannot be read twice, or there is no movie in it.
    """
    name = os.fspath(path)
    if not is_regular(name):
        raise MoviesFileError(f"{name}: can be read only once; write it to a file first, or use load_movies")
    stream = MovieStream(name, lambda: open_movies(name))
    next(iter(stream))
    return stream


def load_movies(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a CSV or JSON Lines file of movies.

    Its ending tells which (.csv, .jsonl, .ndjson), else whether it begins with ``{``. Raises MoviesFileError
    if there is no such file or there are no movies in it.
    """
    return _load(path, as_json=None)


def movies_from_csv(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a UTF-8 CSV file with a header that has an id and a title column, in any order, among any others.

    Quoting is strict: a stray quote breaks its record, and reading goes on at the line after the one where
    that record began, so that an unclosed quote cannot swallow what follows. An empty cell is None; numbers
    that are none stay text. `genres` may be JSON, a Python literal, or names or ids parted by ``|``, ``,`` or
    ``;``.
    """
    return _load(path, as_json=False)


def movies_from_jsonl(path: str | os.PathLike[str]) -> LoadedMovies:
    """Load a UTF-8 file of a movie a line, each a JSON object with an id; blank lines are fine."""
    return _load(path, as_json=True)


def _load(path: str | os.PathLike[str], *, as_json: bool | None) -> LoadedMovies:
    """Read the bytes once: the hash is of those that the movies were made of."""
    name = os.fspath(path)
    with open_movies(name) as file:
        try:
            data = file.read()
        except OSError as error:
            raise unreadable(name, error) from error
    stream = MovieStream(name, lambda: io.BytesIO(data), as_json=as_json)
    movies = list(stream)
    return LoadedMovies(
        movies=movies,
        good=len(movies),
        bad=stream.bad,
        sha256=hashlib.sha256(data).hexdigest(),
        path=name,
        reasons=dict(stream.reasons),
    )

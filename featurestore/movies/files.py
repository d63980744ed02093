"""Opening a file of movies, and refusing what cannot be one, in one line that names it and the way out."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, TextIO

_SAMPLE_BYTES: Final = 4096
_LEAST_TEXT_SHARE: Final = 0.9
_LONGEST_LINE: Final = 16 * 1024 * 1024
_WANTED: Final = "give a CSV or JSON Lines file of movies"


class MoviesFileError(ValueError):
    """A file that holds no movies: missing, not readable, empty, binary, or without an id and a title."""


def open_movies(path: str) -> BinaryIO:
    """Return the file, open at its beginning. Raises MoviesFileError if there is none."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise MoviesFileError(f"{path}: no such file; {_WANTED}") from None
    except IsADirectoryError:
        raise MoviesFileError(f"{path}: a folder; give the file of movies in it") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: Exception) -> MoviesFileError:
    """Return the error that says so."""
    why = getattr(error, "strerror", None) or error
    return MoviesFileError(f"{path!r}: cannot be read ({why}); {_WANTED}")


def is_regular(path: str) -> bool:
    """Whether it can be read more than once; a pipe cannot. True where there is nothing: opening it tells."""
    return os.path.isfile(path) or not os.path.exists(path) or os.path.isdir(path)


def is_json(path: str, file: BinaryIO) -> bool:
    """Whether it holds JSON Lines: its ending says so (.jsonl, .ndjson; not .csv), or its first byte is ``{``."""
    ending = os.path.splitext(path)[1].lower()
    if ending in {".jsonl", ".ndjson", ".csv"}:
        return ending != ".csv"
    return _sample(file).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{"


def check_is_text(path: str, file: BinaryIO) -> None:
    """Raise MoviesFileError for a file that is empty, or no text by the look of its beginning."""
    sample = _sample(file)
    if len(sample) < _SAMPLE_BYTES and not sample.removeprefix(codecs.BOM_UTF8).strip():
        raise MoviesFileError(f"{path}: empty; {_WANTED}")
    if _is_binary(sample):
        raise MoviesFileError(f"{path}: not UTF-8 text; unpack it, or save it as CSV (UTF-8) or JSON Lines")


def text_of(file: BinaryIO) -> TextIO:
    """Return it decoded, bytes that are not UTF-8 as lone surrogates, so that they cost their own record alone."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def lines_of(path: str, file: Any) -> Iterator[Any]:
    """Yield the lines of a text or binary file. Raises MoviesFileError where one is too long to be a movie's."""
    for line in iter(lambda: file.readline(_LONGEST_LINE), file.read(0)):
        if len(line) == _LONGEST_LINE:
            raise MoviesFileError(f"{path}: a line of over 16 MiB; break the lines where a movie ends")
        yield line


def _sample(file: BinaryIO) -> bytes:
    """Return how the file begins, and go back there."""
    sample = file.read(_SAMPLE_BYTES)
    file.seek(0)
    return sample


def _is_binary(sample: bytes) -> bool:
    """Whether too much of it is no text: control characters (UTF-16 is half NULs) or what no UTF-8 has."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"PK\x03\x04", b"\x1f\x8b", b"PAR1")):
        return True
    text = sample.decode(errors="replace")
    strange = sum(1 for char in text if char == "\ufffd" or (char < " " and char not in "\t\r\n"))
    return strange > (1 - _LEAST_TEXT_SHARE) * len(text)

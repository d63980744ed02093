"""Genres in every shape that TMDB's data has been published in, as a list of genre ids."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Final

from featurestore.movies.schema import GENRES

_IDS_BY_NAME: Final = {name.lower(): genre_id for genre_id, name in GENRES.items()}
LARGEST_GENRE_ID: Final = 2**31
_LONGEST_CELL: Final = 10_000
_SEPARATORS: Final = re.compile(r"[|,;]")
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


def parse_genres(value: object) -> tuple[list[int], bool]:
    """Return the genre ids in `value` and whether all of it was understood.

    Understood are lists (tuples, numpy arrays) of ids or of ``{"id": …, "name": …}``, the same as JSON or as
    a Python literal in a string, and names or ids in a string parted by ``|``, ``,`` or ``;``. Of a list that
    is broken in part, the good part is kept. Nothing is no genre: an empty string or list is understood.
    """
    if isinstance(value, str):
        value = _from_text(value)
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return [], False
    found = [_genre_id(entry) for entry in value]
    known = [genre_id for genre_id in found if genre_id is not None]
    return known, len(known) == len(found)


def _from_text(text: str) -> object:
    text = text.strip()
    if not text.startswith(("[", "{")):
        return [part.strip() for part in _SEPARATORS.split(text)] if text else []
    if len(text) > _LONGEST_CELL:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _genre_id(entry: object) -> int | None:
    if isinstance(entry, Mapping):
        by_id = _number(entry.get("id"))
        return by_id if by_id is not None else _by_name(entry.get("name"))
    by_name = _by_name(entry)
    return by_name if by_name is not None else _number(entry)


def _by_name(entry: object) -> int | None:
    return _IDS_BY_NAME.get(entry.strip().lower()) if isinstance(entry, str) else None


def _number(entry: object) -> int | None:
    if isinstance(entry, str):
        return int(entry) if _DIGITS.fullmatch(entry) else None
    if isinstance(entry, bool) or not (isinstance(entry, float) or hasattr(entry, "__index__")):
        return None
    try:
        number = int(entry)
    except (ValueError, OverflowError, TypeError):
        return None
    return number if number == entry and 0 <= number < LARGEST_GENRE_ID else None

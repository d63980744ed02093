"""What the words of titles and overviews tell, by the column.

Lengths count characters. A word is a run of bytes above the space, so what parts words is ASCII white space
and control characters. A keyword counts where it stands as a whole run of ASCII letters, in any case.

Words are found in all texts at once, as edges in one run of bytes. A keyword has at most eight letters, so a
word is compared as one 64-bit number: four times as fast as a regular expression for each list of keywords.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from featurestore.movies.strings import utf8_bytes

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

KEYWORDS: Final = {
    "action": (
        "agent", "army", "assassin", "attack", "battle", "bomb", "chase", "combat", "escape", "fight",
        "fights", "gun", "hero", "hunt", "mission", "rescue", "revenge", "soldier", "soldiers", "spy", "war",
        "warrior", "weapon",
    ),
    "horror": (
        "blood", "bloody", "creature", "curse", "cursed", "dead", "demon", "demonic", "evil", "fear", "ghost",
        "haunted", "horror", "killer", "monster", "occult", "sinister", "terror", "undead", "vampire",
        "witch", "zombie", "zombies",
    ),
    "romance": (
        "affair", "beloved", "bride", "couple", "dating", "divorce", "heart", "husband", "kiss", "love",
        "lover", "lovers", "loves", "marriage", "married", "marry", "passion", "romance", "romantic",
        "wedding", "wife",
    ),
}  # fmt: skip

SEQUEL_MARK: Final = (
    r"[ :][2-9]\b|[ :](?:II|III|IV|V|VI|VII|VIII|IX|X)\b"
    r"|\b(?:Part|Chapter|Episode|Volume|Vol\.) (?:[0-9]|[IVX]|One|Two|Three|Four|Five)"
    r"|\b(?:Return|Returns|Reloaded|Resurrection|Sequel)\b"
)
"""A title that counts: a number or numeral after its first word, a part, or a coming back."""

_MOST_LETTERS: Final = 8
_BLOCK: Final = 256
"""Movies at a time; with more, the scratch arrays leave the processor's cache, and page faults cost 4×."""
_BYTES_A_WORD: Final = 2
_NEW_LINE: Final = pa.scalar("\n", pa.large_string())
_NOTHING: Final = pa.scalar("", pa.large_string())
_LOWER_CASE: Final = np.uint64(0x2020_2020_2020_2020)
_MASKS: Final = np.array([2 ** (8 * letters) - 1 for letters in range(_MOST_LETTERS + 1)], np.uint64)


def text_features(titles: Any, overviews: Any) -> dict[str, NDArray[Any]]:
    """Return the columns of the text table, without the movies' ids, for two `large_string` arrays."""
    overview_words, keywords = words_and_keywords(overviews)
    return {
        "title_length": _numpy(pc.utf8_length(titles)),
        "title_word_count": word_counts(titles),
        "overview_length": _numpy(pc.utf8_length(overviews)),
        "overview_word_count": overview_words,
        "title_has_colon": _numpy(pc.match_substring(titles, ":")),
        "title_has_digit": _numpy(pc.match_substring_regex(titles, "[0-9]")),
        "title_has_sequel_mark": _numpy(pc.match_substring_regex(titles, SEQUEL_MARK)),
        **keywords,
    }


def word_counts(texts: Any) -> Ints:
    """Return how many words each text has."""
    counts = np.zeros(len(texts), np.int64)
    for rows, bounds, data in _blocks(texts):
        counts[rows] = _words_in(bounds, data)
    return counts


def words_and_keywords(texts: Any) -> tuple[Ints, dict[str, Ints]]:
    """Return how many words each text has, and how often words of each list of `KEYWORDS` stand in it."""
    words = np.zeros(len(texts), np.int64)
    keywords = np.zeros((len(texts), len(KEYWORDS)), np.int64)
    for rows, bounds, data in _blocks(texts):
        words[rows] = _words_in(bounds, data)
        keywords[rows] = _keywords_in(bounds, data)
    return words, {f"{genre}_keyword_count": keywords[:, place].copy() for place, genre in enumerate(KEYWORDS)}


def _words_in(bounds: Ints, data: Bytes) -> NDArray[Any]:
    """Count where a word ends, as bits added up from bound to bound: finding their places would cost five times it."""
    solid = data > ord(" ")
    ends = (solid[:-1] > solid[1:]).view(np.uint8)
    enough = np.uint16 if len(data) < _BYTES_A_WORD * 2**16 else np.int64
    counts: NDArray[Any] = np.add.reduceat(ends, bounds[:-1], dtype=enough)
    return counts


def _keywords_in(bounds: Ints, data: Bytes) -> Ints:
    starts, words = _words(data)
    slots = (words * _INDEX.factor >> _INDEX.shift).view(np.int64)
    hits = np.flatnonzero(_INDEX.words.take(slots) == words)
    texts_hit = np.searchsorted(bounds, starts[hits], side="right") - 1
    places = texts_hit * len(KEYWORDS) + _INDEX.lists[slots[hits]]
    texts = len(bounds) - 1
    return np.bincount(places, minlength=texts * len(KEYWORDS)).reshape(texts, len(KEYWORDS))


def _blocks(texts: Any) -> Iterator[tuple[slice, Ints, Bytes]]:
    """Yield rows, where each of their texts begins (and the last ends), and their bytes.

    A new line stands before the first text and after each of them, so that no word touches another text's,
    and eight more at the end, so that eight bytes can be read from wherever a word begins.
    """
    for start in range(0, len(texts), _BLOCK):
        block = texts.slice(start, _BLOCK)
        bounds, found = utf8_bytes(pc.binary_join_element_wise(block, _NOTHING, _NEW_LINE))
        data = np.full(len(found) + 1 + _MOST_LETTERS, ord("\n"), np.uint8)
        data[1 : len(found) + 1] = found
        yield slice(start, start + len(block)), bounds + 1, data


def _words(data: Bytes) -> tuple[Ints, Words]:
    """Return where each run of letters begins, and the run in lower case as a number (0 if over eight)."""
    letters = ((data | np.uint8(0x20)) - np.uint8(ord("a"))) < 26
    edges = np.flatnonzero(letters[1:] != letters[:-1])
    starts, ends = edges[::2] + 1, edges[1::2] + 1
    sizes = ends - starts
    eight_bytes_from = as_strided(data[:8].view(np.uint64), (len(data) - 7,), (1,))
    words = eight_bytes_from[starts] | _LOWER_CASE
    words &= _MASKS.take(sizes, mode="clip")
    words[sizes > _MOST_LETTERS] = 0
    return starts, words


class _KeywordIndex:
    """A hash table without collisions: a keyword's slot is its number times `factor`, shifted by `shift`."""

    def __init__(self, keywords: dict[str, tuple[str, ...]], bits: int) -> None:
        every = [(word, place) for place, words in enumerate(keywords.values()) for word in words]
        codes = np.array([int.from_bytes(word.encode(), "little") for word, _ in every], np.uint64)
        self.shift: Final = np.uint64(64 - bits)
        self.factor: Final = self._factor(codes)
        slots = codes * self.factor >> self.shift
        self.words: Final = np.full(2**bits, 2**64 - 1, np.uint64)
        self.words[slots] = codes
        self.lists: Final = np.zeros(2**bits, np.int64)
        self.lists[slots] = [place for _, place in every]

    def _factor(self, codes: Words) -> np.uint64:
        factor = 0x9E3779B97F4A7C15
        while len(np.unique(codes * np.uint64(factor) >> self.shift)) < len(codes):
            factor = factor * 0xD1342543DE82EF95 % 2**64  # an odd number stays odd
        return np.uint64(factor)


_INDEX: Final = _KeywordIndex(KEYWORDS, bits=11)


def _numpy(column: Any) -> NDArray[Any]:
    """Return a column of whole numbers or truths as numpy's int64 or bool, writable."""
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found if found.dtype == np.bool_ else found.astype(np.int64)

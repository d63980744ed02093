"""Made-up movies that look like TMDB's: heavy tails, several scripts, its kinds of dirt at its rates.

Movie number i of a seed is a pure function of (seed, i), so the first n of any number of movies are the same
n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from featurestore.movies import draws

Movie = dict[str, Any]
Draws = NDArray[np.float64]

_BLOCK: Final = 10_000
_MOST_POPULARITY: Final = 3_000.0
_MOST_VOTES: Final = 40_000

_LANGUAGES: Final = (
    *["en"] * 77, *["ja"] * 4, *["fr"] * 3, *["es"] * 3, *["ko"] * 2, *["it"] * 2, *["de", "hi", "zh", "tl",
    "pt"], *["ru", "ar", "th", "el"],
)  # fmt: skip

_GENRES: Final = (
    (18,), (18,), (35,), (27,), (99,), (28, 53), (18, 10749), (35, 10749), (27, 53), (28, 12, 878),
    (16, 10751, 35), (80, 18, 53), (28, 80, 53), (12, 14, 10751), (18, 36), (35, 18), (878, 53),
    (27, 9648, 53), (28, 12, 16, 14), (18, 10752, 36), (37,), (10402, 18), (10770, 10749, 35), (28,), (53,),
    (16, 10751), (9648, 80, 18, 53), (16, 12, 10751, 35, 14), (18, 10749, 10770), (),
)  # fmt: skip

_FIRST_WORDS: Final = (
    "The Last", "A Quiet", "Beyond the", "Return to the", "The Hollow", "Midnight", "The Glass", "Broken",
    "Our", "The Winter", "Paper", "Seven", "The Lost", "Crimson", "The Long", "No", "Silent", "My",
    "Under the", "The Iron",
)  # fmt: skip
_SECOND_WORDS: Final = (
    "Harbor", "Kingdom", "Summer", "Witness", "Garden", "Horizon", "Brothers", "Promise", "Machine",
    "Orchard", "Frontier", "Letters", "Empire", "River", "Neighbor", "Signal", "Carnival", "Shadow",
    "Daughter", "Highway",
)  # fmt: skip
_SUFFIXES: Final = (
    *[""] * 36, " 2", " 3", " II", " III", ": Part One", ": The Reckoning", ": Chapter 4", ": Origins",
    " – Café Noir", " 1984",
)  # fmt: skip
_TITLES: Final = {
    "ja": ("最後の港", "夏の約束", "銀河の手紙 2", "影の庭"),
    "ko": ("마지막 항구", "여름의 약속", "그림자 정원", "겨울 편지: 귀환"),
    "zh": ("最后的港湾", "夏日之约", "影子花园", "铁路尽头"),
    "ru": ("Последняя гавань", "Летнее обещание", "Сад теней 2"),
    "ar": ("الميناء الأخير", "وعد الصيف"),
    "hi": ("आख़िरी बंदरगाह", "गर्मी का वादा"),
    "th": ("ท่าเรือสุดท้าย", "คำสัญญาฤดูร้อน"),
    "el": ("Το τελευταίο λιμάνι", "Ο κήπος των σκιών"),
    "fr": ("Le Dernier Été", "La Forêt des Âmes"),
    "es": ("El Último Puerto", "Mañana Será Otro Día"),
    "de": ("Der Letzte Hafen", "Straße nach Süden"),
    "pt": ("A Última Estação", "Coração de Papel"),
}
"""Where a language has titles of its own, one movie in three is listed under one of them."""

_SENTENCES: Final = (
    "After a quiet life in a coastal town, a retired detective is drawn into one last case.",
    "A young couple discovers that the house they have just bought keeps a secret of its own.",
    "When war comes to the valley, three brothers must choose between duty and escape.",
    "She has one night to find the killer before the evidence disappears.",
    "What begins as a summer romance soon turns into something far more dangerous.",
    "An ordinary teacher becomes an unlikely hero in a battle that nobody asked for.",
    "Old friends meet again at a wedding, and old wounds open with the wine.",
    "The crew of a stranded ship fights for survival as the water rises.",
    "Nothing in the village is what it seems, and the dead do not stay silent.",
    "Far from home, two strangers share a journey, a secret – and, perhaps, love.",
    "A documentary portrait of the people who keep the lights on.",
    "Haunted by visions of a ghost, a widow returns to the place where it all began.",
    "With the mission in ruins, an agent goes rogue to hunt the people who betrayed her.",
    "A heist that was planned for years falls apart in seven minutes.",
    "His wife is gone, his memory too; only the letters remain.",
    "A boy and his grandfather build a machine that should not work.",
)
_FOREIGN_SENTENCES: Final = (
    "静かな港町で、引退した刑事が最後の事件に巻き込まれていく。",
    "조용한 항구 도시에서 은퇴한 형사가 마지막 사건에 휘말린다.",
    "В тихом городке у моря бывший сыщик берётся за последнее дело.",
    "Une détective à la retraite reprend, malgré elle, une dernière enquête.",
    "في بلدة ساحلية هادئة يعود محقق متقاعد إلى قضيته الأخيرة.",
)
_BAD_DATES: Final = ("2021-13-45", "0000-00-00", "2019-02-29", "n/a", "12/05/2003", "1987")


def generate_movies(count: int, seed: int) -> list[Movie]:
    """Return `count` movies with every field, some of them null or broken; ids are distinct and rise.

    Each call returns dicts and lists of its own. Raises ValueError if `count` is negative.
    """
    return list(GeneratedMovies(count, seed))


@dataclass(frozen=True, slots=True)
class GeneratedMovies:
    """The movies of `generate_movies`, made while they are gone through, as often as one likes, 10,000 at a time."""

    count: int
    seed: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count: {self.count} is below 0; give how many movies there shall be")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Movie]:
        for start in range(0, self.count, _BLOCK):
            yield from _block(np.arange(start, min(start + _BLOCK, self.count)), self.seed)


def _block(index: NDArray[np.int64], seed: int) -> list[Movie]:
    bits = _Streams(draws.keys(seed, index))
    votes = _votes(bits.chance())
    ratings = _ratings(bits.next(), votes)
    languages = _picked(_LANGUAGES, bits.chance())
    titles = _titles(languages, *(bits.chance() for _ in range(4)))
    overviews = _overviews(*(bits.chance() for _ in range(5)))
    columns = {
        "movie_id": (10 + index * 13 + (bits.chance() * 13).astype(np.int64)).tolist(),
        "title": _with_dirt(titles, bits.chance(), ((0.001, None),)),
        "overview": _with_dirt(overviews, bits.chance(), ((0.01, ""), (0.003, None))),
        "original_language": languages,
        "release_date": _dates(*(bits.chance() for _ in range(4))),
        "vote_average": _with_dirt(ratings, bits.chance(), ((0.002, None), (0.001, "abc"), (0.001, math.nan))),
        "vote_count": _with_dirt(votes.tolist(), bits.chance(), ((0.002, None), (0.001, -1))),
        "popularity": _with_dirt(_popularity(bits.chance()), bits.chance(), ((0.002, None), (0.0005, math.inf))),
        "adult": (bits.chance() < 0.003).tolist(),
        "genre_ids": _with_dirt(_genres(bits.chance()), bits.chance(), ((0.002, None),)),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


class _Streams:
    """Streams of random numbers, a number for each key, one stream after the other."""

    def __init__(self, keys: draws.Bits) -> None:
        self._keys = keys
        self._drawn = 0

    def next(self) -> draws.Bits:
        self._drawn += 1
        return draws.draw(self._keys, self._drawn)

    def chance(self) -> Draws:
        return draws.uniform(self.next())


def _picked(choices: Sequence[Any], chance: Draws) -> list[Any]:
    return [choices[place] for place in (chance * len(choices)).astype(np.int64).tolist()]


def _with_dirt(values: list[Any], chance: Draws, dirt: tuple[tuple[float, Any], ...]) -> list[Any]:
    """Put each kind of dirt in the place of its share of the values."""
    begin = 0.0
    for share, instead in dirt:
        for row in np.flatnonzero((chance >= begin) & (chance < begin + share)).tolist():
            values[row] = instead
        begin += share
    return values


def _titles(languages: list[str], own: Draws, first: Draws, second: Draws, suffix: Draws) -> list[Any]:
    firsts, seconds, ends = (
        _picked(_FIRST_WORDS, first),
        _picked(_SECOND_WORDS, second),
        _picked(_SUFFIXES, suffix),
    )
    titles = [f"{one} {two}{end}" for one, two, end in zip(firsts, seconds, ends, strict=True)]
    for row in np.flatnonzero(own < 1 / 3).tolist():
        if choices := _TITLES.get(languages[row]):
            titles[row] = choices[int(first[row] * len(choices))]
    return titles


def _overviews(length: Draws, *parts: Draws) -> list[Any]:
    """Return four sentences each, or one; one overview in 25 is in another language."""
    texts = [" ".join(found) for found in zip(*(_picked(_SENTENCES, part) for part in parts), strict=True)]
    single, foreign = _picked(_SENTENCES, parts[0]), _picked(_FOREIGN_SENTENCES, parts[1])
    for row in np.flatnonzero(length < 0.3).tolist():
        texts[row] = single[row] if length[row] >= 0.04 else foreign[row]
    return texts


def _genres(chance: Draws) -> list[Any]:
    return list(map(list, _picked(_GENRES, chance)))


def _dates(years: Draws, months: Draws, days: Draws, dirt: Draws) -> list[Any]:
    year = 2027 - (100 * years**4).astype(np.int64)  # most are recent, a few as old as film itself
    month = 1 + (months * 12).astype(np.int64)
    day = 1 + (days * 28).astype(np.int64)
    dates: list[Any] = [
        f"{y}-{m:02}-{d:02}" for y, m, d in zip(year.tolist(), month.tolist(), day.tolist(), strict=True)
    ]
    bad = _picked(_BAD_DATES, days)
    for row in np.flatnonzero(dirt > 0.998).tolist():
        dates[row] = bad[row]
    return _with_dirt(dates, dirt, ((0.006, ""), (0.002, None)))


def _votes(chance: Draws) -> NDArray[np.int64]:
    """Half of all movies have a dozen votes or fewer, one in a hundred tens of thousands."""
    return np.minimum(5 * (1 - chance) ** -1.8 - 5, _MOST_VOTES).astype(np.int64)


def _ratings(bits: draws.Bits, votes: NDArray[np.int64]) -> list[Any]:
    rating: list[Any] = np.round(np.clip(6.4 + 1.1 * draws.bell(bits), 0.5, 10) * (votes > 0), 3).tolist()
    return rating


def _popularity(chance: Draws) -> list[Any]:
    """Half lie below 6, one in a hundred above 100."""
    popularity: list[Any] = np.round(np.minimum(3 * (1 - chance) ** -0.85, _MOST_POPULARITY), 4).tolist()
    return popularity

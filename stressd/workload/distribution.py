"""Which key a read takes: seeded draws, in blocks, so that one costs next to nothing however many keys there are.

Ranks come first, 0 the hottest; then the key space says which key has that rank.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stressd.pools import Keys

_BLOCK: Final = 4096
_SCATTER: Final = 0x5363
Ranks = NDArray[np.int64]


class KeySpace:
    """The keys that reads may take, the same for all lanes of a run. Any thread.

    `lanes` are the keys of each lane that saves, `saves` tells how often a key was saved. `in_order` has all of them,
    `scattered` in an order of its own that the seed decides: which keys are hot is no matter of their lane.
    """

    def __init__(self, lanes: Sequence[range], seed: int, saves: Callable[[int], int]) -> None:
        self._lanes = [keys for keys in lanes if keys]
        self._saves = saves
        self.in_order: Ranks = np.concatenate([np.arange(keys.start, keys.stop) for keys in self._lanes])
        self.scattered: Ranks = _random(seed, _SCATTER).permutation(self.in_order)

    def __len__(self) -> int:
        return len(self.in_order)

    def latest(self, rank: int, turn: int) -> int:
        """Return the key that was saved `rank` saves ago, as far as that can be told; `turn` is any number.

        Lanes save their own keys in turn, and about as often as each other: so many saves ago stands for a rank among
        the lane's keys, and which lane it was is left to `turn`.
        """
        keys = self._lanes[(rank + turn) % len(self._lanes)]
        return keys[(self._newest(keys) - rank // len(self._lanes)) % len(keys)]

    def _newest(self, keys: range) -> int:
        """Return the place of the key saved last: where the lane's round has come to, up to where they are level."""
        saves, low, high = self._saves, 0, len(keys) - 1
        most = saves(keys[0])
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if saves(keys[middle]) >= most else (low, middle - 1)
        return low


def key_stream(keys: Keys, space: KeySpace, seed: int, lane: int, lanes: int) -> Iterator[int]:
    """Return one lane's endless stream of keys, a pure function of (seed, lane) but for `latest`. For one thread."""
    random = _random(seed, lane, 1)
    theta = keys.theta or 0.0
    match keys.distribution:
        case "zipfian":
            return _of(space.scattered, _zipfian(random, len(space), theta))
        case "latest":
            return _latest(space, random, _zipfian(random, len(space), theta))
        case "hotspot":
            return _of(space.scattered, _hotspot(random, len(space), keys.hot_keys or 0.0, keys.hot_reads or 0.0))
        case "sequential":
            return _of(space.in_order, _sequential(len(space), lane * len(space) // lanes))
        case "uniform":
            return _of(space.in_order, _uniform(random, len(space)))


def _random(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([part % 2**64 for part in key])))


def _of(keys: Ranks, ranks: Iterator[Ranks]) -> Iterator[int]:
    for block in ranks:
        yield from keys[block].tolist()


def _latest(space: KeySpace, random: np.random.Generator, ranks: Iterator[Ranks]) -> Iterator[int]:
    for block in ranks:
        turns = random.integers(0, 2**32, len(block)).tolist()
        yield from map(space.latest, block.tolist(), turns)


def _uniform(random: np.random.Generator, count: int) -> Iterator[Ranks]:
    while True:
        yield random.integers(0, count, _BLOCK)


def _sequential(count: int, first: int) -> Iterator[Ranks]:
    while True:
        yield np.arange(first, first + _BLOCK) % count
        first = (first + _BLOCK) % count


def _hotspot(random: np.random.Generator, count: int, hot_keys: float, hot_reads: float) -> Iterator[Ranks]:
    """Yield ranks of which the first are the hot ones; at least one is hot, and one is not where there are two."""
    hot = max(1, min(count - 1, round(hot_keys * count)))
    while True:
        in_hot = random.random(_BLOCK) < hot_reads
        cold = random.integers(min(hot, count - 1), count, _BLOCK)
        yield np.where(in_hot, random.integers(0, hot, _BLOCK), cold)


def _zipfian(random: np.random.Generator, count: int, theta: float) -> Iterator[Ranks]:
    """Yield ranks of which rank r has a weight of 1/(r + 1)^theta, 0 < theta < 1.

    Rejection-inversion after W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone
    discrete distributions", 1996: exact, in constant time, without a table.
    """
    power = 1.0 - theta

    def area(x: Any) -> Any:
        return x**power / power  # of x^-theta, up to a constant

    def inverse(y: Any) -> Any:
        return (power * y) ** (1 / power)

    first, last = area(1.5) - 1.0, area(count + 0.5)
    at_once = 2.0 - inverse(area(2.5) - 2.0**-theta)
    while True:
        drawn = random.uniform(first, last, _BLOCK)
        x = inverse(drawn)
        ranks = np.clip((x + 0.5).astype(np.int64), 1, count)
        taken = (ranks - x <= at_once) | (drawn >= area(ranks + 0.5) - ranks**-theta)
        yield ranks[taken] - 1

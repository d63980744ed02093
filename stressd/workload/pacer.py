"""When operations are meant to start. Pure: numbers in, numbers out; no clock, any thread.

A spacing tells where the starts of a pool lie on a line on which one start is due in each unit; the ramp turns that
line into time, and so the starts' own rate into the rate that is asked for. Of a pool's starts, each of its processes
has every so-manieth: they share them out without a message.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Protocol
from zlib import crc32

import numpy as np

from stressd.workload.ramp import Ramp

_LEAF: Final = 1024  # gaps that are drawn together
_DOUBLINGS: Final = 43  # enough for 2**52 starts
_POISSON: Final = 0x506F6973


class Spacing(Protocol):
    """The starts of a pool, numbered from 0, on a line on which one is due in each unit."""

    def position(self, number: int) -> float:
        """Return where a start lies; never before that of the number before."""
        ...

    def count(self, position: float) -> int:
        """Return how many starts do not lie behind that position."""
        ...


class EvenSpacing:
    """One start at each whole number, from 0 on."""

    def position(self, number: int) -> float:
        """Return the number itself."""
        return float(number)

    def count(self, position: float) -> int:
        """Return how many whole numbers there are from 0 on, the position included."""
        return int(position) + 1


class PoissonSpacing:
    """A Poisson process of rate 1, a pure function of (seed, pool): each of its starts can be told without the others.

    The length of 1024 · 2^j gaps has a gamma distribution, and its first half a share of it that has a beta
    distribution: a tree of halves leads to the 1024 gaps around a start, which share their length as exponential
    draws do. All draws are those of an ordinary Poisson process, in another order.
    """

    def __init__(self, seed: int, pool: str) -> None:
        self._key = (_POISSON, seed % 2**64, crc32(pool.encode()))
        self._blocks = [(0, _LEAF), *((_LEAF << j, _LEAF << j) for j in range(_DOUBLINGS))]  # first gap, and how many
        self._ends = list(accumulate(self._random(first, size).gamma(size) for first, size in self._blocks))
        self._leaf: tuple[int, Sequence[float]] = self._leaf_of(0)  # replaced as one, so that any thread may read it

    def position(self, number: int) -> float:
        """Return where a start lies."""
        first, positions = self._leaf
        if not 0 <= number - first < _LEAF:
            first, positions = self._leaf = self._leaf_of(number)
        return positions[number - first]

    def count(self, position: float) -> int:
        """Return how many starts do not lie behind that position."""
        first, positions = self._leaf_at(position)
        return first + bisect_right(positions, position)

    def _random(self, first: int, size: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([*self._key, first, size])))

    def _leaf_of(self, number: int) -> tuple[int, Sequence[float]]:
        return self._descend((number // _LEAF).bit_length(), lambda first, size, _middle: number >= first + size)

    def _leaf_at(self, position: float) -> tuple[int, Sequence[float]]:
        block = min(bisect_right(self._ends, position), len(self._ends) - 1)
        return self._descend(block, lambda _first, _size, middle: position >= middle)

    def _descend(self, block: int, goes_right: "_GoesRight") -> tuple[int, Sequence[float]]:
        """Go down from a block, half by half, to the gaps of one leaf; return its first number, and all positions."""
        first, size = self._blocks[block]
        begin = self._ends[block - 1] if block else 0.0
        end = self._ends[block]
        random = self._random(first, size)
        random.gamma(size)  # its length, drawn already
        while size > _LEAF:
            size //= 2
            middle = begin + (end - begin) * random.beta(size, size)
            if goes_right(first, size, middle):
                first, begin = first + size, middle
            else:
                end = middle
            random = self._random(first, size)
        gaps = random.exponential(size=_LEAF)
        positions = np.minimum(begin + np.cumsum(gaps) * ((end - begin) / gaps.sum()), end)
        return first, positions.tolist()


class _GoesRight(Protocol):
    def __call__(self, first: int, size: int, middle: float, /) -> bool: ...


class Pacer:
    """The intended starts of one process of a pool, numbered from 0, in nanoseconds after the load began."""

    def __init__(self, ramp: Ramp, spacing: Spacing, stripe: int = 0, stripes: int = 1) -> None:
        if not 0 <= stripe < stripes:
            raise ValueError(f"no pacer with stripe {stripe} of {stripes}")
        self._ramp = ramp
        self._spacing = spacing
        self._stripe = stripe
        self._stripes = stripes

    def offset_ns(self, start: int) -> int:
        """Return when the start of this number is meant to happen; NEVER_NS if it is not."""
        return self._ramp.when_ns(self._spacing.position(start * self._stripes + self._stripe))

    def due(self, elapsed_ns: int) -> int:
        """Return how many starts are meant to have happened by then: exactly those whose offset is not later."""
        if elapsed_ns < 0:
            return 0
        of_pool = self._spacing.count(self._ramp.area(elapsed_ns))
        guess = max(0, -(-(of_pool - self._stripe) // self._stripes))
        while guess > 0 and self.offset_ns(guess - 1) > elapsed_ns:
            guess -= 1
        while self.offset_ns(guess) <= elapsed_ns:
            guess += 1
        return guess

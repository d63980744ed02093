"""A counter-based generator of random numbers: the draw for a key is a pure function of the key.

SplitMix64's finaliser (Steele, Lea and Flood, 2014) over numpy arrays. Because there is no state to advance,
a movie's draws do not depend on which movies came before it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
_LANE: Final = np.uint64(0xFFFF)
_LANE_SUM_MEAN: Final = 2.0 * 0xFFFF
_LANE_SUM_SPREAD: Final = 65536 * (4 / 12) ** 0.5


def keys(seed: int, members: NDArray[Any]) -> Bits:
    """Return a key for each member (an integer) under the seed (any integer, taken modulo 2⁶⁴)."""
    start = np.uint64(_mixed_int((int(seed) + _GOLDEN) & _MASK))
    return _mixed(members.astype(np.int64).view(np.uint64) * np.uint64(_GOLDEN) ^ start)


def draw(key: Bits, counter: NDArray[np.uint64] | int) -> Bits:
    """Return 64 random bits for each key and counter."""
    step = np.asarray(counter, dtype=np.uint64) if isinstance(counter, int) else counter
    return _mixed(key + (step.reshape(-1) + np.uint64(1)) * np.uint64(_GOLDEN))


def uniform(bits: Bits) -> NDArray[np.float64]:
    """Return floats in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bell(bits: Bits) -> NDArray[np.float64]:
    """Return numbers near to normal (mean 0, deviation 1, within ±3.5): the sum of the four 16-bit lanes.

    Sums of integers, so that the result is the same on every machine, which a mathematical library's is not.
    """
    total = bits & _LANE
    for shift in (16, 32, 48):
        total = total + ((bits >> np.uint64(shift)) & _LANE)
    return (total.astype(np.float64) - _LANE_SUM_MEAN) / _LANE_SUM_SPREAD


def _mixed(state: Bits) -> Bits:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    return state ^ (state >> np.uint64(31))


def _mixed_int(state: int) -> int:
    state = ((state ^ (state >> 30)) * _FIRST) & _MASK
    state = ((state ^ (state >> 27)) * _SECOND) & _MASK
    return state ^ (state >> 31)

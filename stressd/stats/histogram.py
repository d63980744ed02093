"""Latency histograms of fixed size: log-linear buckets with at most 3 % error, mergeable by addition.

A value is a duration in nanoseconds. Bucket `i` counts the values in `(BOUNDS_NS[i - 1], BOUNDS_NS[i]]`; the last
bucket, `len(BOUNDS_NS)`, everything above. Each power of two is divided into 32 equal steps, so that the middle of a
bucket is within 1.6 % of everything in it. The bounds of the classic ladder that Prometheus sees are bounds here too:
its cumulative counts are exact sums, not estimates.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LADDER_S: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
STEPS: Final = 32
BARS_AN_OCTAVE: Final = 8
FIRST_OCTAVE: Final = 8  # 256 ns: below the cost of calling anything
LAST_OCTAVE: Final = 37  # 137 s: above every time-out


def _bounds_ns() -> tuple[int, ...]:
    ladder = {round(le * 1e9) for le in LADDER_S}
    fine = {
        (1 << octave) + ((1 << octave) * step) // STEPS
        for octave in range(FIRST_OCTAVE, LAST_OCTAVE)
        for step in range(STEPS)
    }
    return tuple(sorted(ladder | fine))


BOUNDS_NS: Final = _bounds_ns()
BUCKETS: Final = len(BOUNDS_NS) + 1
_LADDER_ENDS: Final = np.array([bisect_left(BOUNDS_NS, round(le * 1e9)) for le in LADDER_S])
_MIDDLES_S: Final = (
    np.array([0, *BOUNDS_NS], dtype=np.float64) + np.array([*BOUNDS_NS, BOUNDS_NS[-1]], dtype=np.float64)
) / 2e9

Counts = NDArray[np.uint64]


def bucket(duration_ns: int) -> int:
    """Return the number of the bucket that counts `duration_ns`."""
    return bisect_left(BOUNDS_NS, duration_ns)


def quantile_s(counts: Counts, q: float) -> float | None:
    """Return the `q`-quantile (0 to 1) in seconds, within 3 %; None where nothing was counted."""
    (value,) = quantiles_s(counts, (q,))
    return value


def quantiles_s(counts: Counts, qs: Sequence[float]) -> list[float | None]:
    """Return several quantiles in one pass; `1.0` is the middle of the highest bucket in use."""
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    if total == 0:
        return [None] * len(qs)
    ranks = [max(1, int(np.ceil(q * total))) for q in qs]
    return [float(_MIDDLES_S[np.searchsorted(cumulative, rank)]) for rank in ranks]


def ladder(counts: Counts) -> list[int]:
    """Return the cumulative counts at each `le` of `LADDER_S`, and the total last (`+Inf`)."""
    cumulative = np.cumsum(counts)
    return [*(int(n) for n in cumulative[_LADDER_ENDS]), int(cumulative[-1])]


def bars(counts: Counts) -> list[tuple[float, float, int]]:
    """Return the histogram for people, eight bars a power of two: from and to, in seconds, and count; none is empty."""
    edges_s = np.array([BOUNDS_NS[0] / 2, *BOUNDS_NS, 2 * BOUNDS_NS[-1]]) / 1e9
    used = np.flatnonzero(counts)
    place = np.floor(BARS_AN_OCTAVE * np.log2(edges_s[used + 1] * 0.9999)).astype(int)
    found: list[tuple[float, float, int]] = []
    for bar in np.unique(place):
        mine = used[place == bar]
        found.append((float(edges_s[mine[0]]), float(edges_s[mine[-1] + 1]), int(counts[mine].sum())))
    return found


class Histogram:
    """A histogram of the daemon's own: for what happens beside the lanes. For one writing thread."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(BUCKETS, dtype=np.uint64)
        self.sum_ns = 0

    def observe_s(self, duration_s: float) -> None:
        """Count one duration in seconds."""
        duration_ns = max(0, round(duration_s * 1e9))
        self.counts[bucket(duration_ns)] += 1
        self.sum_ns += duration_ns

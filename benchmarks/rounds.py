"""Timing calls that take turns, so that whatever the machine does meanwhile happens to all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Call:
    """What is timed, and what cleans up after it, which is not. `times`: how often in a row, to be seen at all.

    `clock` counts nanoseconds: of the clock on the wall, or of the processor's time.
    """

    run: Callable[[], object]
    after: Callable[[], object] = lambda: None
    times: int = 1
    clock: Callable[[], int] = time.perf_counter_ns

    def seconds(self) -> float:
        """Mean seconds of one run."""
        start_ns = self.clock()
        for _ in range(self.times):
            self.run()
        taken_s = (self.clock() - start_ns) / 1e9 / self.times
        self.after()
        return taken_s


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one call in every round."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The median round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Distance of the quartiles over the median: how noisy the run was."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return (third - first) / self.median_s


def interleaved(calls: Mapping[str, Call], rounds: int) -> dict[str, Taken]:
    """Run every call once a round, and two rounds more that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + WARM_UP):
        gc.collect()
        for name, call in calls.items():
            seconds[name].append(call.seconds())
    return {name: Taken(tuple(taken[WARM_UP:])) for name, taken in seconds.items()}

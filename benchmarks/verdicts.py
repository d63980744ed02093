"""How often the verdicts on growth and degradation err: simulated runs of which the truth is known, 1,000 of each.

    python benchmarks/verdicts.py [--runs 1000]

A false call is a clean run that fails, a miss one with twice the threshold that passes. The simulations are those of
the tests (`tests/verdict/simulated.py`).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from stressd.criteria import BY_NAME
from stressd.verdict.degradation import degradation
from stressd.verdict.growth import memory_growth
from stressd.verdict.measured import Finding, Measured

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "verdict"))
from simulated import MEMORY_KINDS, WARMUP_S, memory_ticks, noisy_ticks  # type: ignore[import-not-found]

RUN_S = 180.0
OUTCOMES = ("pass", "inconclusive", "fail")

Run = tuple[str, int]  # which series, which seed


def slower(lost: float, how: str) -> Callable[[float], float]:
    """Return the factor on all times by the share of the run that is over, so that `lost` of the work is lost."""
    most = 1 / (1 - lost)
    return {
        "steadily": lambda share: 1 + (most - 1) * share,
        "half-way": lambda share: most if share > 0.5 else 1.0,
        "in the last fifth": lambda share: most if share > 0.8 else 1.0,
    }[how]


HOSTS: dict[str, dict[str, Any]] = {
    "a steady host": {},
    "a host of two speeds": {"depth": 0.4},
    "the same, faster at the end": {"depth": 0.4, "fast_at_end": True},
    "the same, a target that waits for a network": {"depth": 0.4, "follows": 0, "fast_at_end": True},
}

LOSSES = ((0.2, "steadily"), (0.25, "steadily"), (0.25, "half-way"), (0.25, "in the last fifth"))


def degraded(seed: int, lost: float, how: str, host: dict[str, Any]) -> Finding:
    return degradation(noisy_ticks(seed, slower(lost, how), **host), WARMUP_S)


def grown(seed: int, megabytes: int, kind: str) -> Finding:
    return memory_growth(memory_ticks(seed, kind, megabytes), RUN_S, WARMUP_S)


SERIES: dict[str, Callable[[int], Finding]] = {
    **{
        f"degradation, {lost:.0%} lost {how}, {title}": partial(degraded, lost=lost, how=how, host=host)
        for lost, how in ((0.0, "steadily"), *LOSSES)
        for title, host in HOSTS.items()
    },
    **{
        f"memory, {megabytes} MB grown, {kind}": partial(grown, megabytes=megabytes, kind=kind)
        for megabytes in (0, 40)
        for kind in MEMORY_KINDS
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000)
    runs = parser.parse_args().runs
    print(f"{'of ' + format(runs, ','):78} {'pass':>8} {'inconcl.':>8} {'fail':>8}")
    with ProcessPoolExecutor() as pool:
        for title, counted in zip(SERIES, counts(pool, runs), strict=True):
            shares = (f"{counted[outcome] / runs:8.1%}" for outcome in OUTCOMES)
            print(f"{title:78} {' '.join(shares)}", flush=True)


def counts(pool: ProcessPoolExecutor, runs: int) -> Iterator[Counter[str]]:
    for title in SERIES:
        yield Counter(pool.map(outcome, every(title, runs), chunksize=20))


def every(title: str, runs: int) -> Iterable[Run]:
    return ((title, seed) for seed in range(runs))


def outcome(run: Run) -> str:
    title, seed = run
    found = SERIES[title](seed)
    if not isinstance(found, Measured):
        return "inconclusive"
    name = "degradation" if title.startswith("degradation") else "memory_growth"
    return str(BY_NAME[name].decide(found.low, found.high))


if __name__ == "__main__":
    main()

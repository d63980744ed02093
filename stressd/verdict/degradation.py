"""Whether the target gets slower: work per busy second, the last quarter of the load against the first.

How it is estimated, what else was tried, and how often it errs: docs/decisions/degradation.md. In short: a
paced load keeps the plain rate constant, and a mix that wanders changes the mean; so the time of each class
of operation (see `metrics.CLASSES`) is compared with that class's own median over the run, and the classes
are weighed by the share of busy time they take in the whole run. Logarithms throughout: 0 is the run's own
usual speed, 0.1 a tenth slower.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stressd.metrics import CLASSES
from stressd.verdict.evidence import Tick
from stressd.verdict.measured import Inconclusive, Measured
from stressd.verdict.statistics import (
    Estimate,
    Series,
    bootstrap_difference,
    interquartile_mean,
    theil_sen,
    weighted_median,
)

_WINDOW_S: Final = 2.0
_MOST_WINDOWS: Final = 200
_LEAST_WINDOWS: Final = 20
_AFTERMATH_S: Final = 3.0
_CONFIDENCE: Final = 0.90  # pass and fail each look at one end: 5 % on that side
_SHOWN_SHARE: Final = 0.1  # a class that takes less of the busy time is not worth a word


def degradation(ticks: Sequence[Tick], warmup_s: float) -> Measured | Inconclusive:
    """Return by how many percent work per busy second fell from the load's first quarter to its last.

    Ticks of the warm-up, and those with a fault at work or just over, do not count.
    """
    steady = undisturbed([tick for tick in ticks if tick.at_s - tick.duration_s >= warmup_s - 1e-6], ticks)
    windows = _windows(steady)
    if windows is None or len(windows.at_s) < _LEAST_WINDOWS:
        usable_s = sum(tick.duration_s for tick in steady)
        return Inconclusive(
            f"{usable_s:.0f} s of load after warm-up, faults apart: too short for a trend; "
            f"it takes {_LEAST_WINDOWS * _WINDOW_S:.0f} s or more"
        )
    part = max(1, len(windows.at_s) // 4)
    slower = _last_against_first(windows, part)
    lost = Estimate(*(100 * (1 - float(np.exp(-log))) for log in slower))
    return Measured.of(lost, _note(windows, part), sampled_s=float(np.ptp(windows.at_s)))


def undisturbed(ticks: Sequence[Tick], all_ticks: Sequence[Tick]) -> list[Tick]:
    """Return those of `ticks` in which no fault was at work, nor within the 3 s before."""
    faulty = np.array([tick.at_s for tick in all_ticks if tick.fault])
    return [tick for tick in ticks if not tick.fault and not _just_after(faulty, tick)]


@dataclass(frozen=True, slots=True)
class _Windows:
    """One row per window; the columns of the matrices are `CLASSES`, NaN where there was nothing."""

    at_s: Series
    slowness: Series
    by_class: Series
    p99_s: Series
    weights: Series


def _just_after(faulty_at_s: Series, tick: Tick) -> bool:
    since_s = tick.at_s - tick.duration_s - faulty_at_s
    return bool(np.any((since_s > -tick.duration_s) & (since_s < _AFTERMATH_S)))


def _windows(ticks: Sequence[Tick]) -> _Windows | None:
    counts = np.array([tick.counts for tick in ticks], dtype=np.float64)
    if not counts.sum():
        return None
    p50_s, p99_s = (_matrix(ticks, quantile) for quantile in ("p50_s", "p99_s"))
    used = np.flatnonzero(np.nansum(np.where(np.isnan(p50_s), 0, counts), axis=0))
    usual_s = np.full(len(CLASSES), np.nan)
    for index in used:
        known = ~np.isnan(p50_s[:, index])
        usual_s[index] = weighted_median(p50_s[known, index], counts[known, index])
    weights = np.nan_to_num(counts.sum(axis=0) * usual_s)
    group = _groups(ticks)
    by_class = _grouped_mean(np.log(p50_s / usual_s), counts, group)
    present = np.where(np.isnan(by_class), 0, weights)
    filled = present.sum(axis=1) > 0
    slowness = (present * np.nan_to_num(by_class)).sum(axis=1)[filled] / present.sum(axis=1)[filled]
    at_s = np.bincount(group, weights=[tick.at_s for tick in ticks]) / np.bincount(group)
    return _Windows(at_s[filled], slowness, by_class[filled], _grouped_mean(p99_s, counts, group)[filled], weights)


def _matrix(ticks: Sequence[Tick], quantile: str) -> Series:
    rows = [[np.nan if value is None else value for value in getattr(tick, quantile)] for tick in ticks]
    return np.array(rows, dtype=np.float64)


def _groups(ticks: Sequence[Tick]) -> NDArray[np.intp]:
    """Return for each tick the number of its window, without gaps."""
    start_s = ticks[0].at_s - ticks[0].duration_s
    width_s = max(_WINDOW_S, (ticks[-1].at_s - start_s) / _MOST_WINDOWS)
    middles_s = np.array([tick.at_s - tick.duration_s / 2 for tick in ticks])
    return np.unique(((middles_s - start_s) // width_s).astype(np.intp), return_inverse=True)[1]


def _grouped_mean(values: Series, counts: Series, group: NDArray[np.intp]) -> Series:
    """Return the mean of each window and class, weighted by `counts`; NaN where nothing was counted."""
    known = ~np.isnan(values)
    sums, weights = (np.zeros((group.max() + 1, values.shape[1])) for _ in range(2))
    np.add.at(sums, group, np.where(known, values, 0) * counts)
    np.add.at(weights, group, known * counts)
    means: Series = np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)
    return means


def _last_against_first(windows: _Windows, part: int) -> Estimate:
    """Return the last part's slowness minus the first's.

    The trend of all windows narrows the interval: it uses the middle half of the run too. It may not move the
    interval off the estimate itself, so what happens only at the end still counts in full.
    """
    found = bootstrap_difference(windows.slowness[:part], windows.slowness[-part:], interquartile_mean, _CONFIDENCE)
    span_s = float(np.ptp(windows.at_s))
    trend = theil_sen(windows.at_s, windows.slowness, _CONFIDENCE).scaled(span_s)
    low = max(found.low, min(trend.low, found.value))
    high = min(found.high, max(trend.high, found.value))
    return Estimate(found.value, min(low, found.value), max(high, found.value))


def _note(windows: _Windows, part: int) -> str:
    """Say what each class that matters did, and what became of the p99 of the one that matters most."""
    shares = windows.weights / windows.weights.sum()
    told = []
    for index in np.argsort(-shares, kind="stable"):
        first, last = (_center(rows[:, index]) for rows in (windows.by_class[:part], windows.by_class[-part:]))
        if shares[index] >= _SHOWN_SHARE and not np.isnan(last - first):
            told.append(f"{'/'.join(CLASSES[index]).removesuffix('/none')} {100 * (np.exp(last - first) - 1):+.0f} %")
    heaviest = int(np.argmax(shares))
    first, last = (_center(rows[:, heaviest]) for rows in (windows.p99_s[:part], windows.p99_s[-part:]))
    name = "/".join(CLASSES[heaviest]).removesuffix("/none")
    p99 = "" if np.isnan(last - first) else f"; p99 of {name} {1000 * first:.3g} → {1000 * last:.3g} ms"
    return f"times: {', '.join(told)}{p99}" if told else ""


def _center(values: Series) -> float:
    known = values[~np.isnan(values)]
    return float(interquartile_mean(known)) if len(known) else float("nan")

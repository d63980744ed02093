"""Whether the target gets slower: work per busy second, the last quarter of the load against the first.

How it is estimated, what else was tried, and how often it errs: docs/decisions/degradation.md. In short: a
paced load keeps the plain rate constant, and a mix that wanders changes the mean; so the time of each class
of operation (see `metrics.CLASSES`) is compared with that class's own median over the run, and the classes
are weighed by the share of busy time they take in the whole run. Logarithms throughout: 0 is the run's own
usual speed, 0.1 a tenth slower.

A machine that is shared changes its own speed, by more than the line of failure. The checks hash every cell of every
read from the store: work that never changes, on the same cores, at the same moments. What its processor time per cell
says about the host is taken out of the target's times, as far as they were seen to follow it.
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
    clipped,
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
_SHOWN_HOST: Final = 0.03  # a host that changed by less is not worth one either
_JACKKNIFE: Final = 8
_FULL: Final = 0.1  # a machine with less of its processors idle than this is full ...
_SHARE_OF_OTHERS: Final = 0.2  # ... because of others, if they use more than this
_SIGMAS: Final = 1.64  # of a normal distribution, 5 % on each side


def degradation(ticks: Sequence[Tick], warmup_s: float) -> Measured | Inconclusive:
    """Return by how many percent work per busy second fell from the load's first quarter to its last.

    Ticks of the warm-up, those with a fault at work or just over, and those in which other programs had the machine, do
    not count.
    """
    steady = undisturbed([tick for tick in ticks if tick.at_s - tick.duration_s >= warmup_s - 1e-6], ticks)
    windows = _windows(steady)
    if windows is None or len(windows.at_s) < _LEAST_WINDOWS:
        usable_s = sum(tick.duration_s for tick in steady)
        return Inconclusive(
            f"{usable_s:.0f} s of load after warm-up, faults apart{_note_of_others(ticks)}: too short for a trend; "
            f"it takes {_LEAST_WINDOWS * _WINDOW_S:.0f} s or more"
        )
    part = max(1, len(windows.at_s) // 4)
    host = _host(windows, part)
    slower = _last_against_first(windows, host, part)
    lost = Estimate(*(100 * (1 - float(np.exp(-log))) for log in slower))
    return Measured.of(lost, _note(windows, host, part) + _note_of_others(ticks), sampled_s=float(np.ptp(windows.at_s)))


def host_speed(ticks: Sequence[Tick], warmup_s: float) -> dict[str, float | None]:
    """Return the control of a run: the processor time of comparing a cell, and how far the target's times followed it.

    `followed` from 0 (not at all) to 1 (as one), with its standard error. None where too little was measured to tell.
    """
    steady = undisturbed([tick for tick in ticks if tick.at_s - tick.duration_s >= warmup_s - 1e-6], ticks)
    windows = _windows(steady)
    if windows is None or (~np.isnan(windows.control)).sum() < _LEAST_WINDOWS:
        return {"seconds_per_cell": None, "followed": None, "followed_error": None}
    host = _host(windows, max(1, len(windows.at_s) // 4))
    usual_s = float(np.exp(interquartile_mean(host.control)))
    return {"seconds_per_cell": usual_s, "followed": host.share, "followed_error": host.spread}


def undisturbed(ticks: Sequence[Tick], all_ticks: Sequence[Tick]) -> list[Tick]:
    """Return those of `ticks` with no fault at work, nor within the 3 s before, and with the machine not others'."""
    faulty = np.array([tick.at_s for tick in all_ticks if tick.fault])
    return [tick for tick in ticks if not tick.fault and not _just_after(faulty, tick) and not crowded(tick)]


def crowded(tick: Tick) -> bool:
    """Whether we had to wait for a processor that another program used. One that is merely busy takes nothing away."""
    return tick.idle < _FULL and tick.others > _SHARE_OF_OTHERS


@dataclass(frozen=True, slots=True)
class _Windows:
    """One row per window; the columns of the matrices are `CLASSES`, NaN where there was nothing."""

    at_s: Series
    slowness: Series
    by_class: Series
    p99_s: Series
    weights: Series
    control: Series  # one figure a window: processor time for a cell checked, NaN where none was


@dataclass(frozen=True, slots=True)
class _Host:
    """What the host's own speed has to do with the target's times.

    `share`: how far these follow the control, 0 (not at all) to 1 (as one); `spread` its standard error. `control` has
    no gaps. `slower` is how much slower the host was in the last part than in the first.
    """

    share: float
    spread: float
    control: Series
    slower: float


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
    p99_s = _grouped_mean(p99_s, counts, group)
    return _Windows(at_s[filled], slowness, by_class[filled], p99_s[filled], weights, _control(ticks, group)[filled])


def _control(ticks: Sequence[Tick], group: NDArray[np.intp]) -> Series:
    cells = np.bincount(group, weights=[tick.cells for tick in ticks])
    cpu_s = np.bincount(group, weights=[tick.cells_cpu_s for tick in ticks])
    known = (cells > 0) & (cpu_s > 0)
    return np.log(np.divide(cpu_s, cells, out=np.full_like(cpu_s, np.nan), where=known))


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


def _host(windows: _Windows, part: int) -> _Host:
    """Find how far the target's times follow the host's speed, by what both do beside their trends.

    Their trends are left out, or a target and a host that happen to drift together would be taken for one.
    """
    known = ~np.isnan(windows.control)
    if known.sum() < _LEAST_WINDOWS:
        return _Host(0.0, 0.0, np.zeros_like(windows.control), 0.0)
    control = np.interp(windows.at_s, windows.at_s[known], windows.control[known])
    moves, host_moves = (_beside_trend(windows.at_s, series) for series in (windows.slowness, control))
    without = [
        _following(np.delete(moves, block), np.delete(host_moves, block))
        for block in np.array_split(np.arange(len(moves)), _JACKKNIFE)
    ]
    spread = float(np.sqrt((_JACKKNIFE - 1) * np.var(without)))
    slower = float(interquartile_mean(control[-part:]) - interquartile_mean(control[:part]))
    return _Host(_following(moves, host_moves), spread, control, slower)


def _beside_trend(at_s: Series, series: Series) -> Series:
    """Return what is left without the straight line; what lies further out than 3 sigma counts as 3 sigma."""
    return clipped(series - np.polyval(np.polyfit(at_s, series, 1), at_s))


def _following(moves: Series, host_moves: Series) -> float:
    """Return the slope of `moves` over `host_moves`, from 0 to 1.

    Noise in the control alone would make a plain regression's slope too flat. So what the neighbouring windows say of
    the host is the instrument (Reiersøl 1941; Durbin 1954): they share its speed and not the noise.
    """
    instrument = host_moves[:-2] + host_moves[2:]
    shared = float(instrument @ host_moves[1:-1])
    return min(max(float(instrument @ moves[1:-1]) / shared, 0.0), 1.0) if shared > 0 else 0.0


def _last_against_first(windows: _Windows, host: _Host, part: int) -> Estimate:
    """Return the last part's slowness minus the first's, the host's share taken out.

    The trend of all windows narrows the interval: it uses the middle half of the run too. It may not move the
    interval off the estimate itself, so what happens only at the end still counts in full. How well the host's share is
    known widens it.
    """
    own = windows.slowness - host.share * host.control
    found = bootstrap_difference(own[:part], own[-part:], interquartile_mean, _CONFIDENCE)
    span_s = float(np.ptp(windows.at_s))
    trend = theil_sen(windows.at_s, own, _CONFIDENCE).scaled(span_s)
    value = found.value
    below = value - max(found.low, min(trend.low, value))
    above = min(found.high, max(trend.high, value)) - value
    unsure = _SIGMAS * host.spread * host.slower
    return Estimate(value, value - float(np.hypot(below, unsure)), value + float(np.hypot(above, unsure)))


def _note(windows: _Windows, host: _Host, part: int) -> str:
    """Say what each class that matters did, the p99 of the one that matters most, and what of it was the host's."""
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
    return f"times: {', '.join(told)}{p99}{_note_of(host)}" if told else ""


def _note_of_others(ticks: Sequence[Tick]) -> str:
    crowded_s = sum(tick.duration_s for tick in ticks if crowded(tick))
    return f"; {crowded_s:.0f} s left out: other programs had the machine" if crowded_s else ""


def _note_of(host: _Host) -> str:
    taken_out = host.share * host.slower
    if abs(taken_out) < _SHOWN_HOST:
        return ""
    return f"; {100 * (np.exp(taken_out) - 1):+.0f} % of it was the host's own speed, and does not count"


def _center(values: Series) -> float:
    known = values[~np.isnan(values)]
    return float(interquartile_mean(known)) if len(known) else float("nan")

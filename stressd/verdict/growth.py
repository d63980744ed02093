"""Whether the process tree's memory grows: its slope after warm-up, over the run or an hour."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from stressd.verdict.evidence import Tick
from stressd.verdict.measured import Inconclusive, Measured
from stressd.verdict.statistics import Estimate, batch_medians, theil_sen

MB: Final = 1e6
_WARMUP_SHARE: Final = 1 / 3
_CONFIDENCE: Final = 0.90  # pass and fail each look at one end: 5 % on that side
_LEAST_S: Final = 30.0
_LEAST_TICKS: Final = 20
_BATCH_TICKS: Final = 5  # workers give back free heap every five seconds: each batch has a whole tooth of that saw
_BATCHES: Final = (12, 60)
_LONG_RUN_S: Final = 600.0
_HOUR_S: Final = 3600.0
_WORTH_A_WORD_MB: Final = 5.0


def memory_growth(ticks: Sequence[Tick], load_s: float, warmup_s: float) -> Measured | Inconclusive:
    """Return the growth in MB: over the run up to ten minutes, per hour beyond.

    Memory warms up longer than service does: a third of the run is left out, or the scenario's warm-up if
    that is longer. The resident size counts, not the proportional one: that moves with whoever else on the
    machine maps the same libraries (docs/decisions/memory-growth.md).
    """
    settled_s = max(warmup_s, _WARMUP_SHARE * load_s)
    settled = [tick for tick in ticks if tick.at_s >= settled_s]
    covered_s = settled[-1].at_s - settled[0].at_s if settled else 0.0
    if covered_s < _LEAST_S * 0.95 or len(settled) < _LEAST_TICKS:
        needed_s = max(warmup_s + _LEAST_S, _LEAST_S / (1 - _WARMUP_SHARE))
        return Inconclusive(
            f"{len(settled)} samples over {covered_s:.0f} s after memory's warm-up of {settled_s:.0f} s: "
            f"too short; a run of {needed_s:.0f} s or more can tell"
        )
    per_s = load_s if load_s <= _LONG_RUN_S else _HOUR_S
    growth = _growth_mb(settled, lambda tick: tick.rss_bytes, per_s)
    period = "over the run" if per_s == load_s else "per hour"
    note = f"resident, {period}" + _allocator(settled, growth, per_s)
    return Measured.of(growth, note, sampled_s=covered_s)


def _growth_mb(ticks: Sequence[Tick], size: Callable[[Tick], int], per_s: float) -> Estimate:
    few, many = _BATCHES
    batches = min(many, max(few, len(ticks) // _BATCH_TICKS))
    at_s, medians = batch_medians([tick.at_s for tick in ticks], [size(tick) for tick in ticks], batches)
    return theil_sen(at_s, medians, _CONFIDENCE).scaled(per_s / MB)


def _allocator(ticks: Sequence[Tick], growth: Estimate, per_s: float) -> str:
    if growth.value < _WORTH_A_WORD_MB or not np.any([tick.arrow_bytes for tick in ticks]):
        return ""
    arrow = _growth_mb(ticks, lambda tick: tick.arrow_bytes, per_s)
    if arrow.value >= 0.1 * growth.value:
        return f", Arrow's buffers {arrow.value:+.1f} MB of it"
    return f", Arrow's buffers flat ({arrow.value:+.1f} MB): an allocator holding on, or memory outside Arrow"

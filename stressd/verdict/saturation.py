"""Whether the load that was asked for was reached; if not, the figures are those of a lower one, and that is said."""

from collections.abc import Sequence
from typing import Final

from stressd.verdict.evidence import Reach, Tick

SHARE: Final = 0.05  # of starts that were not begun, or begun late ...
CPU: Final = 0.9  # ... while so much of the cores was in use
STALL_S: Final = 2.0  # of starts may wait at the end: the target may just have stalled


def reach_of(ticks: Sequence[Tick], warming_s: float, cores: float) -> Reach:
    """Return what was asked for and what was begun after warm-up, without the time of faults.

    Short of it by `SHARE`, and by more than one stall explains, the target was the limit, or this machine's processors
    where they were in use, by whom ever. They were the limit, too, where starts came late because this run took all of
    them: then the latencies are the generator's own.
    """
    counted = [tick for tick in ticks if tick.at_s - tick.duration_s >= warming_s - 1e-6 and not tick.fault]
    seconds = sum(tick.duration_s for tick in counted)
    offered, begun, late = (sum(getattr(tick, name) for tick in counted) for name in ("offered", "begun", "late"))
    if not offered:
        return Reach()
    taken = sum(tick.cpu_s for tick in counted) > CPU * seconds * cores
    none_left = taken or sum(tick.idle * tick.duration_s for tick in counted) < (1 - CPU) * seconds
    if offered - begun > max(SHARE, STALL_S / seconds) * offered:
        limit = "processor" if none_left else "target"
    else:
        limit = "processor" if taken and late > SHARE * begun else ""
    return Reach(offered / seconds, begun / seconds, limit)

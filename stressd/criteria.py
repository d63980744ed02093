"""Every success criterion, once. The verdict, alert rules, dashboards' thresholds and documentation derive from it.

A criterion compares one value with two lines: `pass` and `fail`; what lies between is a warning. Where the value is an
estimate, it comes with an interval, and only an interval that lies on one side decides (`Criterion.decide`).
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Outcome(StrEnum):
    """What a criterion, or a run, can end in."""

    PASS = "pass"  # noqa: S105 - no password, a verdict
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"


STATUS_CODE: Final = {outcome: code for code, outcome in enumerate(Outcome)}

Subject = Literal["target", "generator", "host"]
Comparison = Literal[">=", ">", "<=", "<", "=="]
Ability = Literal["storage", "cache", "short_ttl", "paced_load", "load", "faults"]

_COMPARE: Final[dict[Comparison, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A threshold: the value is on this side if `value comparison bound` holds."""

    comparison: Comparison
    bound: float

    def holds(self, value: float) -> bool:
        """Say whether `value` is on this side of the line."""
        return _COMPARE[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One success criterion.

    `unit` is that of value and bounds; unit `yes` means 1 for yes and 0 for no. `needs` are the abilities that target
    and scenario must have, or the criterion is not applicable. `probe` names the probe that measures it, where a probe
    can: its figure then comes from the probe if the scenario runs it, from the load otherwise.
    """

    name: str
    subject: Subject
    unit: str
    pass_line: Line
    fail_line: Line
    measures: str
    window: str
    why: str
    needs: tuple[Ability, ...] = ()
    probe: str | None = None

    def decide(self, low: float, high: float) -> Outcome:
        """Judge a value known to lie between `low` and `high` (equal for an exact figure). NaN decides nothing."""
        ends = (low, high)
        if any(map(math.isnan, ends)):
            return Outcome.INCONCLUSIVE
        if all(map(self.pass_line.holds, ends)):
            return Outcome.PASS
        if all(map(self.fail_line.holds, ends)):
            return Outcome.FAIL
        if any(map(self.fail_line.holds, ends)):
            return Outcome.INCONCLUSIVE
        return Outcome.WARN


def _at_least(bound: float) -> tuple[Line, Line]:
    return Line(">=", bound), Line("<", bound)


def _below(bound: float) -> tuple[Line, Line]:
    return Line("<", bound), Line(">=", bound)


_YES: Final = (Line("==", 1), Line("==", 0))
_NONE: Final = (Line("<=", 0), Line(">", 0))

CRITERIA: Final = (
    Criterion(
        "generation_rate",
        "generator",
        "movies/s",
        *_at_least(10),
        measures="features of 1,000 movies, per second of generating",
        window="probe",
        why="Below it a nightly refresh of a catalogue does not end before morning.",
        probe="generation",
    ),
    Criterion(
        "save_throughput",
        "target",
        "MB/s",
        *_at_least(10),
        measures="payload bytes in memory per second of saving",
        window="whole load, or probe",
        why="A store slower than this holds up every pipeline that feeds it.",
        needs=("storage",),
        probe="storage",
    ),
    Criterion(
        "read_throughput",
        "target",
        "MB/s",
        *_at_least(20),
        measures="payload bytes in memory per second of reading from the store, not from a cache",
        window="whole load, or probe",
        why="Training reads what serving has cached: without a cache to help it must still be quick.",
        needs=("storage",),
        probe="storage",
    ),
    Criterion(
        "concurrent_success_rate",
        "target",
        "%",
        Line(">=", 95),
        Line("<", 90),
        measures="operations of 8 threads behind a barrier that succeeded",
        window="probe",
        why="A store that gives up under eight callers at once gives up in production.",
        needs=("storage",),
        probe="concurrency",
    ),
    Criterion(
        "generation_memory",
        "generator",
        "MB",
        *_below(300),
        measures="peak resident memory of the one process that makes 1,000 movies' features",
        window="probe",
        why="Feature jobs share small machines.",
        probe="generation",
    ),
    Criterion(
        "error_rate",
        "target",
        "%",
        Line("<", 1),
        Line(">=", 5),
        measures="operations that failed, injected errors apart: over all, and in the worst minute",
        window="whole load, worst minute",
        why="An average over hours hides the minute in which users saw errors.",
        needs=("load",),
    ),
    Criterion(
        "memory_growth",
        "target",
        "MB",
        *_below(20),
        measures="growth of the process tree after warm-up, by its slope: over the run, per hour beyond ten minutes",
        window="load after warm-up",
        why="A leak that a minute hides ends a month-long run.",
        needs=("load",),
    ),
    Criterion(
        "memory_released",
        "target",
        "MB",
        Line("<=", 20),
        Line(">", 20),
        measures="resident memory after collecting, over the level after one warm-up pass",
        window="probe",
        why="What a pass borrows it must give back.",
        probe="memory",
    ),
    Criterion(
        "cpu_at_rest",
        "target",
        "%",
        *_below(50),
        measures="processor time of our process tree over the cores it may use, under paced load",
        window="load after warm-up",
        why="A paced load must leave room for a peak, and the generator must not be the bottleneck.",
        needs=("paced_load",),
    ),
    Criterion(
        "cache_speedup",
        "target",
        "x",
        Line(">=", 5),
        Line("<", 2),
        measures="median time of a read from the store over that of one from the cache",
        window="whole load, or probe",
        why="A cache that is not clearly faster only costs memory.",
        needs=("storage", "cache"),
        probe="cache",
    ),
    Criterion(
        "cache_hit_rate",
        "target",
        "%",
        Line(">", 80),
        Line("<=", 80),
        measures="cache hits among reads of a version that this process read before, within its time to live",
        window="whole load, or probe",
        why="Only reads that a cache could have answered count against it.",
        needs=("storage", "cache"),
        probe="cache",
    ),
    Criterion(
        "cache_ttl_refresh",
        "target",
        "yes",
        *_YES,
        measures="an entry past its time to live is read anew, and is right",
        window="probe",
        why="A cache that never lets go serves yesterday's features.",
        needs=("storage", "cache", "short_ttl"),
        probe="cache",
    ),
    Criterion(
        "recovery",
        "target",
        "yes",
        *_YES,
        measures="good service again by itself after each transient fault",
        window="after each fault",
        why="A store that needs a restart after a hiccup needs someone awake at night.",
        needs=("load", "faults"),
    ),
    Criterion(
        "data_integrity",
        "target",
        "violations",
        *_NONE,
        measures="data violations, concurrent or not, crash or not",
        window="whole run",
        why="A wrong feature is worse than none: a model believes it.",
    ),
    Criterion(
        "degradation",
        "target",
        "%",
        *_below(10),
        measures="work per busy second, last part against first, by medians of windows",
        window="load after warm-up",
        why="A store that slows by a tenth in minutes is unusable in weeks.",
        needs=("load",),
    ),
    Criterion(
        "worker_deaths",
        "host",
        "deaths",
        *_NONE,
        measures="workers that died without the fault schedule asking for it",
        window="whole run",
        why="A crash in the store's client takes the service down with it.",
    ),
)

BY_NAME: Final = {criterion.name: criterion for criterion in CRITERIA}

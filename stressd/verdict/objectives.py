"""Objectives over windows: what each window of the load came to, the worst of them, and whether it is time to stop.

A window is made of twelve steps (fewer, where a sample of the load is longer than that), and moves on by one. Steps are
sums of fixed size; of windows that are over only their value stays, of a bounded number. So a run of weeks holds what
one of minutes does.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stressd.metrics import CLASSES
from stressd.objectives import LEAST_OPERATIONS, QUANTILES, Objective
from stressd.stats.histogram import Counts, quantile_s
from stressd.stats.table import Snapshot
from stressd.verdict.measured import Finding, Inconclusive, Measured

STEPS: Final = 12
_VALUES_MOST: Final = 4_096
_FAILURES: Final = ("error", "timeout")
_OUTCOMES: Final = ("ok", "violation", *_FAILURES)


class Value(NamedTuple):
    """What a window came to; `at_s` is its end, in seconds of load."""

    at_s: float
    value: float


class Broken(NamedTuple):
    """An objective that has been beyond its line of failure for as long as it may."""

    objective: Objective
    since_s: float
    value: float


@dataclass(slots=True)
class _Step:
    """What was counted in a part of a window."""

    duration_s: float
    counts: Counts
    failed: int
    ended: int


class Objectives:
    """All objectives of a run. `take` and the rest by one thread; `findings` by any.

    `rolling_s`: windows that ended longer ago do not count any more; None: all do.
    """

    def __init__(self, objectives: Sequence[Objective], rolling_s: float | None = None) -> None:
        self._watched = [_Watched(objective, rolling_s) for objective in objectives]

    def take(self, at_s: float, duration_s: float, counted: Snapshot, *, counts: bool) -> None:
        """Add what the load's lanes counted in the `duration_s` before `at_s`; `counts`: no warm-up and no fault."""
        for watched in self._watched:
            if counts:
                watched.take(at_s, duration_s, counted)

    def change(self, objectives: Sequence[Objective]) -> None:
        """Take other lines for the same objectives."""
        for watched, objective in zip(self._watched, objectives, strict=True):
            watched.objective = objective

    @property
    def broken(self) -> Broken | None:
        """The first objective that is to end the run."""
        return next((broken for watched in self._watched if (broken := watched.broken)), None)

    def findings(self) -> Mapping[str, Finding]:
        """Return how each objective stands, by its name."""
        return {watched.objective.name: watched.finding() for watched in self._watched}


@dataclass(slots=True)
class _Watched:
    objective: Objective
    rolling_s: float | None
    _steps: deque[_Step] = field(default_factory=deque)
    _open: _Step | None = None
    _values: deque[Value] = field(default_factory=lambda: deque(maxlen=_VALUES_MOST))
    _worst: Value | None = None
    _windows: int = 0
    _too_few: int = 0
    _most_ended: int = 0
    _measured_s: float = 0.0
    _failing_since_s: float | None = None
    _last: Value | None = None

    def take(self, at_s: float, duration_s: float, counted: Snapshot) -> None:
        step = _step(self.objective, duration_s, counted)
        self._measured_s += duration_s
        self._open = step if self._open is None else _sum([self._open, step])
        if self._open.duration_s < self.objective.window / STEPS - 1e-6:
            return
        self._steps.append(self._open)
        self._open = None
        whole_s = sum(step.duration_s for step in self._steps)
        while whole_s - self._steps[0].duration_s >= self.objective.window - 1e-6:
            whole_s -= self._steps.popleft().duration_s
        if whole_s >= self.objective.window - 1e-6:
            self._close(at_s, _sum(list(self._steps)))

    def _close(self, at_s: float, window: _Step) -> None:
        self._windows += 1
        self._most_ended = max(self._most_ended, window.ended)
        if window.ended < LEAST_OPERATIONS[self.objective.stat]:
            self._too_few += 1
            return
        found = self._last = Value(at_s, _value(self.objective, window))
        self._values.append(found)
        self._worst = self._worse(self._worst, found)
        if not self.objective.criterion.fail_line.holds(found.value):
            self._failing_since_s = None
        elif self._failing_since_s is None:
            self._failing_since_s = at_s

    def _worse(self, one: Value | None, other: Value) -> Value:
        worst = min if self.objective.stat == "rate" else max
        return other if one is None else worst(one, other, key=lambda value: value.value)

    @property
    def broken(self) -> Broken | None:
        after_s, since_s, last = self.objective.abort_after, self._failing_since_s, self._last
        if after_s is None or since_s is None or last is None or last.at_s - since_s < after_s:
            return None
        return Broken(self.objective, since_s, last.value)

    def finding(self) -> Finding:
        worst = self._worst
        if self.rolling_s is not None and self._last is not None:
            worst = None
            for value in list(self._values):
                if value.at_s > self._last.at_s - self.rolling_s:
                    worst = self._worse(worst, value)
        if worst is None:
            return Inconclusive(self._why_not())
        told = f"worst of {self._windows - self._too_few:,} windows of {self.objective.window:g} s"
        return Measured(worst.value, worst.value, worst.value, told, worst_at_s=worst.at_s)

    def _why_not(self) -> str:
        window_s, least = self.objective.window, LEAST_OPERATIONS[self.objective.stat]
        if not self._windows:
            return f"{self._measured_s:.0f} s of load after warm-up, faults apart: no whole window of {window_s:g} s"
        return (
            f"at most {self._most_ended} operations in {window_s:g} s; {least} are needed for a {self.objective.stat}"
        )


def _step(objective: Objective, duration_s: float, counted: Snapshot) -> _Step:
    sources = [source for op, source in CLASSES if op == objective.op and objective.source in (None, source)]
    counts = sum(counted.histogram("operation_service_seconds", objective.op, source) for source in sources)
    failed = sum(counted.total("operations_total", objective.op, outcome) for outcome in _FAILURES)
    ended = sum(counted.total("operations_total", objective.op, outcome) for outcome in _OUTCOMES)
    if objective.stat != "error_ratio":  # of what raised there is no service time, and it may come from anywhere
        ended = int(counts.sum())  # type: ignore[union-attr]  # CLASSES has each op
    return _Step(duration_s, counts, failed, ended)  # type: ignore[arg-type]  # as above


def _sum(steps: Sequence[_Step]) -> _Step:
    return _Step(
        sum(step.duration_s for step in steps),
        sum(step.counts for step in steps),  # type: ignore[arg-type]  # arrays add up
        sum(step.failed for step in steps),
        sum(step.ended for step in steps),
    )


def _value(objective: Objective, window: _Step) -> float:
    if objective.stat == "error_ratio":
        return 100 * window.failed / window.ended
    if objective.stat == "rate":
        return window.ended / window.duration_s
    return quantile_s(window.counts, QUANTILES[objective.stat]) or 0.0

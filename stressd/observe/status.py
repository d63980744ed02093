"""What people are shown of a running soak: live page, `/api/status` and terminal all show one `Status`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from statistics import median
from typing import Final

from stressd.criteria import Criterion, Outcome
from stressd.metrics import CLASSES, OPS, OUTCOMES, VIOLATIONS
from stressd.observe.processes import MemoryHistory, ProcessStatus
from stressd.redaction import redacted
from stressd.stats.histogram import quantiles_s
from stressd.stats.table import Snapshot
from stressd.verdict.evidence import FaultRecord, Tick

SCHEMA: Final = "stressd.status/1"
CLASS_NAMES: Final = tuple(op if source == "none" else f"{op} ({source})" for op, source in CLASSES)
HISTORY_POINTS: Final = 240
_NO_MEMORY: Final = MemoryHistory((), {})
_FAILED: Final = ("error", "timeout")
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool's worker processes: how many should run, and how many are in each of `metrics.WORKER_STATES`."""

    name: str
    desired: int
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the daemon knows of itself. `phase` says more than `state`: `probe storage`, or is empty.

    `sample` numbers the statuses: two with the same number say the same. `verdict` is that of the run as it stands.
    """

    state: str
    run_id: str
    scenario: str
    target: str
    seed: int
    version: str
    started_at: str
    elapsed_s: float
    duration_s: float | None
    phase: str = ""
    pools: Sequence[PoolFacts] = ()
    deaths: int = 0
    restarts: Mapping[str, int] = field(default_factory=dict)
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    faults: Sequence[FaultRecord] = ()
    verdict: str | None = None
    sample: int = 0


@dataclass(frozen=True, slots=True)
class CriterionStatus:
    """A criterion as it stands. `passes` and `fails` are its lines as text: `>= 10`, `< 10`."""

    name: str
    subject: str
    outcome: str
    value: float | None
    unit: str
    passes: str
    fails: str
    measures: str
    note: str = ""

    @classmethod
    def of(cls, criterion: Criterion, outcome: Outcome, value: float | None, note: str = "") -> "CriterionStatus":
        """Return how `criterion`, its lines moved where the scenario moves them, stands."""
        return cls(
            name=criterion.name,
            subject=criterion.subject,
            outcome=outcome.value,
            value=_finite(value),
            unit=criterion.unit,
            passes=str(criterion.pass_line),
            fails=str(criterion.fail_line),
            measures=criterion.measures,
            note=redacted(note),
        )


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """One of `metrics.CLASSES`: all since the start, but for the rate and what is called recent.

    Quantiles are service times, in seconds; None where nothing was counted.
    """

    op: str
    source: str
    count: int
    rate_per_s: float
    p50_s: float | None
    p99_s: float | None
    recent_p50_s: float | None
    recent_p99_s: float | None

    @property
    def name(self) -> str:
        """What people call it: one of `CLASS_NAMES`."""
        return CLASS_NAMES[CLASSES.index((self.op, self.source))]


@dataclass(frozen=True, slots=True)
class History:
    """At most `HISTORY_POINTS` points of `step_s` seconds each, oldest first: lists of one length.

    `rates_per_s` counts all operations; p50 (medians) and p99 (the worst tick's) are by name of the
    operation, None where there was none.
    """

    step_s: float
    at_s: Sequence[float]
    rates_per_s: Sequence[float]
    memory_bytes: Sequence[int]
    errors: Sequence[int]
    faults: Sequence[bool]
    p50_s: Mapping[str, Sequence[float | None]]
    p99_s: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that is shown, at one moment."""

    facts: NodeFacts
    operations: Sequence[OperationStatus]
    errors: int
    attempts: int
    reads_verified: int
    violations: Mapping[str, int]
    criteria: Sequence[CriterionStatus]
    history: History
    processes: Sequence[ProcessStatus] = ()
    memory: MemoryHistory = _NO_MEMORY

    @property
    def rate_per_s(self) -> float:
        """All operations a second, of the last seconds."""
        return sum(operation.rate_per_s for operation in self.operations)

    @property
    def violation_count(self) -> int:
        """All violations."""
        return sum(self.violations.values())

    @property
    def workers_running(self) -> int:
        """How many worker processes are at work, in whatever state of health."""
        return sum(pool.states.get(state, 0) for pool in self.facts.pools for state in ("running", "degraded"))

    @property
    def workers_desired(self) -> int:
        """How many should be."""
        return sum(pool.desired for pool in self.facts.pools)

    def to_json(self) -> dict[str, object]:
        """Return what `/api/status` answers: numbers are finite, what is not known is null."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            # The seed as text: a JavaScript number would round one of 64 bits.
            "facts": {**asdict(self.facts), "seed": str(self.facts.seed)},
            "operations": [{"name": operation.name, **asdict(operation)} for operation in self.operations],
            "rate_per_s": self.rate_per_s,
        }


def build_status(
    facts: NodeFacts,
    total: Snapshot,
    recent: Snapshot,
    *,
    recent_s: float,
    ticks: Sequence[Tick],
    criteria: Iterable[CriterionStatus],
    processes: Sequence[ProcessStatus] = (),
    memory: MemoryHistory = _NO_MEMORY,
) -> Status:
    """Put a status together from what was measured; a pure function.

    `total` is what all lanes counted so far, `recent` the difference to `recent_s` seconds (about ten)
    before. `ticks` are those still at hand, oldest first.
    """
    failed = sum(total.total("operations_total", op, outcome) for op in OPS for outcome in _FAILED)
    injected = sum(total.total("operations_total", op, "injected") for op in OPS)
    return Status(
        facts=facts,
        operations=[_operation(op, source, total, recent, recent_s) for op, source in CLASSES],
        errors=failed,
        attempts=sum(total.total("operations_total", op, outcome) for op in OPS for outcome in OUTCOMES) - injected,
        reads_verified=total.total("reads_verified_total"),
        violations={kind: total.total("violations_total", kind) for kind in VIOLATIONS},
        criteria=list(criteria),
        history=history(ticks),
        processes=list(processes),
        memory=memory,
    )


def _operation(op: str, source: str, total: Snapshot, recent: Snapshot, recent_s: float) -> OperationStatus:
    counts = total.histogram("operation_service_seconds", op, source)
    recent_counts = recent.histogram("operation_service_seconds", op, source)
    return OperationStatus(
        op,
        source,
        int(counts.sum()),
        float(recent_counts.sum()) / recent_s if recent_s > 0 else 0.0,
        *quantiles_s(counts, (0.5, 0.99)),
        *quantiles_s(recent_counts, (0.5, 0.99)),
    )


def history(ticks: Sequence[Tick], points: int = HISTORY_POINTS) -> History:
    """Return the ticks as at most `points` points.

    Points begin at multiples of their length, so that they stay where they are as the ring of ticks moves.
    """
    step_s = _step_s(ticks, points)
    groups = [list(group) for _, group in groupby(ticks, key=lambda tick: tick.at_s // step_s)]
    return History(
        step_s=step_s,
        at_s=[round(group[0].at_s, 3) for group in groups],
        rates_per_s=[_rate(group) for group in groups],
        memory_bytes=[max(tick.pss_bytes or tick.rss_bytes for tick in group) for group in groups],
        errors=[sum(tick.errors for tick in group) for group in groups],
        faults=[any(tick.fault for tick in group) for group in groups],
        p50_s={name: [_middle(tick.p50_s[i] for tick in g) for g in groups] for i, name in enumerate(CLASS_NAMES)},
        p99_s={name: [_worst(tick.p99_s[i] for tick in g) for g in groups] for i, name in enumerate(CLASS_NAMES)},
    )


def _step_s(ticks: Sequence[Tick], points: int) -> float:
    """Return the shortest step that keeps the span within `points`, less one: it may begin amid a step."""
    span_s = ticks[-1].at_s - ticks[0].at_s if ticks else 0.0
    return float(next((step for step in _STEPS_S if span_s / step <= points - 1), _STEPS_S[-1]))


def _rate(ticks: Sequence[Tick]) -> float:
    duration_s = sum(tick.duration_s for tick in ticks)
    return round(sum(sum(tick.counts) for tick in ticks) / duration_s, 3) if duration_s > 0 else 0.0


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

"""What a run measured: all that the verdict is made from. The node collects it; nothing here computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stressd.scenario import Scenario
from stressd.stats.table import Snapshot
from stressd.targets.protocol import Abilities
from stressd.verdict.measured import Finding


@dataclass(frozen=True, slots=True)
class Tick:
    """One sample of the load. The tuples follow `metrics.CLASSES`; times in seconds since the load began.

    Counts, errors and times are of this tick alone, not since the start. `attempts` are operations whose outcome was
    not injected, `errors` those among them that failed (a violation is no error). `cpu_s` is the processor time of the
    whole tree, `cells_cpu_s` that of comparing `cells` cells of frames that were read: work that is always the same.
    Of the machine's processors the share `idle` was nobody's, the share `others` used by programs that are not ours.
    `offered` starts of the open pools fell due, `begun` were begun, `late` of them late.
    """

    at_s: float
    duration_s: float
    counts: tuple[int, ...]
    busy_s: tuple[float, ...]
    p50_s: tuple[float | None, ...]
    p99_s: tuple[float | None, ...]
    attempts: int
    errors: int
    injected: int
    rss_bytes: int
    pss_bytes: int
    arrow_bytes: int
    cpu_s: float
    workers: int
    fault: bool
    cells: int = 0
    cells_cpu_s: float = 0.0
    offered: int = 0
    begun: int = 0
    late: int = 0
    idle: float = 1.0
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found: one figure a criterion, by the criterion's name; or the error that ended it."""

    name: str
    duration_s: float
    figures: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as it was injected; `recovery_s` is None while good service has not come back.

    `on` is what was hit, where it was not all. Service has to be back within `allowed_s` of `clear_s`: of its end, or
    that of another fault which hid the proof meanwhile.
    """

    kind: str
    from_s: float
    until_s: float
    recovery_s: float | None
    on: str = ""
    allowed_s: float = 30.0
    clear_s: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """What was counted in a phase of the load, from `from_s` to `until_s`: one row for each pool, by its name.

    `warmup`: it was before the end of the warm-up, and is not judged.
    """

    name: str
    warmup: bool
    from_s: float
    until_s: float
    pools: Mapping[str, Snapshot]


@dataclass(frozen=True, slots=True)
class Reach:
    """How many operations a second the open pools were asked for, and how many were begun.

    `limit` says what the load fell short by: the `target`, the `processor` of this machine, or nothing.
    """

    offered_per_s: float | None = None
    begun_per_s: float | None = None
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict needs.

    `measured` is what the load's lanes counted after warm-up, `total` what all lanes and probes counted in the whole
    run. `ticks` cover the whole load, warm-up included. `cores` is what the process tree may use. `load_s` is how long
    the load ran, 0 where there was none. `outages_s`: of the last deaths, from each to the next worker at work.
    `faults_left_out`: kinds of fault that the scenario asks for and that were not injected, and why.
    `memory_by_process`, in bytes, at the times `memory_at_s` of the load: the daemon and each slot. `objectives` is how
    those of the scenario's own came out, by name. Of an endless run `measured`, `recent` and `faults` are those of the
    last `judged_s`, and `deaths` those of the last day.
    """

    scenario: Scenario
    abilities: Abilities
    cores: float
    load_s: float
    measured: Snapshot
    total: Snapshot
    ticks: Sequence[Tick]
    probes: Mapping[str, ProbeResult]
    faults: Sequence[FaultRecord]
    deaths: int
    restarts: Mapping[str, int]
    outages_s: Sequence[float] = ()
    faults_left_out: Mapping[str, str] = field(default_factory=dict)
    unresolved_workers: int = 0
    phases: Sequence[PhaseRecord] = ()
    reach: Reach = Reach()
    memory_at_s: Sequence[float] = ()
    memory_by_process: Mapping[str, Sequence[int]] = field(default_factory=dict)
    objectives: Mapping[str, Finding] = field(default_factory=dict)
    judged_s: float | None = None

    @property
    def recent(self) -> Sequence[Tick]:
        """The ticks judged for what happened, not for what changed over the run: of an endless one the last."""
        if self.judged_s is None or not self.ticks:
            return self.ticks
        since_s = self.ticks[-1].at_s - self.judged_s
        return [tick for tick in self.ticks if tick.at_s > since_s]

    @property
    def saturated(self) -> bool:
        """Whether the load that was asked for was not reached."""
        return bool(self.reach.limit)

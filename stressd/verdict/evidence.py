"""What a run measured: all that the verdict is made from. The node collects it; nothing here computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stressd.scenario import Scenario
from stressd.stats.table import Snapshot
from stressd.targets.protocol import Abilities


@dataclass(frozen=True, slots=True)
class Tick:
    """One sample of the load. The tuples follow `metrics.CLASSES`; times in seconds since the load began.

    Counts, errors and times are of this tick alone, not since the start. `attempts` are operations whose outcome was
    not injected, `errors` those among them that failed (a violation is no error). `cpu_s` is the processor time of the
    whole tree, `cells_cpu_s` that of comparing `cells` cells of frames that were read: work that is always the same.
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
    """One fault as it was injected; `recovery_s` is None while good service has not come back."""

    kind: str
    from_s: float
    until_s: float
    recovery_s: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict needs.

    `measured` is what the load's lanes counted after warm-up, `total` what all lanes and probes counted in the whole
    run. `ticks` cover the whole load, warm-up included. `cores` is what the process tree may use. `load_s` is how long
    the load ran, 0 where there was none.
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
    unresolved_workers: int = 0
    saturated: bool = False

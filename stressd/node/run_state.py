"""What the main thread knows of the run. It alone writes it; the watch reads it."""

from collections import Counter
from dataclasses import dataclass, field

from stressd.node.phases import PhaseLog
from stressd.stats.table import Snapshot
from stressd.supervisor.faults import FaultSchedule
from stressd.supervisor.supervisor import Slot, Supervisor
from stressd.verdict.evidence import ProbeResult


@dataclass(slots=True)
class RunState:
    """How far a run has come, and who works on it. Times are monotonic."""

    state: str = "starting"
    phase: str = ""
    supervisor: Supervisor | None = None
    schedule: FaultSchedule | None = None
    faults_left_out: dict[str, str] = field(default_factory=dict)
    probes: dict[str, ProbeResult] = field(default_factory=dict)
    phases: PhaseLog | None = None
    load_start_s: float | None = None
    load_end_s: float | None = None
    measured_from: Snapshot | None = None
    measured_to: Snapshot | None = None
    unresolved_workers: int = 0
    aborted: str = ""

    @property
    def slots(self) -> list[Slot]:
        """All slots for workers; none before there is a load."""
        return self.supervisor.slots if self.supervisor is not None else []

    @property
    def deaths(self) -> int:
        """How many workers died that nobody asked to."""
        return self.supervisor.tally.deaths if self.supervisor is not None else 0

    def loaded_s(self, now_s: float) -> float:
        """Return how long the load has run, 0 before it."""
        return (self.load_end_s or now_s) - self.load_start_s if self.load_start_s is not None else 0.0

    def restarts(self) -> dict[str, int]:
        """Return how many workers were replaced, by reason."""
        counted: Counter[str] = Counter()
        if self.supervisor is not None:
            for (_, reason), count in list(self.supervisor.tally.restarts.items()):
                counted[reason] += count
        return dict(counted)

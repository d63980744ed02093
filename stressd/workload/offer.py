"""What the open pools of a scenario are asked for, and how much of it was begun: for the daemon, which does neither."""

from dataclasses import dataclass

from stressd.scenario import Scenario
from stressd.stats.table import Snapshot
from stressd.workload.pacer import Pacer
from stressd.workload.plan import Change, Plan, plan_of


@dataclass(frozen=True, slots=True)
class Pace:
    """Starts since the load began: those that were due, those of them that an operation was begun for, and late ones.

    What fell due while its process was not there is in none of them: that is no matter of pace.
    """

    due: int = 0
    begun: int = 0
    late: int = 0

    def __sub__(self, earlier: "Pace") -> "Pace":
        return Pace(self.due - earlier.due, self.begun - earlier.begun, self.late - earlier.late)


@dataclass(frozen=True, slots=True)
class _OpenPool:
    pacer: Pacer
    first_lane: int
    processes: int
    threads: int

    @property
    def lanes(self) -> slice:
        return slice(self.first_lane, self.first_lane + self.processes * self.threads)


class Offer:
    """The open pools of a run, and how to count what they did. One thread asks; another may change it."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._seed = seed
        self._follow([plan_of(pool, scenario.phases) for pool in scenario.pools])

    def change(self, change: Change) -> None:
        """Go on as another scenario says, from a moment on."""
        pools = change.scenario.pools
        self._follow([plan.changed(change.at_ns, pool) for plan, pool in zip(self._plans, pools, strict=True)])

    def _follow(self, plans: list[Plan]) -> None:
        opened, lane = [], 0
        for plan in plans:
            pool = plan.pool
            if plan.open:
                opened.append(_OpenPool(plan.pacer(self._seed), lane, pool.processes, pool.threads))
            lane += pool.lanes
        self._plans, self._open = plans, opened

    def rates(self, elapsed_ns: int) -> dict[str, float]:
        """Return how many operations a second each pool is asked for at a moment; 0 of a closed one."""
        return {plan.pool.name: plan.ramp.at(elapsed_ns) if plan.open else 0.0 for plan in self._plans}

    def pace(self, snapshot: Snapshot, elapsed_ns: int) -> Pace:
        """Count up to a moment of the load, at which all rows were as in the snapshot."""
        due = begun = late = 0
        for pool in self._open:
            rows = snapshot.rows(pool.lanes)
            missed = rows.total("starts_missed")
            taken = rows.gauge("next_start").reshape(pool.processes, pool.threads).max(axis=1).sum()
            due += pool.pacer.due(elapsed_ns) - missed
            begun += int(taken) - rows.total("operations_dropped_total")
            late += rows.total("operations_late_total")
        return Pace(due, begun, late)

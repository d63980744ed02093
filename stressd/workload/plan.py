"""What a pool does when: the phases of a scenario laid out in time, as its workers follow them and the daemon does."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from stressd.pools import Mix, Phase, Pool
from stressd.scenario import Scenario
from stressd.workload.pacer import EvenSpacing, Pacer, PoissonSpacing, Spacing
from stressd.workload.ramp import SECOND_NS, Ramp, Way

END_NS: Final = 2**64  # behind every start, also behind those that never come
WHOLE_LOAD: Final = "load"  # what the one phase is called where the scenario names none


@dataclass(frozen=True, slots=True)
class Stretch:
    """One phase of one pool, in nanoseconds after the load began; the last one ends at END_NS."""

    phase: str
    begin_ns: int
    end_ns: int
    mix: Mix
    think_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A pool's stretches, one after the other, and its ramp: starts a second, or lanes at work in the closed model."""

    pool: Pool
    stretches: tuple[Stretch, ...]
    ramp: Ramp

    @property
    def open(self) -> bool:
        """Whether starts are due whatever the store does."""
        return self.pool.rate is not None

    def changed(self, at_ns: int, pool: Pool) -> "Plan":
        """Return the plan that goes on as another pool from a moment on, its stages begun anew; nothing before changes.

        Starts are numbered by the area under the ramp, which has no gap: none is lost or doubled by a change of rate.
        """
        kept = [stretch for stretch in self.stretches if stretch.begin_ns < at_ns]
        kept[-1] = replace(kept[-1], end_ns=at_ns)
        after = Stretch(kept[-1].phase, at_ns, END_NS, pool.mix, round(pool.think_time_s * SECOND_NS))
        return Plan(self.pool, (*kept, after), self.ramp.then(at_ns, _ways(pool, None)))

    def pacer(self, seed: int, stripe: int = 0, stripes: int = 1) -> Pacer:
        """Return the starts of one of the pool's processes; of the whole pool if nothing else is said."""
        spacing: Spacing = PoissonSpacing(seed, self.pool.name) if self.pool.arrival == "poisson" else EvenSpacing()
        return Pacer(self.ramp, spacing, stripe, stripes)


class Change(NamedTuple):
    """Another scenario that pools follow from a moment on, in nanoseconds after the load began."""

    at_ns: int
    scenario: Scenario


def plan_along(number: int, scenario: Scenario, changes: Iterable[Change] = ()) -> Plan:
    """Lay out one of a scenario's pools, by its number, and what changed of it since."""
    plan = plan_of(scenario.pools[number], scenario.phases)
    for change in changes:
        plan = plan.changed(change.at_ns, change.scenario.pools[number])
    return plan


def plan_of(pool: Pool, phases: Sequence[Phase] = ()) -> Plan:
    """Lay out one pool along the scenario's phases."""
    stretches: list[Stretch] = []
    ways: list[Way] = []
    begin_ns = 0
    for phase in phases or (Phase(name=WHOLE_LOAD),):
        changed = pool.in_phase(phase.pools.get(pool.name))
        length_ns = END_NS if phase.duration_s is None else round(phase.duration_s * SECOND_NS)
        end_ns = min(END_NS, begin_ns + length_ns)
        stretches.append(Stretch(phase.name, begin_ns, end_ns, changed.mix, round(changed.think_time_s * SECOND_NS)))
        ways += _ways(changed, phase.duration_s)
        begin_ns = end_ns
    stretches[-1] = _endless(stretches[-1])
    return Plan(pool, tuple(stretches), Ramp(ways))


def saving_lanes(scenario: Scenario) -> list[int]:
    """Return the lanes of the pools that save at some time; all lanes where none does."""
    saving: list[int] = []
    lane = 0
    for pool in scenario.pools:
        if any(stretch.mix.save for stretch in plan_of(pool, scenario.phases).stretches):
            saving += range(lane, lane + pool.lanes)
        lane += pool.lanes
    return saving or list(range(lane))


def _endless(last: Stretch) -> Stretch:
    return Stretch(last.phase, last.begin_ns, END_NS, last.mix, last.think_ns)


def _ways(pool: Pool, duration_s: float | None) -> Iterator[Way]:
    """Yield the stages of one phase, and the rest of it at the level that they end on."""
    level = pool.rate if pool.rate is not None else 0.0 if pool.stages else float(pool.lanes)
    left_s = duration_s
    for stage in pool.stages:
        yield Way(level, stage.target, stage.duration_s)
        level = stage.target
        left_s = None if left_s is None else left_s - stage.duration_s
    yield Way(level, level, max(0.0, left_s or 0.0))

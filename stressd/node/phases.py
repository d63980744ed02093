"""What was counted in each phase of the load: the sums of the pools' rows at the borders, and their differences.

A phase in which the warm-up ends is told as two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stressd.scenario import Scenario
from stressd.stats.table import Snapshot
from stressd.verdict.evidence import PhaseRecord
from stressd.workload.plan import WHOLE_LOAD


@dataclass(frozen=True, slots=True)
class _Part:
    """A phase, or the part of it before or after the end of the warm-up; `until_s` infinite for the last."""

    name: str
    until_s: float
    warmup: bool


PoolSums = Mapping[str, Snapshot]


@dataclass(frozen=True, slots=True)
class _State:
    """The phases that have ended, and when the one that is on began, with what had been counted then."""

    ended: tuple[PhaseRecord, ...] = ()
    begin_s: float = 0.0
    sums: PoolSums = field(default_factory=dict)


class PhaseLog:
    """The phases of one load. The main thread calls `turn`, others may read `records`."""

    def __init__(self, scenario: Scenario) -> None:
        self._pools = _rows_of(scenario)
        self._parts = _parts_of(scenario)
        self._named = bool(scenario.phases)
        self._state = _State()  # replaced as one: another thread may be reading

    @property
    def name(self) -> str:
        """The phase that is on; empty where the scenario names none."""
        return self._part(self._state).name if self._named else ""

    @property
    def border_s(self) -> float:
        """When it ends, in seconds of load."""
        return self._part(self._state).until_s

    def turn(self, now_s: float, snapshot: Callable[[], Snapshot]) -> None:
        """Go on to the next phase where its time has come; `now_s` in seconds of load."""
        if now_s >= self.border_s:
            sums = self._sums(snapshot())
            self._state = _State((*self._state.ended, self._record(self._state, now_s, sums)), now_s, sums)

    def records(self, now_s: float, snapshot: Snapshot) -> list[PhaseRecord]:
        """Return all phases so far, the last as it stands; `snapshot` is of that moment, the load's at its end."""
        state = self._state
        return [*state.ended, self._record(state, now_s, self._sums(snapshot))]

    def _part(self, state: "_State") -> _Part:
        return self._parts[len(state.ended)]

    def _record(self, state: "_State", now_s: float, sums: PoolSums) -> PhaseRecord:
        part = self._part(state)
        counted = {pool: now - state.sums[pool] if pool in state.sums else now for pool, now in sums.items()}
        return PhaseRecord(part.name, part.warmup, state.begin_s, now_s, counted)

    def _sums(self, snapshot: Snapshot) -> PoolSums:
        return {
            pool: Snapshot(snapshot.rows(rows).cells.sum(axis=0, keepdims=True)) for pool, rows in self._pools.items()
        }


def _rows_of(scenario: Scenario) -> dict[str, slice]:
    rows, lane = {}, 0
    for pool in scenario.pools:
        rows[pool.name] = slice(lane, lane + pool.lanes)
        lane += pool.lanes
    return rows


def _parts_of(scenario: Scenario) -> list[_Part]:
    ends: list[tuple[str, float]] = []
    until_s = 0.0
    for phase in scenario.phases:
        until_s += phase.duration_s if phase.duration_s is not None else float("inf")
        ends.append((phase.name, until_s))
    if not ends or ends[-1][1] != float("inf"):
        ends = [*ends[:-1], (ends[-1][0] if ends else WHOLE_LOAD, float("inf"))]
    parts: list[_Part] = []
    begin_s, warm_s = 0.0, scenario.warming_s
    for name, end_s in ends:
        if begin_s < warm_s < end_s:
            parts.append(_Part(name, warm_s, warmup=True))
        parts.append(_Part(name, end_s, warmup=end_s <= warm_s))
        begin_s = end_s
    return parts

"""Faults on a schedule: when each begins and ends, and when good service was back.

How a kind is done stands in `strikes`. This is their timing: pure, but for what those do.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from stressd.metrics import OPS, FaultKind
from stressd.scenario import Fault
from stressd.verdict.evidence import FaultRecord

KEPT: Final = 1_000
AT_ONCE: Final[tuple[FaultKind, ...]] = ("worker_kill",)  # over as soon as they are done
_SECOND_NS: Final = 1_000_000_000

LastGood = Callable[[Collection[int], Collection[str]], int]


@dataclass(frozen=True, slots=True)
class Struck:
    """What a fault was done to.

    Service is back with a good operation, one of `ops`, of one of `lanes`; where `stops`, there is none of them before
    its end. `end` undoes it; without one it ends by itself. `keep` is called at every turn while it is on, keeps it up,
    and says whether it still is. `on` names what was hit, for people.
    """

    lanes: Collection[int]
    ops: Collection[str] = OPS
    stops: bool = True
    end: Callable[[], object] | None = None
    keep: Callable[[], bool] | None = None
    on: str = ""


class Strike(Protocol):
    """How faults of one kind are done."""

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck | None:
        """Do it, now; None if there is nothing that it could be done to: it is asked again at the next turn."""
        ...


class Event(NamedTuple):
    """What happened: a fault began, or, with `recovery_s`, good service was back after it."""

    kind: FaultKind
    on: str
    recovery_s: float | None = None


@dataclass(slots=True)
class _Planned:
    fault: Fault
    draw: random.Random
    due_ns: int | None
    last_ns: float


@dataclass(slots=True, eq=False)
class _Running:
    """A fault that has begun. `clear_ns`, from which its recovery counts, is known with the recovery."""

    fault: Fault
    struck: Struck
    from_ns: int
    until_ns: int
    ended: bool = False
    clear_ns: int = 0
    recovered_ns: int | None = None

    @property
    def recovery_s(self) -> float | None:
        if self.recovered_ns is None:
            return None
        return max(0, self.recovered_ns - self.clear_ns) / _SECOND_NS

    def hides(self, other: "_Running") -> bool:
        """Say whether no good operation that would prove the other's recovery can be had while this one is on."""
        mine, others = self.struck, other.struck
        return mine.stops and set(others.lanes) <= set(mine.lanes) and set(others.ops) <= set(mine.ops)


@dataclass(slots=True)
class FaultSchedule:
    """Injects the scenario's faults and watches for recovery. For the daemon's loop; times are monotonic nanoseconds.

    Faults of kinds without a strike are left out. All that is random is drawn from `seed`, for each fault apart.
    """

    faults: Sequence[Fault]
    strikes: Mapping[FaultKind, Strike]
    load_start_ns: int
    duration_s: float | None
    seed: int
    begun: Counter[FaultKind] = field(default_factory=Counter, init=False)
    _planned: list[_Planned] = field(default_factory=list, init=False)
    _known: list[_Running] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for number, fault in enumerate(self.faults):
            if fault.kind in self.strikes:
                draw = random.Random(f"{self.seed}:fault:{number}")  # noqa: S311 - moments, no secret
                last_s = fault.ends_s(self.duration_s)
                last_ns = float("inf") if last_s is None else self._at_ns(last_s)
                self._planned.append(_Planned(fault, draw, self._first_ns(fault, draw), last_ns))

    def turn(self, now_ns: int, last_good: LastGood) -> list[Event]:
        """End what is over, begin what is due, note recoveries; return what happened.

        `last_good` returns the latest start of a good operation, one of the given, of one of the given lanes.
        """
        for running in self._known:
            self._look_after(running, now_ns)
        happened = [event for planned in self._planned if (event := self._begin_if_due(planned, now_ns)) is not None]
        for running in self._known:
            if running.recovered_ns is None and running.ended:
                good_ns = last_good(running.struck.lanes, running.struck.ops)
                if good_ns >= running.until_ns:
                    running.clear_ns = self._clear_ns(running, good_ns)
                    running.recovered_ns = good_ns
                    happened.append(Event(running.fault.kind, running.struck.on, running.recovery_s))
        self._forget()
        return happened

    def end(self, now_ns: int) -> None:
        """Inject no more, and undo what is on: the last look at what was saved has to reach the target."""
        self._planned.clear()
        for running in self._known:
            if not running.ended:
                running.until_ns = min(running.until_ns, now_ns)
                self._undo(running, now_ns)

    def active(self, since_ns: int, now_ns: int) -> bool:
        """Say whether a fault was on, or good service not yet back, at some time between the two moments."""
        return any(known.from_ns <= now_ns and since_ns < self._over_ns(known) for known in list(self._known))

    def records(self) -> list[FaultRecord]:
        """Return the faults injected so far, in seconds after the load began: of many, the last, and the worst."""
        return [self._record(known) for known in list(self._known)]

    def _record(self, known: _Running) -> FaultRecord:
        clear_ns = self._clear_ns(known) if known.recovered_ns is None else known.clear_ns
        return FaultRecord(
            kind=known.fault.kind,
            from_s=(known.from_ns - self.load_start_ns) / _SECOND_NS,
            until_s=(known.until_ns - self.load_start_ns) / _SECOND_NS,
            recovery_s=known.recovery_s,
            on=known.struck.on,
            allowed_s=known.fault.recover_s,
            clear_s=(clear_ns - self.load_start_ns) / _SECOND_NS,
        )

    # --- when

    def _at_ns(self, load_s: float) -> int:
        return self.load_start_ns + round(load_s * _SECOND_NS)

    def _first_ns(self, fault: Fault, draw: random.Random) -> int | None:
        starts_s = fault.starts_s(self.duration_s)
        if fault.per_minute is not None:
            return self._at_ns(starts_s or 0.0) + _gap_ns(fault.per_minute, draw)
        if starts_s is None:
            starts_s = fault.every_s
        return None if starts_s is None else self._at_ns(starts_s)

    def _begin_if_due(self, planned: _Planned, now_ns: int) -> Event | None:
        due_ns, fault = planned.due_ns, planned.fault
        if due_ns is None or now_ns < due_ns or due_ns > planned.last_ns:
            return None
        lasts_ns = 0 if fault.kind in AT_ONCE else round(planned.draw.uniform(*fault.duration_s) * _SECOND_NS)
        struck = self.strikes[fault.kind].begin(fault, now_ns, now_ns + lasts_ns)
        if struck is None:
            return None
        self._known.append(_Running(fault, struck, now_ns, now_ns + lasts_ns, ended=not lasts_ns))
        self.begun[fault.kind] += 1
        if fault.per_minute is not None:
            planned.due_ns = max(now_ns, due_ns + _gap_ns(fault.per_minute, planned.draw))
        else:
            planned.due_ns = None if fault.every_s is None else max(now_ns, due_ns + round(fault.every_s * _SECOND_NS))
        return Event(fault.kind, struck.on)

    def _look_after(self, running: _Running, now_ns: int) -> None:
        if running.ended:
            return
        if now_ns >= running.until_ns:
            self._undo(running, now_ns)
        elif running.struck.keep is not None and not running.struck.keep():
            running.until_ns = now_ns
            self._undo(running, now_ns)

    def _undo(self, running: _Running, now_ns: int) -> None:
        running.ended = True
        if running.struck.end is not None:
            running.struck.end()
            running.until_ns = max(running.until_ns, now_ns)

    # --- recovery

    def _clear_ns(self, running: _Running, good_ns: float = float("inf")) -> int:
        """Return from when on it could recover: after its end, and that of others that hid the proof meanwhile."""
        later = (known for known in list(self._known) if running.until_ns < known.until_ns and known.from_ns < good_ns)
        return max((known.until_ns for known in later if known.hides(running)), default=running.until_ns)

    def _over_ns(self, running: _Running) -> float:
        if running.recovered_ns is not None:
            return running.recovered_ns
        return self._clear_ns(running) + running.fault.recover_s * _SECOND_NS

    def _forget(self) -> None:
        """Keep so many: those that are not over, and of each kind the one that took longest, rather than others."""
        while len(self._known) > KEPT:
            over = sorted((known for known in self._known if known.recovery_s is not None), key=_recovery_s)
            worst = {known.fault.kind: known for known in over}.values()
            dull = (known for known in self._known if known.recovery_s is not None and known not in worst)
            self._known.remove(next(dull, self._known[0]))


def _recovery_s(known: _Running) -> float:
    return known.recovery_s or 0.0


def _gap_ns(per_minute: float, draw: random.Random) -> int:
    return round(draw.expovariate(per_minute / 60) * _SECOND_NS)

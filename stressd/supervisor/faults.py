"""Faults on a schedule: when each begins and ends, and when good service was back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stressd.scenario import Fault
from stressd.stats.table import Control
from stressd.verdict.evidence import FaultRecord

KEPT: Final = 1_000


@dataclass(slots=True)
class _Running:
    fault: Fault
    from_ns: int
    until_ns: int
    recovered_ns: int | None = None


class FaultSchedule:
    """Injects the scenario's faults and watches for recovery. For the daemon's loop; times are monotonic nanoseconds.

    But for the control cells that it writes it is pure.
    """

    def __init__(self, faults: Sequence[Fault], load_start_ns: int, duration_s: float | None) -> None:
        self._load_start_ns = load_start_ns
        self._due: list[tuple[int, Fault]] = []
        for fault in faults:
            starts_s = fault.starts_s(duration_s)
            if starts_s is None:
                starts_s = fault.every_s
            if starts_s is not None:
                self._due.append((load_start_ns + round(starts_s * 1e9), fault))
        self._done: list[_Running] = []

    def turn(self, now_ns: int, control: memoryview, last_good_ns: int) -> list[tuple[str, float | None]]:
        """Begin what is due; note recoveries.

        `last_good_ns` is the latest start of a good, verified operation of any lane. Returns what happened: a
        fault's kind with None when it begins, with its recovery in seconds when good service is back.
        """
        happened: list[tuple[str, float | None]] = []
        for due in [due for due in self._due if due[0] <= now_ns]:
            self._due.remove(due)
            happened.append((self._begin(due[1], now_ns, control), None))
        for running in self._done:
            if running.recovered_ns is None and last_good_ns >= running.until_ns:
                running.recovered_ns = last_good_ns
                happened.append((running.fault.kind, (last_good_ns - running.until_ns) / 1e9))
        del self._done[:-KEPT]
        return happened

    def _begin(self, fault: Fault, now_ns: int, control: memoryview) -> str:
        until_ns = now_ns + round(fault.duration_s * 1e9)
        control[Control.FAULT_FROM_NS] = now_ns
        control[Control.FAULT_UNTIL_NS] = until_ns
        self._done.append(_Running(fault, now_ns, until_ns))
        if fault.every_s:
            self._due.append((now_ns + round(fault.every_s * 1e9), fault))
        return fault.kind

    def end(self, now_ns: int, control: memoryview) -> None:
        """Inject no more, and cut short what is on: the last look at what was saved has to reach the target."""
        self._due.clear()
        control[Control.FAULT_UNTIL_NS] = 0
        for running in self._done:
            running.until_ns = min(running.until_ns, now_ns)

    def active(self, since_ns: int, now_ns: int) -> bool:
        """Say whether a fault was on at some time between the two moments."""
        return any(running.from_ns <= now_ns and since_ns < running.until_ns for running in self._done)

    def records(self) -> list[FaultRecord]:
        """Return the faults injected so far, in seconds after the load began."""
        return [
            FaultRecord(
                kind=running.fault.kind,
                from_s=(running.from_ns - self._load_start_ns) / 1e9,
                until_s=(running.until_ns - self._load_start_ns) / 1e9,
                recovery_s=None if running.recovered_ns is None else (running.recovered_ns - running.until_ns) / 1e9,
            )
            for running in self._done
        ]

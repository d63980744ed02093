"""The daemon and its workers one by one, now and over time, in a ring of fixed size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

POINTS: Final = 120


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process as it stands: `daemon`, or a worker's pool and slot. Memory is its share of what is shared (PSS).

    `state` is one of `metrics.WORKER_STATES`, or empty. A slot that is waiting for its next process has no `pid` and no
    `age_s`.
    """

    name: str
    state: str
    pid: int | None
    memory_bytes: int
    cores: float
    age_s: float | None


@dataclass(frozen=True, slots=True)
class MemoryHistory:
    """The highest memory in each of at most `POINTS` steps, oldest first, by process; 0 where it was not there."""

    at_s: Sequence[float]
    memory_bytes: Mapping[str, Sequence[int]]


class MemoryByProcess:
    """Memory over time. When it is full, two neighbours become one, again and again: a day takes what a minute does."""

    def __init__(self, points: int = POINTS) -> None:
        self._points = points
        self._steps: list[tuple[float, dict[str, int]]] = []
        self._ticks = 0  # in the last step
        self._each = 1  # ticks a step

    def take(self, at_s: float, memory_bytes: Mapping[str, int]) -> None:
        """Add what each process uses now."""
        if self._steps and self._ticks < self._each:
            self._steps[-1] = _merged(self._steps[-1], (at_s, dict(memory_bytes)))
            self._ticks += 1
            return
        if len(self._steps) >= self._points:
            self._steps = [_merged(*self._steps[at : at + 2]) for at in range(0, len(self._steps), 2)]
            self._each *= 2
        self._steps.append((at_s, dict(memory_bytes)))
        self._ticks = 1

    def history(self) -> MemoryHistory:
        """Return it all."""
        names = sorted({name for _, step in self._steps for name in step}, key=_daemon_first)
        return MemoryHistory(
            [round(at_s, 3) for at_s, _ in self._steps],
            {name: [step.get(name, 0) for _, step in self._steps] for name in names},
        )


def _merged(*steps: tuple[float, dict[str, int]]) -> tuple[float, dict[str, int]]:
    merged: dict[str, int] = {}
    for _, step in steps:
        for name, amount in step.items():
            merged[name] = max(amount, merged.get(name, 0))
    return steps[0][0], merged


def _daemon_first(name: str) -> tuple[bool, str, int]:
    pool, _, slot = name.rpartition(" ")
    return name != "daemon", pool, int(slot) if slot.isdigit() else 0

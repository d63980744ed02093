"""Samples of the load: one `Tick` a second from the shared table and the process tree, in a history of fixed size."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Final

from stressd.metrics import CLASSES, OPS
from stressd.stats.histogram import quantiles_s
from stressd.stats.table import Snapshot
from stressd.supervisor.resources import MachineUse, TreeUsage
from stressd.verdict.evidence import Tick
from stressd.workload.offer import Pace

CAPACITY: Final = 1_800  # half an hour of seconds; then two neighbours become one, again and again


def tick(
    window: Snapshot,
    arrow_bytes: int,
    usage: TreeUsage,
    *,
    at_s: float,
    duration_s: float,
    rss_bytes: int,
    cpu_s: float,
    workers: int,
    fault: bool,
    pace: Pace,
    machine: MachineUse,
) -> Tick:
    """Make one sample: `window` and `pace` are what was counted in these seconds, `cpu_s` what the tree used.

    `rss_bytes` is the mean of these seconds: a heap that is given back every few seconds is a saw, and one look
    a second meets its teeth at the same place for a while, and then at another.
    """
    histograms = [window.histogram("operation_service_seconds", *pair) for pair in CLASSES]
    quantiles = [quantiles_s(counts, (0.5, 0.99)) for counts in histograms]
    outcomes = {
        outcome: sum(window.total("operations_total", op, outcome) for op in OPS)
        for outcome in ("ok", "error", "timeout", "injected", "violation")
    }
    return Tick(
        at_s=at_s,
        duration_s=duration_s,
        counts=tuple(int(counts.sum()) for counts in histograms),
        busy_s=tuple(window.sum_ns("operation_service_seconds", *pair) / 1e9 for pair in CLASSES),
        p50_s=tuple(p50 for p50, _ in quantiles),
        p99_s=tuple(p99 for _, p99 in quantiles),
        attempts=sum(outcomes.values()) - outcomes["injected"],
        errors=outcomes["error"] + outcomes["timeout"],
        injected=outcomes["injected"],
        rss_bytes=rss_bytes,
        pss_bytes=usage.pss_bytes,
        arrow_bytes=arrow_bytes,
        cpu_s=max(0.0, cpu_s),
        workers=workers,
        fault=fault,
        cells=window.total("cells_checked"),
        cells_cpu_s=window.total("cells_cpu_ns") / 1e9,
        offered=pace.due,
        begun=pace.begun,
        late=pace.late,
        idle=machine.idle,
        others=machine.others,
    )


class TickRing:
    """The ticks of a load, however long: when it is full, neighbours are merged and the whole is half as long again.

    Their memory is taken at the start, so that the daemon does not grow while the ring fills.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._room = [_placeholder(number) for number in range(1_000, 1_000 + capacity)]
        self._ticks: list[Tick] = []
        self._merge = 1
        self._pending: list[Tick] = []

    def append(self, new: Tick) -> None:
        """Add the next tick."""
        self._pending.append(new)
        if len(self._pending) < self._merge:
            return
        if self._room:
            self._room.pop()
        self._ticks.append(_merged(self._pending))
        self._pending = []
        if len(self._ticks) >= self._capacity:
            self._ticks = [_merged(self._ticks[at : at + 2]) for at in range(0, len(self._ticks), 2)]
            self._merge *= 2

    def ticks(self) -> Sequence[Tick]:
        """Return all, oldest first; the last may cover less time than the others."""
        return [*self._ticks, *([_merged(self._pending)] if self._pending else [])]


def _placeholder(number: int) -> Tick:
    """Return a tick as big as any: all its numbers are objects of their own, each of the size that it will have."""
    per_class = range(number, number + len(CLASSES))
    values: dict[str, object] = {each.name: number * 7 if each.type is int else float(number) for each in fields(Tick)}
    values |= {
        "counts": tuple(per_class),
        **{name: tuple(map(float, per_class)) for name in ("busy_s", "p50_s", "p99_s")},
    }
    return Tick(**values)  # type: ignore[arg-type]


def _merged(ticks: Sequence[Tick]) -> Tick:
    """Make one tick of several neighbours: counts add up, levels are the last, medians are weighted by their counts."""
    if len(ticks) == 1:
        return ticks[0]
    classes = range(len(CLASSES))
    return replace(
        ticks[-1],
        duration_s=sum(tick.duration_s for tick in ticks),
        counts=tuple(sum(tick.counts[i] for tick in ticks) for i in classes),
        busy_s=tuple(sum(tick.busy_s[i] for tick in ticks) for i in classes),
        p50_s=tuple(_weighted([(tick.p50_s[i], tick.counts[i]) for tick in ticks]) for i in classes),
        p99_s=tuple(max((p for tick in ticks if (p := tick.p99_s[i]) is not None), default=None) for i in classes),
        attempts=sum(tick.attempts for tick in ticks),
        errors=sum(tick.errors for tick in ticks),
        injected=sum(tick.injected for tick in ticks),
        cpu_s=sum(tick.cpu_s for tick in ticks),
        fault=any(tick.fault for tick in ticks),
        cells=sum(tick.cells for tick in ticks),
        cells_cpu_s=sum(tick.cells_cpu_s for tick in ticks),
        offered=sum(tick.offered for tick in ticks),
        begun=sum(tick.begun for tick in ticks),
        late=sum(tick.late for tick in ticks),
        idle=_mean(ticks, lambda tick: tick.idle),
        others=_mean(ticks, lambda tick: tick.others),
    )


def _mean(ticks: Sequence[Tick], share: Callable[[Tick], float]) -> float:
    return sum(share(tick) * tick.duration_s for tick in ticks) / sum(tick.duration_s for tick in ticks)


def _weighted(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, count) for value, count in pairs if value is not None and count]
    total = sum(count for _, count in known)
    return sum(value * count for value, count in known) / total if total else None

"""Metrics of the node that no one counts apart: they are read off the cells which the lanes keep anyway.

`DERIVED` names them; a function there takes what all rows held at one moment, and returns values by labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stressd.metrics import OPS
from stressd.stats.table import Snapshot

Series = tuple[str, ...]
Values = Mapping[Series, float]


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """Which row of the table is whose: the pool (`probe` for probes) and the worker's slot in it, from 0."""

    pool: str
    worker: int
    row: int


@dataclass(frozen=True, slots=True)
class Moment:
    """All rows as they were at one moment, and what wall clock and CLOCK_MONOTONIC said then."""

    snapshot: Snapshot
    lanes: Sequence[LaneInfo]
    wall_s: float
    monotonic_ns: int


def _sum_of(cell: str) -> Callable[[Moment], Values]:
    """Add a cell up over all rows: a value of a whole process stands in the row of its first lane alone."""
    return lambda moment: {(): float(moment.snapshot.total(cell))}


def _operations_inflight(moment: Moment) -> Values:
    codes = moment.snapshot.gauge("inflight").astype(np.int64)
    counts = np.bincount(codes, minlength=len(OPS) + 1)
    return {(op,): float(counts[code]) for code, op in enumerate(OPS, start=1)}


def _worker_heartbeats(moment: Moment) -> Values:
    """Return when the lane beat that has been silent longest, by worker; 0 while one has not beaten yet."""
    beats_ns = moment.snapshot.gauge("heartbeat_ns")
    oldest: dict[Series, int] = {}
    for lane in moment.lanes:
        worker = (lane.pool, str(lane.worker))
        beat_ns = int(beats_ns[lane.row])
        oldest[worker] = min(beat_ns, oldest.get(worker, beat_ns))
    return {
        worker: moment.wall_s - (moment.monotonic_ns - beat_ns) / 1e9 if beat_ns else 0.0
        for worker, beat_ns in oldest.items()
    }


DERIVED: Final[Mapping[str, Callable[[Moment], Values]]] = {
    "operations_inflight": _operations_inflight,
    "worker_heartbeat_timestamp_seconds": _worker_heartbeats,
    "arrow_allocated_bytes": _sum_of("arrow_bytes"),
    "cache_bytes": _sum_of("cache_bytes_held"),
    "cache_evictions_total": _sum_of("cache_evictions_seen"),
    "store_commits_total": _sum_of("commits_seen"),
    "store_conflicts_total": _sum_of("conflicts_seen"),
}

"""What had been counted a while ago, so that an endless run is judged by its last hour: in memory of fixed size.

A snapshot is kept every few minutes, its rows summed by pool: what a pool counted is all that anybody asks of it.
"""

from collections import deque
from typing import Final

import numpy as np

from stressd.scenario import Scenario
from stressd.stats.table import Snapshot

KEPT: Final = 12


class Rolling:
    """Snapshots of the load's lanes, the oldest `span_s` old, give or take a twelfth. For one writing thread."""

    def __init__(self, scenario: Scenario, span_s: float) -> None:
        self._every_s = span_s / KEPT
        self._pools: list[slice] = []
        lane = 0
        for pool in scenario.pools:
            self._pools.append(slice(lane, lane + pool.lanes))
            lane += pool.lanes
        self._kept: deque[tuple[float, Snapshot]] = deque(maxlen=KEPT + 1)

    def take(self, now_s: float, snapshot: Snapshot) -> None:
        """Keep the snapshot, if it is time to."""
        if not self._kept or now_s - self._kept[-1][0] >= self._every_s - 1e-6:
            self._kept.append((now_s, self.collapsed(snapshot)))

    def earlier(self) -> Snapshot | None:
        """Return the oldest, collapsed, once the whole span is covered; None before."""
        return self._kept[0][1] if len(self._kept) == KEPT + 1 else None

    def collapsed(self, snapshot: Snapshot) -> Snapshot:
        """Return one of the same shape: each pool's sum in the row of its first lane, and nothing in the others."""
        cells = np.zeros_like(snapshot.cells)
        for lanes in self._pools:
            cells[lanes.start] = snapshot.cells[lanes].sum(axis=0)
        return Snapshot(cells)

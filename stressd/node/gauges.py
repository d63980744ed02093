"""What the daemon's own metrics show of a run: written once a second, and at each turn of the supervisor."""

import time
from collections import Counter
from typing import Final

from stressd.criteria import STATUS_CODE
from stressd.metrics import RESTART_REASONS, WORKER_STATES
from stressd.node.founding import Founded
from stressd.node.run_state import RunState
from stressd.observe.node_metrics import NodeMetrics
from stressd.supervisor.resources import TreeUsage, cores, disk_free_bytes, memory_limit_bytes
from stressd.targets.protocol import TargetWithFootprint
from stressd.verdict.verdict import Verdict
from stressd.workload.offer import Offer

FOOTPRINT_EVERY_S: Final = 10.0


class Gauges:
    """Writes what is seen of a run into its metrics: `slots` by the supervisor's thread, the rest by the watch's."""

    def __init__(self, founded: Founded, metrics: NodeMetrics, run: RunState, folder: str) -> None:
        self._pools = {pool.name: pool.processes for pool in founded.scenario.pools}
        self._target = founded.target
        self._metrics = metrics
        self._run = run
        self._folder = folder
        self._footprint_at_s = 0.0
        metrics.set("memory_limit_bytes", memory_limit_bytes())
        metrics.set("cpu_limit_cores", cores())

    def sample(self, now_s: float, usage: TreeUsage, offer: Offer) -> None:
        """Show what a sample found, at `now_s` of the monotonic clock, and what is offered then."""
        metrics, run = self._metrics, self._run
        metrics.set_state("state", run.state)
        metrics.set("tree_resident_memory_bytes", usage.rss_bytes)
        metrics.set("tree_proportional_memory_bytes", usage.pss_bytes)
        metrics.set("disk_free_bytes", disk_free_bytes(self._folder))
        rates = offer.rates(round((now_s - (run.load_start_s or now_s)) * 1e9))
        for pool, processes in self._pools.items():
            metrics.set("offered_rate", rates[pool], pool)
            metrics.set("workers_desired", processes, pool)
        if now_s - self._footprint_at_s >= FOOTPRINT_EVERY_S and isinstance(self._target, TargetWithFootprint):
            self._footprint_at_s = now_s
            footprint = self._target.footprint()
            metrics.set("store_bytes", footprint.bytes)
            metrics.set("store_files", footprint.files)
            metrics.set("store_features", footprint.features)
        self._workers(usage)

    def _workers(self, usage: TreeUsage) -> None:
        metrics = self._metrics
        cpu_s = dict.fromkeys(self._pools, 0.0) if self._run.slots else {}
        for slot in self._run.slots:
            worker = (slot.pool, str(slot.spec.process))
            child = slot.child
            used = usage.by_pid.get(child.pid) if child is not None else None
            metrics.set("worker_resident_memory_bytes", used.rss_bytes if used else 0, *worker)
            metrics.set("worker_open_fds", used.fds if used else 0, *worker)
            if child is not None:
                metrics.set("worker_start_time_seconds", time.time() - (time.monotonic() - child.started_s), *worker)
            cpu_s[slot.pool] += slot.cpu_of_dead_s + (used.cpu_s if used else 0.0)
        for pool, used_s in cpu_s.items():
            metrics.set("pool_cpu_seconds_total", used_s, pool)

    def slots(self) -> None:
        """Show what the workers are doing, and how many were replaced."""
        metrics, supervisor = self._metrics, self._run.supervisor
        if supervisor is None:
            return
        states = Counter((slot.pool, str(slot.state)) for slot in supervisor.slots)
        for pool in self._pools:
            for state in WORKER_STATES:
                metrics.set("workers", states[pool, state], pool, state)
            for reason in RESTART_REASONS:
                metrics.set("worker_restarts_total", supervisor.tally.restarts[pool, reason], pool, reason)

    def verdict(self, verdict: Verdict) -> None:
        """Show each criterion as it stands."""
        for result in verdict.criteria:
            value = float("nan") if result.value is None else result.value
            self._metrics.set("criterion_status", STATUS_CODE[result.outcome], result.criterion.name)
            self._metrics.set("criterion_value", value, result.criterion.name)

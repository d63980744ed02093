"""A load worker: the parts that its lanes share, the lanes' threads, and the main thread that listens and reports."""

import gc
import os
import sys
import threading
import time
from typing import Final

from stressd.scenario import Pool
from stressd.stats.table import Control, Table
from stressd.targets.loading import load_target
from stressd.targets.protocol import Target, TargetStats, TargetWithStats
from stressd.worker import cells
from stressd.worker.bench import Bench
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane
from stressd.worker.loop import Loop, Starts, lane_thread
from stressd.worker.spec import WorkerSpec
from stressd.workload.operation import Draws, SaveKeys
from stressd.workload.pacer import ConstantPacer

REPORT_EVERY_S: Final = 1.0
RELEASE_EVERY_S: Final = 5.0
DRAIN_POLL_S: Final = 0.02
EXIT_LANE_DIED: Final = 70
OPEN_TIMEOUT_S: Final = 60.0


def run_load(spec: WorkerSpec, channel: Channel) -> None:
    """Build everything, say `ready`, and work until the drain; the process ends when the last lane has."""
    table = Table.open(os.path.join(spec.state_folder, "table"))
    target = load_target(spec.target)
    bench = Bench.of_run(spec, table, target, channel)
    LoadWorker(spec, channel, table, target, bench).run()


class LoadWorker:
    """The main thread's side of a worker process."""

    def __init__(self, spec: WorkerSpec, channel: Channel, table: Table, target: Target, bench: Bench) -> None:
        self._spec = spec
        self._channel = channel
        self._table = table
        self._target = target
        self._bench = bench
        self._pool: Pool = spec.scenario.pools[spec.pool]
        self._opened = threading.Semaphore(0)
        self._starts_lock = threading.Lock()
        self._starts: Starts | None = None
        self._reported = TargetStats(0, 0, 0, 0)
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Start the lanes, tell the parent when all have their session, and stay until they have ended."""
        threads = [
            lane_thread(lambda lane=lane: self._lane(lane), f"lane-{lane}", self._lane_failed)  # type: ignore[misc]
            for lane in range(self._spec.first_lane, self._spec.first_lane + self._spec.threads)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            self._opened.acquire(timeout=OPEN_TIMEOUT_S)
        if self._failure is not None:
            raise self._failure
        self._channel.send({"event": "ready"})
        self._stay(threads)
        self._report()

    def _lane(self, number: int) -> None:
        try:
            lane = self._bench.lane(number, self._target.open())
            lane.resolve_own()
            lane.parts.row[cells.HEARTBEAT] = time.monotonic_ns()
            lane.parts.row[cells.LANE_STARTED] = time.time_ns()
        finally:
            self._opened.release()
        self._loop(lane).run()
        lane.parts.session.close()

    def _loop(self, lane: Lane) -> Loop:
        spec, ledger = self._spec, self._bench.ledger
        draws = Draws(self._pool.mix, ledger.keys, spec.seed, lane.parts.number, lambda key: ledger.slot(key).acked_seq)
        save_keys = SaveKeys((key, ledger.slot(key).acked_seq) for key in lane.parts.own_keys)
        return Loop(lane, self._pool, draws, save_keys, self._take_starts if self._pool.rate is not None else None)

    def _take_starts(self) -> Starts:
        """Return the process's intended starts; the first lane to ask drops those that were missed."""
        with self._starts_lock:
            if self._starts is None:
                pool, process = self._pool, self._spec.process
                pacer = ConstantPacer(pool.rate or 0.0, process, pool.processes)
                start_ns = self._table.control[Control.LOAD_START_NS]
                first = self._drop_missed(pacer, start_ns)
                self._starts = Starts(pacer, start_ns, first)
            return self._starts

    def _drop_missed(self, pacer: ConstantPacer, start_ns: int) -> int:
        """Charge the starts between the last one that was taken and now; return the number of the next."""
        lanes = range(self._spec.first_lane, self._spec.first_lane + self._spec.threads)
        taken = max(self._table.row(lane)[cells.NEXT_START] for lane in lanes)
        now_ns = time.monotonic_ns()
        due = pacer.due(now_ns - start_ns)
        row = self._table.row(self._spec.first_lane)
        for number in range(taken, due):
            row[cells.DROPPED] += 1
            cells.observe(row, cells.LATENCY["read"], now_ns - start_ns - pacer.offset_ns(number))
        return max(taken, due)

    def _lane_failed(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def _stay(self, threads: list[threading.Thread]) -> None:
        report_at_s = release_at_s = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            self._channel.wait_s(DRAIN_POLL_S if self._table.control[Control.DRAIN] else 0.25)
            self._channel.receive()
            if self._channel.closed:
                os._exit(EXIT_LANE_DIED)  # the parent is gone
            if self._failure is not None:
                raise self._failure
            now_s = time.monotonic()
            if now_s >= report_at_s:
                self._report()
                report_at_s = now_s + REPORT_EVERY_S
            if now_s >= release_at_s:
                release_memory()
                release_at_s = now_s + RELEASE_EVERY_S

    def _report(self) -> None:
        """Write what this process holds into its first lane's row; counters go on from those of earlier processes."""
        row = self._table.row(self._spec.first_lane)
        row[cells.ARROW_BYTES] = arrow_bytes()
        if not isinstance(self._target, TargetWithStats):
            return
        now, before = self._target.stats(), self._reported
        row[cells.CACHE_BYTES] = now.cache_bytes or 0
        row[cells.CACHE_EVICTIONS] += (now.cache_evictions or 0) - (before.cache_evictions or 0)
        row[cells.COMMITS] += (now.commits or 0) - (before.commits or 0)
        row[cells.CONFLICTS] += (now.conflicts or 0) - (before.conflicts or 0)
        self._reported = now


def arrow_bytes() -> int:
    """Return what Arrow holds in this process; 0 where nothing has imported it."""
    arrow = sys.modules.get("pyarrow")
    return int(arrow.total_allocated_bytes()) if arrow is not None else 0


def release_memory() -> None:
    """Give back what Arrow's pool keeps for later, so that what is left is held by someone."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()


def collect_garbage() -> None:
    """Collect all that nobody holds."""
    gc.collect()
    release_memory()

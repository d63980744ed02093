"""A load worker: the parts that its lanes share, the lanes' threads, and the main thread that listens and reports."""

import os
import threading
import time
from typing import Final

from stressd.errors import TargetError
from stressd.stats.table import Control, Table
from stressd.targets.loading import load_target
from stressd.targets.protocol import Session, Target, TargetStats, TargetWithStats
from stressd.worker import cells
from stressd.worker.bench import Bench
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane
from stressd.worker.loop import Course, Loop, Starts, lane_thread
from stressd.worker.memory import arrow_bytes, release_unused
from stressd.worker.spec import WorkerSpec, change_of
from stressd.workload.distribution import KeySpace, key_stream
from stressd.workload.operation import Draws, SaveKeys
from stressd.workload.pacer import Pacer
from stressd.workload.plan import Change, Plan, plan_along, saving_lanes

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
        self._course = Course(plan_along(spec.pool, spec.scenario, spec.changes), self._pacer)
        keys = spec.scenario.keys_per_lane
        saved = [range(lane * keys, (lane + 1) * keys) for lane in saving_lanes(spec.scenario)]
        if bench.contended is not None:
            saved.append(bench.contended.keys)
        self._key_space = KeySpace(saved, spec.seed, bench.acked)
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
        deadline_s = time.monotonic() + OPEN_TIMEOUT_S
        opened = sum(self._opened.acquire(timeout=max(0.0, deadline_s - time.monotonic())) for _ in threads)
        if self._failure is not None:
            raise self._failure
        if opened < len(threads):
            raise TargetError(f"target {self._spec.target.name}: its sessions were not open after {OPEN_TIMEOUT_S:g} s")
        self._channel.send({"event": "ready"})
        self._stay(threads)
        self._report()

    def _lane(self, number: int) -> None:
        lane = self._open_lane(number)
        self._loop(lane).run()
        try:
            lane.parts.session.close()
        except Exception as error:  # noqa: BLE001 - the work is done; it is told, and nothing is lost by it
            self._bench.trace.failed("close", error)

    def _open_lane(self, number: int) -> Lane:
        try:
            lane = self._bench.lane(number, self._session())
            lane.resolve_own()
        except Exception as error:
            self._lane_failed(error)  # before `_opened`: who waits for that asks next whether anything failed
            raise
        else:
            lane.parts.row[cells.HEARTBEAT] = time.monotonic_ns()
            return lane
        finally:
            self._opened.release()

    def _session(self) -> Session:
        try:
            return self._target.open()
        except Exception as error:
            name = self._spec.target.name
            raise TargetError(f"target {name}: no session: {type(error).__name__}: {error}") from error

    def _loop(self, lane: Lane) -> Loop:
        spec, pool, number = self._spec, self._spec.scenario.pools[self._spec.pool], lane.parts.number
        keys = key_stream(pool.keys, self._key_space, spec.seed, number, spec.scenario.lanes)
        draws = Draws(keys, spec.seed, number, self._bench.acked)
        save_keys = SaveKeys((key, lane.saves(key)) for key in lane.save_keys if not lane.retired(key))
        place = (number - spec.first_lane) * pool.processes + spec.process  # first one of each process
        return Loop(lane, self._course, draws, save_keys, place, self._take_starts if pool.rate is not None else None)

    def _change(self, change: Change) -> None:
        """Have all lanes go on as another scenario says, from a moment to come on."""
        self._course.follow(self._course.plan.changed(change.at_ns, change.scenario.pools[self._spec.pool]))

    def _pacer(self, plan: Plan) -> Pacer:
        return plan.pacer(self._spec.seed, self._spec.process, plan.pool.processes)

    def _take_starts(self) -> tuple[Starts, range]:
        """Return the process's intended starts, and to the first lane that asks those that were missed.

        Those fell due while there was no process: after the last one that an earlier process took. The first process
        of the slot has missed none, it is only late.
        """
        with self._starts_lock:
            if self._starts is not None:
                return self._starts, range(0)
            spec = self._spec
            lanes = range(spec.first_lane, spec.first_lane + spec.threads)
            taken = max(self._table.row(lane)[cells.NEXT_START] for lane in lanes)
            self._starts = Starts(self._course, self._table.control[Control.LOAD_START_NS], taken)
            return self._starts, self._starts.take_due(time.monotonic_ns()) if taken else range(0)

    def _lane_failed(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def _stay(self, threads: list[threading.Thread]) -> None:
        report_at_s = release_at_s = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            self._channel.wait_s(DRAIN_POLL_S if self._table.control[Control.DRAIN] else 0.25)
            for message in self._channel.receive():
                if message["event"] == "change":
                    self._change(change_of(message))
            if self._channel.closed:
                os._exit(EXIT_LANE_DIED)  # the parent is gone
            if self._failure is not None:
                raise self._failure
            self._beat_for_ended(threads)
            now_s = time.monotonic()
            if now_s >= report_at_s:
                self._report()
                report_at_s = now_s + REPORT_EVERY_S
            if now_s >= release_at_s:
                release_unused()
                release_at_s = now_s + RELEASE_EVERY_S

    def _beat_for_ended(self, threads: list[threading.Thread]) -> None:
        """Beat for the lanes that have ended in order, while others still finish what they are doing."""
        now_ns = time.monotonic_ns()
        for lane, thread in enumerate(threads, start=self._spec.first_lane):
            if not thread.is_alive():
                self._table.row(lane)[cells.HEARTBEAT] = now_ns

    def _report(self) -> None:
        """Write what this process holds into its first lane's row; counters go on from those of earlier processes."""
        row = self._table.row(self._spec.first_lane)
        row[cells.ARROW_BYTES] = arrow_bytes()
        if not isinstance(self._target, TargetWithStats):
            return
        now, before = self._target.stats(), self._reported
        row[cells.CACHE_BYTES] = now.cache_bytes or 0
        row[cells.CACHE_EVICTIONS] += _more(now.cache_evictions, before.cache_evictions)
        row[cells.COMMITS] += _more(now.commits, before.commits)
        row[cells.CONFLICTS] += _more(now.conflicts, before.conflicts)
        self._reported = now


def _more(now: int | None, before: int | None) -> int:
    """Return what a target's count grew by; one that goes back is the target's business, not a reason to end."""
    return max(0, (now or 0) - (before or 0))

"""The node's view of itself, once a second: ticks, evidence, the criteria as they stand.

A thread of its own, so that neither a scrape nor the supervisor ever waits for `/proc`. The main thread writes
`RunState`; this one only reads it, and replaces `status` by a new one.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from stressd import durations
from stressd.node.board import Board
from stressd.node.founding import Founded
from stressd.node.gauges import Gauges
from stressd.node.rolling import Rolling
from stressd.node.run_state import RunState
from stressd.observe.processes import MemoryByProcess, ProcessStatus
from stressd.observe.status import Status
from stressd.stats.table import Snapshot, Table
from stressd.supervisor.resources import Machine, Tree, TreeUsage, cores
from stressd.supervisor.sampler import TickRing, tick
from stressd.verdict import wording
from stressd.verdict.evidence import Evidence, FaultRecord
from stressd.verdict.objectives import Objectives
from stressd.verdict.saturation import reach_of
from stressd.verdict.verdict import Verdict, judge
from stressd.worker.memory import release_unused
from stressd.workload.offer import Offer, Pace
from stressd.workload.plan import Change

log = logging.getLogger(__name__)

SAMPLE_EVERY_S: Final = 1.0
LOOK_AT_MEMORY_EVERY_S: Final = 0.2
SHARES_EVERY_S: Final = 10.0  # of memory that processes share: 2 ms a process, too much for each second of a month ...
SHARES_EACH_TIME_S: Final = 3600.0  # ... but not for a run's first hour
JUDGE_EVERY_S: Final = 5.0
BLIND_AFTER: Final = 5  # samples in a row that failed
ROLLING_S: Final = 3600.0  # of an endless run only the last hour is judged ...
ROLLING_DEATHS_S: Final = 86_400.0  # ... and workers that died in the last day


class Watch:
    """Samples until it is stopped. `status` and `evidence()` may be read by any thread."""

    def __init__(
        self,
        founded: Founded,
        table: Table,
        run: RunState,
        gauges: Gauges,
        show: Callable[[Status], None],
    ) -> None:
        self._scenario = founded.scenario
        self._abilities = founded.abilities
        self._table = table
        self._run = run
        self._gauges = gauges
        self._board = Board(founded, run)
        self._cores = cores()
        self._show = show
        self._tree = Tree()
        self._machine = Machine()
        self._ring = TickRing()
        self._memory = MemoryByProcess()
        self._judged_s = ROLLING_S if founded.scenario.duration_s is None else None
        self._rolling = Rolling(founded.scenario, ROLLING_S) if self._judged_s is not None else None
        self._objectives = Objectives(founded.scenario.slo, self._judged_s)
        self._resident_bytes: list[int] = []  # since the sample before
        self._failed_in_a_row = 0
        self._began_s = time.monotonic()
        self._offer = Offer(founded.scenario, founded.record.seed)
        self._last: tuple[float, Snapshot, float, Pace] | None = None  # when, what, processor time, starts
        self._judged_at_s = self._shares_at_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self.status = self._status(self._began_s, table.snapshot(), TreeUsage(0, 0, 0.0, {}), ())

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Take one last sample and end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def evidence(self) -> Evidence:
        """Return all that has been measured so far."""
        run, now = self._run, self._table.snapshot()
        load_s = run.loaded_s(time.monotonic())
        supervisor, memory = run.supervisor, self._memory.history()
        return Evidence(
            scenario=self._scenario,
            abilities=self._abilities,
            cores=self._cores,
            load_s=load_s,
            measured=self._measured(now),
            total=now,
            ticks=self._ring.ticks(),
            probes=dict(run.probes),
            faults=self._faults(load_s),
            deaths=self._deaths(),
            restarts=run.restarts(),
            outages_s=list(supervisor.tally.outages_s) if supervisor is not None else (),
            faults_left_out=dict(run.faults_left_out),
            unresolved_workers=run.unresolved_workers,
            phases=run.phases.records(load_s, run.measured_to or now) if run.phases is not None and load_s else (),
            reach=reach_of(self._ring.ticks(), self._scenario.warming_s, self._cores),
            memory_at_s=memory.at_s,
            memory_by_process=memory.memory_bytes,
            objectives=self._objectives.findings(),
            judged_s=self._judged_s,
        )

    def _measured(self, now: Snapshot) -> Snapshot:
        """Return what the load's lanes counted after warm-up; of an endless run, in the last hour."""
        run, lanes = self._run, slice(0, self._scenario.lanes)
        end = (run.measured_to or now).rows(lanes)
        if run.measured_from is None:
            return end - end
        earlier = self._rolling.earlier() if self._rolling is not None else None
        if self._rolling is not None and earlier is not None:
            return self._rolling.collapsed(end) - earlier
        return end - run.measured_from.rows(lanes)

    def _faults(self, load_s: float) -> Sequence[FaultRecord]:
        records = self._run.schedule.records() if self._run.schedule is not None else []
        if self._judged_s is None:
            return records
        return [record for record in records if record.until_s > load_s - self._judged_s]

    def _deaths(self) -> int:
        """Return how many workers died that nobody asked to; of an endless run, in the last day."""
        if self._judged_s is None or self._run.supervisor is None:
            return self._run.deaths
        since_s = time.monotonic() - ROLLING_DEATHS_S
        return sum(at_s > since_s for at_s in self._run.supervisor.tally.deaths_at_s.copy())

    def change(self, change: Change) -> None:
        """Go on as a scenario says that was read anew."""
        self._offer.change(change)
        self._scenario = change.scenario
        self._objectives.change(change.scenario.slo)

    @property
    def blind(self) -> bool:
        """Whether nothing has been seen of the run for some samples: what it would be judged by is missing."""
        return self._failed_in_a_row >= BLIND_AFTER

    def broken_objective(self) -> str | None:
        """Say which objective of the scenario's own is to end the run, if one is."""
        broken = self._objectives.broken
        if broken is None:
            return None
        objective, since_s, value = broken
        shown, line = (wording.figure(each, objective.unit) for each in (value, objective.fail))
        return (
            f"{objective.name}: {objective.stat} of {objective.subject} was {shown} in the last "
            f"{durations.text(objective.window)}, and beyond {line} since second {since_s:.0f} of the load"
        )

    def _watch(self) -> None:
        sample_at_s = time.monotonic()
        while not self._stopping.wait(LOOK_AT_MEMORY_EVERY_S):
            self._resident_bytes.append(self._tree.resident_bytes())
            if time.monotonic() >= sample_at_s:
                self._look()
                sample_at_s += max(SAMPLE_EVERY_S, time.monotonic() - sample_at_s)
        self._look()

    def _look(self) -> None:
        try:
            self._sample()
        except Exception:
            self._failed_in_a_row += 1
            log.exception("a sample failed and is left out")
        else:
            self._failed_in_a_row = 0

    def _sample(self) -> None:
        now_s, snapshot = time.monotonic(), self._table.snapshot()
        supervisor = self._run.supervisor
        if shares := now_s - self._began_s < SHARES_EACH_TIME_S or now_s - self._shares_at_s >= SHARES_EVERY_S:
            self._shares_at_s = now_s
        usage = self._tree.sample(supervisor.pids if supervisor is not None else (), shares=shares)
        looks, self._resident_bytes = self._resident_bytes or [usage.rss_bytes], []
        processes = self._board.processes(now_s, usage)
        self._take_tick(now_s, snapshot, usage, processes, sum(looks) // len(looks))
        self._gauges.sample(now_s, usage, self._offer)
        self._judge(now_s)
        self.status = self._status(now_s, snapshot, usage, processes)
        self._show(self.status)

    def _take_tick(
        self,
        now_s: float,
        snapshot: Snapshot,
        usage: TreeUsage,
        processes: Sequence[ProcessStatus],
        rss_bytes: int,
    ) -> None:
        run, supervisor = self._run, self._run.supervisor
        if run.load_start_s is None or supervisor is None or run.load_end_s is not None:
            self._last = None
            return
        cpu_s = usage.cpu_s + sum(slot.cpu_of_dead_s for slot in supervisor.slots)
        pace = self._offer.pace(snapshot, round((now_s - run.load_start_s) * 1e9))
        if self._last is not None:
            last_s, last, last_cpu_s, last_pace = self._last
            lanes = slice(0, self._scenario.lanes)
            at_s, counted = now_s - run.load_start_s, snapshot.rows(lanes) - last.rows(lanes)
            fault = run.schedule is not None and run.schedule.active(round(last_s * 1e9), round(now_s * 1e9))
            self._ring.append(
                tick(
                    counted,
                    snapshot.total("arrow_bytes"),
                    usage,
                    at_s=at_s,
                    duration_s=now_s - last_s,
                    rss_bytes=rss_bytes,
                    cpu_s=cpu_s - last_cpu_s,
                    workers=sum(slot.state == "running" for slot in supervisor.slots),
                    fault=fault,
                    pace=pace - last_pace,
                    machine=self._machine.sample(cpu_s - last_cpu_s),
                )
            )
            if self._rolling is not None:
                self._rolling.take(now_s, snapshot.rows(lanes))
            warm = last_s - run.load_start_s >= self._scenario.warming_s
            self._objectives.take(at_s, now_s - last_s, counted, counts=warm and not fault)
        self._last = (now_s, snapshot, cpu_s, pace)
        self._memory.take(now_s - run.load_start_s, {process.name: process.memory_bytes for process in processes})

    def _judge(self, now_s: float) -> None:
        if now_s - self._judged_at_s < JUDGE_EVERY_S:
            return
        self._judged_at_s = now_s
        self.show_verdict(judge(self.evidence()))
        release_unused()  # snapshots and the verdict's samples come and go: a heap with holes in it grows for hours

    def show_verdict(self, verdict: Verdict) -> None:
        """Put the criteria as they stand into metrics and status."""
        self._gauges.verdict(verdict)
        self._board.judged(verdict)
        if self._stopping.is_set():  # nobody else puts the last verdict into what is shown
            self.status = self._board.judged_again(self.status)

    def _status(self, now_s: float, snapshot: Snapshot, usage: TreeUsage, processes: Sequence[ProcessStatus]) -> Status:
        ticks, memory = self._ring.ticks(), self._memory.history()
        return self._board.status(now_s, snapshot, usage, processes, ticks=ticks, memory=memory)

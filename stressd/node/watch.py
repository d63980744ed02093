"""The node's view of itself, once a second: samples, metrics, the criteria as they stand, what people are shown.

A thread of its own, so that neither a scrape nor the supervisor ever waits for `/proc`. The main thread writes
`RunState`; this one only reads it, and replaces `status` and `ticks` by new ones.
"""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stressd import __version__, durations
from stressd.criteria import STATUS_CODE
from stressd.metrics import RESTART_REASONS, WORKER_STATES
from stressd.node.founding import Founded
from stressd.node.phases import PhaseLog
from stressd.node.rolling import Rolling
from stressd.observe.node_metrics import NodeMetrics
from stressd.observe.processes import MemoryByProcess, ProcessStatus
from stressd.observe.status import CriterionStatus, NodeFacts, PoolFacts, Status, build_status
from stressd.stats.table import Snapshot, Table
from stressd.supervisor.faults import FaultSchedule
from stressd.supervisor.resources import Machine, Tree, TreeUsage, cores, disk_free_bytes, memory_limit_bytes
from stressd.supervisor.sampler import TickRing, tick
from stressd.supervisor.supervisor import Supervisor
from stressd.targets.protocol import TargetWithFootprint
from stressd.verdict import wording
from stressd.verdict.evidence import Evidence, FaultRecord, ProbeResult
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
FOOTPRINT_EVERY_S: Final = 10.0
RECENT_SAMPLES: Final = 10
BLIND_AFTER: Final = 5  # samples in a row that failed
ROLLING_S: Final = 3600.0  # of an endless run only the last hour is judged ...
ROLLING_DEATHS_S: Final = 86_400.0  # ... and workers that died in the last day


@dataclass(slots=True)
class RunState:
    """What the main thread knows of the run; the watch reads it."""

    state: str = "starting"
    phase: str = ""
    supervisor: Supervisor | None = None
    schedule: FaultSchedule | None = None
    faults_left_out: dict[str, str] = field(default_factory=dict)
    probes: dict[str, ProbeResult] = field(default_factory=dict)
    phases: PhaseLog | None = None
    load_start_s: float | None = None  # monotonic
    load_end_s: float | None = None
    measured_from: Snapshot | None = None
    measured_to: Snapshot | None = None
    unresolved_workers: int = 0
    aborted: str = ""


class Watch:
    """Samples until it is stopped. `status` and `evidence()` may be read by any thread."""

    def __init__(
        self,
        founded: Founded,
        table: Table,
        metrics: NodeMetrics,
        run: RunState,
        show: Callable[[Status], None],
        folder: str,
    ) -> None:
        self._scenario = founded.scenario
        self._record = founded.record
        self._abilities = founded.abilities
        self._target = founded.target
        self._table = table
        self._metrics = metrics
        self._cores = cores()
        self._run = run
        self._show = show
        self._folder = folder
        self._tree = Tree()
        self._machine = Machine()
        self._ring = TickRing()
        self._memory = MemoryByProcess()
        self._judged_s = ROLLING_S if founded.scenario.duration_s is None else None
        self._rolling = Rolling(founded.scenario, ROLLING_S) if self._judged_s is not None else None
        self._objectives = Objectives(founded.scenario.slo, self._judged_s)
        self._usage: tuple[float, TreeUsage] | None = None  # the sample before
        self._resident_bytes: list[int] = []  # since the sample before
        self._samples = 0
        self._failed_in_a_row = 0
        self._verdict: str | None = None
        self._began_s = time.monotonic()
        self._recent: deque[tuple[float, Snapshot]] = deque(maxlen=RECENT_SAMPLES)
        self._offer = Offer(founded.scenario, founded.record.seed)
        self._last: tuple[float, Snapshot, float, Pace] | None = None  # when, what, processor time, starts
        self._judged_at_s = self._footprint_at_s = self._shares_at_s = 0.0
        self._criteria: list[CriterionStatus] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        metrics.set("memory_limit_bytes", memory_limit_bytes())
        metrics.set("cpu_limit_cores", self._cores)
        self.status: Status = self._status(table.snapshot(), TreeUsage(0, 0, 0.0, {}))

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
        load_s = 0.0
        if run.load_start_s is not None:
            load_s = (run.load_end_s or time.monotonic()) - run.load_start_s
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
            restarts=self._restarts(),
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
        if self._run.supervisor is None:
            return 0
        tally = self._run.supervisor.tally
        if self._judged_s is None:
            return tally.deaths
        since_s = time.monotonic() - ROLLING_DEATHS_S
        return sum(at_s > since_s for at_s in tally.deaths_at_s.copy())

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
        self._recent.append((now_s, snapshot))
        processes = self._processes(now_s, usage)
        self._take_tick(now_s, snapshot, usage, processes, sum(looks) // len(looks))
        self._export(now_s, usage)
        self._judge(now_s)
        self.status = self._status(snapshot, usage, processes)
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

    def _export(self, now_s: float, usage: TreeUsage) -> None:
        metrics = self._metrics
        metrics.set_state("state", self._run.state)
        metrics.set("tree_resident_memory_bytes", usage.rss_bytes)
        metrics.set("tree_proportional_memory_bytes", usage.pss_bytes)
        metrics.set("disk_free_bytes", disk_free_bytes(self._folder))
        rates = self._offer.rates(round((now_s - (self._run.load_start_s or now_s)) * 1e9))
        for pool in self._scenario.pools:
            metrics.set("offered_rate", rates[pool.name], pool.name)
            metrics.set("workers_desired", pool.processes, pool.name)
        if now_s - self._footprint_at_s >= FOOTPRINT_EVERY_S and isinstance(self._target, TargetWithFootprint):
            self._footprint_at_s = now_s
            footprint = self._target.footprint()
            metrics.set("store_bytes", footprint.bytes)
            metrics.set("store_files", footprint.files)
            metrics.set("store_features", footprint.features)
        if self._run.supervisor is not None:
            self._export_workers(self._run.supervisor, usage)

    def _export_workers(self, supervisor: Supervisor, usage: TreeUsage) -> None:
        metrics = self._metrics
        cpu_s: Counter[str] = Counter()
        for slot in supervisor.slots:
            worker = (slot.pool, str(slot.spec.process))
            child = slot.child
            used = usage.by_pid.get(child.pid) if child is not None else None
            metrics.set("worker_resident_memory_bytes", used.rss_bytes if used else 0, *worker)
            metrics.set("worker_open_fds", used.fds if used else 0, *worker)
            if child is not None:
                metrics.set("worker_start_time_seconds", time.time() - (time.monotonic() - child.started_s), *worker)
            cpu_s[slot.pool] += slot.cpu_of_dead_s + (used.cpu_s if used else 0.0)  # type: ignore[assignment]
        for pool in self._scenario.pools:
            metrics.set("pool_cpu_seconds_total", cpu_s[pool.name], pool.name)

    def export_slots(self, supervisor: Supervisor) -> None:
        """Show what the workers are doing and how many were replaced: at each turn of the supervisor, by its thread."""
        metrics = self._metrics
        states = Counter((slot.pool, str(slot.state)) for slot in supervisor.slots)
        for pool in self._scenario.pools:
            for state in WORKER_STATES:
                metrics.set("workers", states[pool.name, state], pool.name, state)
            for reason in RESTART_REASONS:
                metrics.set("worker_restarts_total", supervisor.tally.restarts[pool.name, reason], pool.name, reason)

    def _judge(self, now_s: float) -> None:
        if now_s - self._judged_at_s < JUDGE_EVERY_S:
            return
        self._judged_at_s = now_s
        self.show_verdict(judge(self.evidence()))
        release_unused()  # snapshots and the verdict's samples come and go: a heap with holes in it grows for hours

    def show_verdict(self, verdict: Verdict) -> None:
        """Put the criteria as they stand into metrics and status."""
        for result in verdict.criteria:
            self._metrics.set("criterion_status", STATUS_CODE[result.outcome], result.criterion.name)
            value = float("nan") if result.value is None else result.value
            self._metrics.set("criterion_value", value, result.criterion.name)
        self._criteria = [
            CriterionStatus.of(result.criterion, result.outcome, result.value, result.why)
            for result in verdict.criteria
        ]
        self._verdict = verdict.outcome
        if self._stopping.is_set():  # nobody else puts the last verdict into what is shown
            self._samples += 1
            facts = replace(self.status.facts, verdict=self._verdict, sample=self._samples)
            self.status = replace(self.status, criteria=self._criteria, facts=facts)

    def _processes(self, now_s: float, usage: TreeUsage) -> list[ProcessStatus]:
        """Return the daemon, with whatever else it has started, and each slot."""
        last_s, last = self._usage or (now_s, usage)
        self._usage = (now_s, usage)
        elapsed_s = max(now_s - last_s, 1e-3)
        supervisor = self._run.supervisor
        slots = []
        for slot in supervisor.slots if supervisor is not None else ():
            child = slot.child
            pid, age_s = (child.pid, now_s - child.started_s) if child is not None else (None, None)
            used, before = (sample.by_pid.get(pid or 0) for sample in (usage, last))
            cores_used = max(0.0, used.cpu_s - before.cpu_s) / elapsed_s if used and before else 0.0
            memory = (used.pss_bytes or used.rss_bytes) if used else 0
            name = f"{slot.pool} {slot.spec.process}"
            slots.append(ProcessStatus(name, str(slot.state), pid, memory, cores_used, age_s))
        rest = max(0, (usage.pss_bytes or usage.rss_bytes) - sum(slot.memory_bytes for slot in slots))
        total_cores = max(0.0, usage.cpu_s - last.cpu_s) / elapsed_s
        own_cores = max(0.0, total_cores - sum(slot.cores for slot in slots))
        return [ProcessStatus("daemon", "", os.getpid(), rest, own_cores, now_s - self._began_s), *slots]

    def _status(self, snapshot: Snapshot, usage: TreeUsage, processes: Sequence[ProcessStatus] = ()) -> Status:
        self._samples += 1
        since_s, earlier = self._recent[0] if self._recent else (time.monotonic(), snapshot)
        return build_status(
            self._facts(usage),
            snapshot,
            snapshot - earlier,
            recent_s=time.monotonic() - since_s,
            ticks=self._ring.ticks(),
            criteria=self._criteria,
            processes=processes,
            memory=self._memory.history(),
        )

    def _facts(self, usage: TreeUsage) -> NodeFacts:
        run, record, now_s = self._run, self._record, time.monotonic()
        elapsed_s = (run.load_end_s or now_s) - run.load_start_s if run.load_start_s is not None else 0.0
        return NodeFacts(
            state=run.state,
            phase=run.phase,
            run_id=record.run_id,
            scenario=self._scenario.name,
            target=record.target,
            seed=record.seed,
            version=__version__,
            started_at=record.started_at,
            elapsed_s=elapsed_s,
            duration_s=self._scenario.duration_s,
            pools=self._pools(),
            deaths=run.supervisor.tally.deaths if run.supervisor is not None else 0,
            restarts=self._restarts(),
            memory_bytes=usage.pss_bytes or usage.rss_bytes,
            memory_limit_bytes=memory_limit_bytes(),
            faults=run.schedule.records() if run.schedule is not None else (),
            verdict=self._verdict,
            sample=self._samples,
        )

    def _pools(self) -> list[PoolFacts]:
        supervisor = self._run.supervisor
        slots = supervisor.slots if supervisor is not None else []
        return [
            PoolFacts(
                pool.name,
                pool.processes,
                {
                    state: sum(slot.pool == pool.name and slot.state == state for slot in slots)
                    for state in WORKER_STATES
                },
            )
            for pool in self._scenario.pools
        ]

    def _restarts(self) -> dict[str, int]:
        supervisor = self._run.supervisor
        counted: Counter[str] = Counter()
        for (_, reason), count in list(supervisor.tally.restarts.items()) if supervisor is not None else ():
            counted[reason] += count
        return dict(counted)

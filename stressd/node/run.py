"""One machine's daemon: a scenario in, a report out.

    found -> probes -> load -> probes -> verdict -> report

The main thread runs the phases and the supervisor; the watch samples, the server answers.
"""

import logging
import os
import platform
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

from stressd import __version__
from stressd.criteria import BY_NAME as _CRITERIA
from stressd.errors import DaemonError, StressdError
from stressd.metrics import OPS, VIOLATIONS
from stressd.node.founding import Wishes, found
from stressd.node.gauges import Gauges
from stressd.node.injecting import means_for, wants_disk
from stressd.node.phases import PhaseLog
from stressd.node.reloading import Reloads
from stressd.node.reporting import Reporter
from stressd.node.run_state import RunState
from stressd.node.settings import Ended, Settings
from stressd.node.state import StateFolder
from stressd.node.systemd import ServiceManager
from stressd.node.watch import Watch
from stressd.observe.collector import Exporter
from stressd.observe.derived import LaneInfo
from stressd.observe.node_metrics import NodeMetrics
from stressd.observe.routes import Sources
from stressd.observe.server import ObserveServer
from stressd.scenario import ProbeName, Scenario
from stressd.stats.table import Control, Table, column
from stressd.supervisor.errand import Errand
from stressd.supervisor.faults import FaultSchedule
from stressd.supervisor.signals import Signals
from stressd.supervisor.supervisor import Slot, Supervisor
from stressd.targets.loading import abilities_of_name
from stressd.verdict.evidence import ProbeResult
from stressd.verdict.verdict import judge
from stressd.worker.channel import Message
from stressd.worker.spec import WorkerSpec
from stressd.workload.plan import Change

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S: Final = 180.0
START_TIMEOUT_S: Final = 120.0
AFTER_SECOND_SIGNAL_S: Final = 0.5  # for operations in flight; what is left of `signals.HURRY_S` is for the report
TURN_S: Final = 0.05
RELOAD_AHEAD_NS: Final = 500_000_000  # until then every worker has read it
FIRST_REPORT_S: Final = 5.0  # then at twice the time, again and again: who is killed has one of half the run ...
REPORT_EVERY_S: Final = 300.0  # ... or of all but its last five minutes
ALIVE_S: Final = 10.0
_LAST_GOOD: Final = {op: column("last_good_ns", op) for op in OPS}


def run(scenario: Scenario, settings: Settings) -> Ended:
    """Run the scenario to its end; main thread only. StressdError where nothing could be run."""
    with ExitStack() as stack:
        state = StateFolder.open(settings.state_path)
        stack.callback(state.close)
        if settings.allow_host_faults and wants_disk(scenario, abilities_of_name(scenario.target.name)):
            state.make_disk()
        signals = stack.enter_context(Signals())
        node = Node(settings, state, signals, stack)
        return node.run(scenario)


class Node:
    """One run, from its founding to its report."""

    def __init__(self, settings: Settings, state: StateFolder, signals: Signals, stack: ExitStack) -> None:
        self._settings = settings
        self._state = state
        self._signals = signals
        self._stack = stack
        self._run = RunState()
        self._turned_s = time.monotonic()
        self._reporter = Reporter()

    def run(self, scenario: Scenario) -> Ended:
        """Run all phases, and report whatever ended them."""
        settings = self._settings
        wishes = Wishes(
            settings.movies_path,
            settings.seed,
            settings.processes,
            settings.say,
            self._stopped,
            self._on_errand_message,
        )
        self._founded = found(scenario, self._state, wishes)
        self._stack.callback(self._founded.target.teardown)
        self._serve()
        failure: StressdError | None = None
        try:
            self._phases()
        except DaemonError as error:
            failure = error
            log.error("%s", error)  # noqa: TRY400 - the message is the news, the stack is not
        self._run.state, self._run.phase = "stopped", ""
        self._watch.stop()
        seen = self._signals.count  # before anyone can see that it is over, and end the linger
        ended = self._report(final=True, failure=failure)
        settings.done(ended)
        self._linger(seen)
        return ended

    # --- what stays up during the whole run

    def _serve(self) -> None:
        founded, settings = self._founded, self._settings
        scenario, record = founded.scenario, founded.record
        table = self._table = Table.create(self._state.at("table"), scenario.lanes + scenario.probe_lanes)
        self._carry_over()
        metrics = self._metrics = NodeMetrics(
            pools={pool.name: pool.processes for pool in scenario.pools},
            criteria=[
                *(name for name in _CRITERIA if name not in scenario.criteria.omit),
                *(objective.name for objective in scenario.slo),
            ],
            info={
                "version": __version__,
                "python": platform.python_version(),
                "commit": os.environ.get("STRESSD_COMMIT", ""),
                "run_id": record.run_id,
                "scenario": scenario.name,
                "target": record.target,
                "hash": record.movies_sha256[:12],
            },
        )
        self._gauges = Gauges(founded, metrics, self._run, str(self._state.path))
        self._watch = Watch(founded, table, self._run, self._gauges, settings.show)
        reread = settings.reread or (lambda: scenario)
        self._reloads = Reloads(scenario, record, reread, metrics)
        sources = Sources(
            metrics=Exporter(table, self._lanes(), metrics).render,
            status=self._status,
            alive=lambda: time.monotonic() - self._turned_s < ALIVE_S,
            ready=self._at_work,
            reload=self._reloads.ask,
        )
        server = ObserveServer(settings.listening, sources)
        address = server.start()
        self._stack.callback(server.stop)
        settings.say(f"metrics at {address}/metrics, the live page at {address}/")
        self._watch.start()
        self._stack.enter_context(ServiceManager(sources.alive))

    def _status(self) -> dict[str, object]:
        return self._watch.status.to_json()

    def _at_work(self) -> bool:
        run = self._run
        return run.state in ("warmup", "running") and run.supervisor is not None and run.supervisor.any_ready

    def _carry_over(self) -> None:
        """Count what the check of the earlier run's data found as this run's own: in the first probe's row."""
        carried, row = self._founded.carried, self._table.row(self._founded.scenario.lanes)
        row[column("reads_verified_total")] += carried.keys
        for kind, count in carried.violations.items():
            row[column("violations_total", kind)] += count

    def _lanes(self) -> list[LaneInfo]:
        scenario = self._founded.scenario
        load = [
            LaneInfo(pool.name, spec.process, row)
            for pool, spec in ((scenario.pools[spec.pool], spec) for spec in self._load_specs())
            for row in range(spec.first_lane, spec.first_lane + spec.threads)
        ]
        return [*load, *(LaneInfo("probe", 0, scenario.lanes + row) for row in range(scenario.probe_lanes))]

    # --- the phases

    def _phases(self) -> None:
        scenario = self._founded.scenario
        if not scenario.pools:
            self._reloads.end()
        self._probe(scenario.probes.before)
        if scenario.pools and not self._stopped():
            self._load()
        if not self._run.aborted:
            self._probe(scenario.probes.after)

    def _probe(self, names: Sequence[ProbeName]) -> None:
        for name in names:
            if self._stopped():
                return
            self._run.phase = f"probe {name}"
            spec = self._spec(
                "probe", threads=self._founded.scenario.probe_lanes, first_lane=self._founded.scenario.lanes
            )
            came = Errand(replace(spec, probe=name), self._on_errand_message).run(PROBE_TIMEOUT_S, self._stopped)
            figures, detail = came.result.get("figures", {}), came.result.get("detail", {})
            self._run.probes[name] = ProbeResult(name, came.duration_s, figures, detail, came.error)
            if came.error is not None:
                log.warning("probe %s: %s", name, came.error)
        self._run.phase = ""

    def _load(self) -> None:
        specs = [(self._founded.scenario.pools[spec.pool].name, spec) for spec in self._load_specs()]
        supervisor = Supervisor(
            specs,
            self._table,
            self._founded.scenario.supervision,
            self._on_worker_message,
            replaceable=not self._founded.record.one_process,
        )
        self._run.supervisor = supervisor
        supervisor.watch(self._signals.fileno())
        try:
            self._start_load(supervisor)
            self._run_load(supervisor)
            self._drain_load(supervisor)
        finally:
            supervisor.close()

    def _start_load(self, supervisor: Supervisor) -> None:
        self._run.phase = "starting workers"
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not supervisor.all_ready and not self._stopped():
            self._turn(supervisor)
            if time.monotonic() > deadline_s:
                raise DaemonError(f"the workers were not ready after {START_TIMEOUT_S:g} s; the log says why")
        self._run.phase = ""

    def _run_load(self, supervisor: Supervisor) -> None:
        run, scenario = self._run, self._founded.scenario
        duration_s = scenario.duration_s
        start_ns = time.monotonic_ns() + 20_000_000
        run.schedule = self._schedule(supervisor, start_ns)
        run.load_start_s = start_ns / 1e9
        run.phases = phases = PhaseLog(scenario)
        run.state = "warmup"
        self._table.control[Control.LOAD_START_NS] = start_ns
        end_s = run.load_start_s + duration_s if duration_s is not None else float("inf")
        warm_s = run.load_start_s + scenario.warming_s
        report_at_s = run.load_start_s + FIRST_REPORT_S
        while not self._stopped() and (now_s := time.monotonic()) < end_s:
            self._turn(supervisor, min(TURN_S, end_s - now_s, phases.border_s - (now_s - run.load_start_s)))
            self._take_reload(supervisor)
            phases.turn(time.monotonic() - run.load_start_s, self._table.snapshot)
            run.phase = phases.name
            if run.measured_from is None and now_s >= warm_s:
                run.measured_from = self._table.snapshot()
                run.state = "running"
            if now_s >= report_at_s:
                report_at_s = now_s + min(now_s - run.load_start_s, REPORT_EVERY_S)
                self._report(final=False)
            if self._settings.stop_on_violation and self._violated():
                log.error("stopping at the first violation, as asked")
                return
            if self._watch.blind:
                raise DaemonError("the run cannot be seen any more: one sample after the other fails; the log says why")
            if (why := self._watch.broken_objective()) is not None:
                run.aborted = why
                log.error("aborted: %s", why)
                return

    def _take_reload(self, supervisor: Supervisor) -> None:
        """Have everybody go on as a scenario says that was read anew, from one moment a little ahead on."""
        if self._signals.reload:
            self._signals.reload = False
            self._reloads.ask()
        taken = self._reloads.take()
        if taken is None:
            return
        scenario, changes = taken
        at_ns = time.monotonic_ns() + RELOAD_AHEAD_NS - self._table.control[Control.LOAD_START_NS]
        change = Change(at_ns, scenario)
        supervisor.change(change)
        self._watch.change(change)
        dumped = scenario.model_dump(mode="json", by_alias=True)
        record = replace(self._founded.record, scenario=dumped)
        self._founded = replace(self._founded, scenario=scenario, record=record)
        self._state.write_record(record)
        self._reporter.reloaded(at_ns / 1e9, changes)

    def _drain_load(self, supervisor: Supervisor) -> None:
        run = self._run
        self._reloads.end()
        run.measured_to = self._table.snapshot()
        run.load_end_s = time.monotonic()
        run.phase = ""
        run.unresolved_workers = supervisor.down if supervisor.mostly_down else 0
        run.state = "draining"
        if run.schedule is not None:
            run.schedule.end(time.monotonic_ns())
            self._note_what_never_began(run.schedule)
        supervisor.drain()
        deadline_s = time.monotonic() + self._founded.scenario.supervision.drain_s
        hurried = False
        while not supervisor.all_gone and time.monotonic() < deadline_s:
            self._turn(supervisor)
            if self._signals.count > 1 and not hurried:
                hurried = True
                deadline_s = time.monotonic() + AFTER_SECOND_SIGNAL_S
        if not supervisor.all_gone:
            log.error("not drained in time, and killed: %s", ", ".join(map(str, supervisor.pids.values())))

    def _turn(self, supervisor: Supervisor, timeout_s: float = TURN_S) -> None:
        supervisor.turn(max(0.0, timeout_s))
        self._signals.clear()
        self._gauges.slots()
        self._schedule_faults()
        self._turned_s = time.monotonic()
        self._metrics.observe("supervisor_tick_seconds", supervisor.busy_s)

    def _schedule_faults(self) -> None:
        schedule = self._run.schedule
        if schedule is None:
            return
        for kind, on, recovery_s in schedule.turn(time.monotonic_ns(), self._last_good_ns):
            what = f"{kind} of {on}" if on else kind
            if recovery_s is None:
                log.info("fault %s begins", what)
                self._metrics.add("faults_injected_total", 1, kind)
            else:
                log.info("fault %s: good service again after %.3f s", what, recovery_s)
                self._metrics.observe("recovery_seconds", recovery_s, kind)

    def _last_good_ns(self, lanes: Collection[int], ops: Collection[str]) -> int:
        rows = [self._table.row(lane) for lane in lanes]
        return max(row[_LAST_GOOD[op]] for row in rows for op in ops)

    def _schedule(self, supervisor: Supervisor, start_ns: int) -> FaultSchedule:
        founded, run = self._founded, self._run
        means = means_for(founded, supervisor, self._table, self._state.disk)
        run.faults_left_out = means.left_out
        for kind, why in means.left_out.items():
            log.warning("fault %s is left out: %s", kind, why)
        scenario = founded.scenario
        return FaultSchedule(scenario.faults, means.strikes, start_ns, scenario.duration_s, founded.record.seed)

    def _note_what_never_began(self, schedule: FaultSchedule) -> None:
        never = [kind for kind in schedule.strikes if not schedule.begun[kind]]
        self._run.faults_left_out |= dict.fromkeys(never, "its moment did not come in this run")

    def _stopped(self) -> bool:
        self._turned_s = time.monotonic()
        return self._signals.count > 0

    def _violated(self) -> bool:
        snapshot = self._table.snapshot()
        return any(snapshot.total("violations_total", kind) for kind in VIOLATIONS)

    # --- what workers are told, and tell

    def _load_specs(self) -> list[WorkerSpec]:
        specs: list[WorkerSpec] = []
        lane = 0
        for number, pool in enumerate(self._founded.scenario.pools):
            for process in range(pool.processes):
                spec = self._spec("load", threads=pool.threads, first_lane=lane)
                specs.append(replace(spec, pool=number, process=process))
                lane += pool.threads
        return specs

    def _spec(self, role: Any, *, threads: int, first_lane: int) -> WorkerSpec:
        return self._founded.worker(self._state, role, threads=threads, first_lane=first_lane)

    def _on_worker_message(self, slot: Slot, message: Message) -> None:
        self._reporter.note(f"worker {slot}", message)

    def _on_errand_message(self, message: Message) -> None:
        self._reporter.note("probe", message)

    # --- the end

    def _report(self, *, final: bool, failure: StressdError | None = None) -> Ended:
        evidence = self._watch.evidence()
        verdict = judge(evidence, failed=failure is not None)
        interrupted_by = self._signals.first if final else None
        report, code = self._reporter.report(
            self._founded, self._settings, self._state, evidence, verdict, self._run, interrupted_by
        )
        if final:
            self._watch.show_verdict(verdict)
        return Ended(report, code)

    def _linger(self, seen: int) -> None:
        """Stay for a last scrape, until there is one signal more than were `seen`."""
        until_s = time.monotonic() + self._settings.linger_s
        while time.monotonic() < until_s and self._signals.count == seen:
            self._turned_s = time.monotonic()
            time.sleep(TURN_S)

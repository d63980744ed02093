"""What people are shown of a run, put together anew from each sample."""

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from stressd import __version__
from stressd.metrics import WORKER_STATES
from stressd.node.founding import Founded
from stressd.node.run_state import RunState
from stressd.observe.processes import MemoryHistory, ProcessStatus
from stressd.observe.status import CriterionStatus, NodeFacts, PoolFacts, Status, build_status
from stressd.stats.table import Snapshot
from stressd.supervisor.resources import TreeUsage, memory_limit_bytes
from stressd.verdict.evidence import Tick
from stressd.verdict.verdict import Verdict

RECENT_SAMPLES: Final = 10


class Board:
    """Makes one status after the other. For one thread; what it has made may be read by any."""

    def __init__(self, founded: Founded, run: RunState) -> None:
        self._scenario = founded.scenario
        self._record = founded.record
        self._run = run
        self._began_s = time.monotonic()
        self._usage: tuple[float, TreeUsage] | None = None  # the sample before
        self._recent: deque[tuple[float, Snapshot]] = deque(maxlen=RECENT_SAMPLES)
        self._samples = 0
        self._criteria: list[CriterionStatus] = []
        self._verdict: str | None = None

    def processes(self, now_s: float, usage: TreeUsage) -> list[ProcessStatus]:
        """Return the daemon, with whatever else it has started, and each slot; once a sample."""
        last_s, last = self._usage or (now_s, usage)
        self._usage = (now_s, usage)
        elapsed_s = max(now_s - last_s, 1e-3)
        slots = []
        for slot in self._run.slots:
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

    def status(
        self,
        now_s: float,
        snapshot: Snapshot,
        usage: TreeUsage,
        processes: Sequence[ProcessStatus],
        *,
        ticks: Sequence[Tick],
        memory: MemoryHistory,
    ) -> Status:
        """Return what a sample of `now_s`, of the monotonic clock, shows."""
        self._recent.append((now_s, snapshot))
        self._samples += 1
        since_s, earlier = self._recent[0]
        return build_status(
            self._facts(usage),
            snapshot,
            snapshot - earlier,
            recent_s=time.monotonic() - since_s,
            ticks=ticks,
            criteria=self._criteria,
            processes=processes,
            memory=memory,
        )

    def judged(self, verdict: Verdict) -> None:
        """Show this verdict from the next status on."""
        self._criteria = [
            CriterionStatus.of(result.criterion, result.outcome, result.value, result.why)
            for result in verdict.criteria
        ]
        self._verdict = verdict.outcome

    def judged_again(self, status: Status) -> Status:
        """Return the last status of a run with the last verdict: no other sample will show it."""
        self._samples += 1
        facts = replace(status.facts, verdict=self._verdict, sample=self._samples)
        return replace(status, criteria=self._criteria, facts=facts)

    def _facts(self, usage: TreeUsage) -> NodeFacts:
        run, record = self._run, self._record
        return NodeFacts(
            state=run.state,
            phase=run.phase,
            run_id=record.run_id,
            scenario=self._scenario.name,
            target=record.target,
            seed=record.seed,
            version=__version__,
            started_at=record.started_at,
            elapsed_s=run.loaded_s(time.monotonic()),
            duration_s=self._scenario.duration_s,
            pools=self._pools(),
            deaths=run.deaths,
            restarts=run.restarts(),
            memory_bytes=usage.pss_bytes or usage.rss_bytes,
            memory_limit_bytes=memory_limit_bytes(),
            faults=run.schedule.records() if run.schedule is not None else (),
            verdict=self._verdict,
            sample=self._samples,
        )

    def _pools(self) -> list[PoolFacts]:
        slots = self._run.slots
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

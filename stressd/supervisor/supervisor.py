"""The parent's loop over its workers: wait, reap, listen, restart, stop the hung.

A slot is a place for one worker process; its rows of the table, its keys and its place in the load stay when the
process in it is replaced. Death is seen through the pidfd, at once. One thread, the main one: `PR_SET_PDEATHSIG` of
the workers fires when the *thread* that started them ends.
"""

import logging
import random
import selectors
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stressd.errors import DaemonError, StressdError, TargetError
from stressd.scenario import Supervision
from stressd.stats.table import Control, Table, column
from stressd.supervisor.child import Child
from stressd.supervisor.resources import oom_kills
from stressd.supervisor.states import Backoff, HangWatch, WorkerState
from stressd.worker.channel import Message
from stressd.worker.spec import WorkerSpec, change_message
from stressd.workload.plan import Change

log = logging.getLogger(__name__)

AFTER_ABORT_S: Final = 2.0  # time for the stacks to be written before the kill
UNREAPABLE_S: Final = 10.0  # a killed process that is still there is held by the kernel, and is left to it
START_ALLOWANCE_S: Final = 60.0
STAYED_S: Final = 10.0  # a worker of a degraded slot that lasted so long is no longer expected to die at once
HOPELESS_S: Final = 60.0  # most slots degraded for so long end the run
_HEARTBEAT: Final = column("heartbeat_ns")


@dataclass(slots=True)
class Slot:
    """A place for one worker process, and the process in it, if any.

    `stuck`: it was killed, and the kernel holds on to it, as to one that waits for a disk that is gone. Its rows and
    keys stay its own until it has ended; only then may another process have them.
    """

    pool: str
    spec: WorkerSpec
    backoff: Backoff
    state: WorkerState = WorkerState.WAITING
    child: Child | None = None
    start_at_s: float = 0.0
    kill_at_s: float | None = None
    killed_at_s: float | None = None
    hung: bool = False
    stuck: bool = False
    condemned: bool = False  # by the fault schedule
    paused: bool = False
    resumed_at_s: float = 0.0
    ready_at_s: float | None = None  # of the process that is there
    was_ready: bool = False
    cpu_of_dead_s: float = 0.0

    @property
    def lanes(self) -> range:
        """Its rows of the table."""
        return range(self.spec.first_lane, self.spec.first_lane + self.spec.threads)

    def __str__(self) -> str:
        return f"{self.pool}/{self.spec.process}"


@dataclass(slots=True)
class Tally:
    """What happened to workers so far. `deaths` are those that nobody asked for, `deaths_at_s` when the last were."""

    deaths: int = 0
    deaths_at_s: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))
    restarts: Counter[tuple[str, str]] = field(default_factory=Counter)
    outages_s: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))

    def died(self) -> None:
        """Count one death."""
        self.deaths += 1
        self.deaths_at_s.append(time.monotonic())


class Supervisor:
    """Keeps one worker in each slot until it is told to drain. Used by one thread.

    `replaceable` False: what was saved lives in the worker's process, so that its death ends the run.
    """

    def __init__(
        self,
        specs: Sequence[tuple[str, WorkerSpec]],
        table: Table,
        settings: Supervision,
        on_message: Callable[[Slot, Message], None],
        *,
        replaceable: bool = True,
    ) -> None:
        self._table = table
        self._settings = settings
        self._on_message = on_message
        self._replaceable = replaceable
        self._selector = selectors.DefaultSelector()
        self._hang_watch = HangWatch(settings.hang_s)
        self._draining = False
        self._killing = False
        self._files_limited = False
        self._ooms = oom_kills()
        self._hopeless_since_s: float | None = None
        self._down_since_s: dict[int, float] = {}
        self.busy_s = 0.0  # of the last turn, its wait left out
        self.tally = Tally()
        self.slots = [Slot(pool, spec, self._backoff(spec)) for pool, spec in specs]

    def _backoff(self, spec: WorkerSpec) -> Backoff:
        rng = random.Random(f"{spec.seed}:{spec.first_lane}")  # noqa: S311 - jitter, no secret
        return Backoff(self._settings.backoff_first_s, self._settings.backoff_most_s, rng)

    def watch(self, fd: int) -> None:
        """Let `turn` end early when this descriptor becomes readable (the signals' wake-up pipe)."""
        self._selector.register(fd, selectors.EVENT_READ, None)

    def turn(self, timeout_s: float) -> None:
        """Wait for something to happen, at most `timeout_s`, and do what is due."""
        events = self._selector.select(timeout_s)
        began_s = time.monotonic()
        for key, _ in events:
            if isinstance(key.data, Slot) and key.data.child is not None:
                self._listen(key.data)
        now_s = time.monotonic()
        self._hang_watch.tick(now_s)
        for slot in self.slots:
            self._look_after(slot, now_s)
        self._give_up_if_hopeless(now_s)
        self.busy_s = time.monotonic() - began_s

    @property
    def all_ready(self) -> bool:
        """Whether every slot has a worker at work."""
        return all(slot.state is WorkerState.RUNNING for slot in self.slots)

    @property
    def any_ready(self) -> bool:
        """Whether any worker is at work; any thread may ask."""
        return any(slot.child is not None and slot.ready_at_s is not None for slot in self.slots)

    @property
    def down(self) -> int:
        """How many slots died too often lately, and have no worker that has stayed at work since."""
        stayed_since_s = time.monotonic() - STAYED_S
        return sum(
            slot.state is WorkerState.DEGRADED and (slot.ready_at_s is None or slot.ready_at_s > stayed_since_s)
            for slot in self.slots
        )

    @property
    def mostly_down(self) -> bool:
        """Whether that is true of most slots."""
        return 2 * self.down > len(self.slots)

    @property
    def all_gone(self) -> bool:
        """Whether no worker is left, but for those that the kernel holds."""
        return all(slot.child is None or slot.stuck for slot in self.slots)

    @property
    def pids(self) -> dict[int, Slot]:
        """The processes that are there, with their slots."""
        return {child.pid: slot for slot in self.slots if (child := slot.child) is not None}

    # --- what the fault schedule asks for

    def at_work(self) -> list[Slot]:
        """Return the slots whose worker is at work and not about to end; a paused one is among them."""
        return [
            slot
            for slot in self.slots
            if slot.child is not None and slot.ready_at_s is not None and not (slot.hung or slot.condemned)
        ]

    def kill(self, slot: Slot) -> None:
        """Kill the slot's worker; that is no death that counts, and the next one starts at once."""
        slot.condemned = True
        self._kill(slot, time.monotonic())

    def pause(self, slot: Slot) -> Child | None:
        """Stop the slot's worker where it is, and return it; until `resume` its silence is none."""
        if slot.child is not None:
            slot.paused = True
            slot.child.signal(signal.SIGSTOP)
        return slot.child

    def resume(self, slot: Slot, child: Child | None) -> None:
        """Have it go on. Nothing happens where it was replaced meanwhile."""
        if slot.child is not None and slot.child is child:
            slot.paused, slot.resumed_at_s = False, time.monotonic()
            slot.child.signal(signal.SIGCONT)

    def limit_files(self, limited: bool) -> bool:
        """Let no worker write to files any more (RLIMIT_FSIZE), or again; also those that are started later."""
        self._files_limited = limited
        for slot in self.slots:
            if slot.child is not None:
                slot.child.limit_files(limited)
        return True

    def change(self, change: Change) -> None:
        """Have all workers go on as another scenario says, from a moment on; also those that are started later."""
        message = change_message(change)
        for slot in self.slots:
            slot.spec = replace(slot.spec, changes=(*slot.spec.changes, change))
            if slot.child is not None:
                slot.child.tell(message)

    # --- the end

    def drain(self) -> None:
        """Ask all lanes to finish what they are doing; workers end by themselves then."""
        self._draining = True
        for slot in self.slots:
            slot.state = WorkerState.STOPPED if slot.child is None else WorkerState.STOPPING
        self._table.control[Control.DRAIN] = time.monotonic_ns()

    def kill_all(self) -> None:
        """End every worker now."""
        self._draining = self._killing = True
        for slot in self.slots:
            if slot.child is not None:
                slot.child.signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill and reap whatever is left, and let go of everything, also of what cannot be reaped."""
        self.kill_all()
        deadline_s = time.monotonic() + 5
        while not self.all_gone and time.monotonic() < deadline_s:
            self.turn(0.05)
        for slot in self.slots:
            if slot.child is not None:
                slot.child.close()
                slot.child = None
        self._selector.close()

    def _listen(self, slot: Slot) -> None:
        if slot.child is None:
            return
        for message in slot.child.messages():
            if message["event"] == "ready":
                slot.ready_at_s = time.monotonic()
                slot.was_ready = True
                if not self._draining:
                    slot.state = WorkerState.DEGRADED if slot.backoff.degraded else WorkerState.RUNNING
                if (since_s := self._down_since_s.pop(slot.spec.first_lane, None)) is not None:
                    self.tally.outages_s.append(time.monotonic() - since_s)
            elif message["event"] == "failed" and not slot.was_ready and not self._draining:
                raise _failed_start(slot, message)
            self._on_message(slot, message)
        if slot.child.channel.closed:
            self._forget(slot.child.channel)

    def _look_after(self, slot: Slot, now_s: float) -> None:
        if slot.child is not None and slot.child.reap():
            self._bury(slot, now_s)
        if slot.child is None:
            if not self._draining and now_s >= slot.start_at_s:
                self._start(slot)
        elif slot.kill_at_s is not None and now_s >= slot.kill_at_s:
            self._kill(slot, now_s)
        elif slot.killed_at_s is not None:
            if not slot.stuck and now_s - slot.killed_at_s > UNREAPABLE_S:
                self._give_up(slot, slot.child)
        elif not slot.hung and self._is_hung(slot, now_s):
            self._abort(slot, now_s)
        elif slot.state is WorkerState.DEGRADED and slot.ready_at_s is not None:
            slot.backoff.ran(now_s - slot.ready_at_s)
            if not slot.backoff.degraded:
                slot.state = WorkerState.RUNNING

    def _start(self, slot: Slot) -> None:
        slot.child = Child.start(slot.spec)
        slot.hung = slot.stuck = slot.condemned = slot.paused = False
        slot.ready_at_s = slot.kill_at_s = slot.killed_at_s = None
        if self._files_limited:
            slot.child.limit_files(True)
        slot.state = WorkerState.DEGRADED if slot.backoff.degraded else WorkerState.STARTING
        self._selector.register(slot.child.pidfd, selectors.EVENT_READ, slot)
        self._selector.register(slot.child.channel, selectors.EVENT_READ, slot)
        log.debug("worker %s started as process %d", slot, slot.child.pid)

    def _is_hung(self, slot: Slot, now_s: float) -> bool:
        if slot.child is None or slot.paused:
            return False
        if slot.ready_at_s is None:
            return now_s - slot.child.started_s > START_ALLOWANCE_S + self._settings.hang_s
        oldest_s = min(self._table.row(lane)[_HEARTBEAT] for lane in slot.lanes) / 1e9
        return self._hang_watch.hung(max(oldest_s, slot.child.started_s, slot.resumed_at_s), now_s)

    def _abort(self, slot: Slot, now_s: float) -> None:
        if slot.child is None:
            return
        log.error(
            "worker %s gave no sign of life for %g s: its stacks follow, then it is killed", slot, self._settings.hang_s
        )
        slot.hung = True
        slot.kill_at_s = now_s + AFTER_ABORT_S
        slot.child.signal(signal.SIGABRT)

    def _kill(self, slot: Slot, now_s: float) -> None:
        slot.kill_at_s, slot.killed_at_s = None, now_s
        if slot.child is not None:
            slot.child.signal(signal.SIGKILL)

    def _give_up(self, slot: Slot, child: Child) -> None:
        """Stop waiting for a process that no kill ends: it has died as far as the run goes."""
        log.error(
            "worker %s (process %d) was killed %g s ago and the kernel does not let it go: its slot stays empty until"
            " it does",
            *(slot, child.pid, UNREAPABLE_S),
        )
        slot.stuck, slot.ready_at_s, slot.state = True, None, WorkerState.DEGRADED
        self.tally.died()

    def _bury(self, slot: Slot, now_s: float) -> None:
        child = slot.child
        if child is None:
            return
        self._listen(slot)
        self._forget(child.pidfd)
        self._forget(child.channel)
        slot.child = None
        ran_s = now_s - slot.ready_at_s if slot.ready_at_s is not None else 0.0
        slot.ready_at_s = None
        slot.cpu_of_dead_s += child.cpu_s
        child.close()
        if self._draining and child.exit_status == 0:
            slot.state = WorkerState.STOPPED
            return
        self._count_death(slot, child, now_s, ran_s)

    def _count_death(self, slot: Slot, child: Child, now_s: float, ran_s: float) -> None:
        reason = self._reason(slot, child)
        how = _how(child.exit_status or 0)
        if self._draining:
            log.warning("worker %s ended by %s while draining", slot, how)
            slot.state = WorkerState.STOPPED
            if not (self._killing or slot.stuck or reason == "injected"):
                self.tally.died()
            return
        if not slot.was_ready:
            raise DaemonError(f"worker {slot} died while it was starting ({how}); what it said is above")
        if not (slot.stuck or reason == "injected"):
            self.tally.died()
        self.tally.restarts[slot.pool, reason] += 1
        if not self._replaceable:
            raise DaemonError(
                f"worker {slot} died ({how}), and with it all that was saved: the target lives in its process"
            )
        self._down_since_s.setdefault(slot.spec.first_lane, now_s)
        was_degraded = slot.backoff.degraded
        wait_s = 0.0 if reason == "injected" else slot.backoff.failed(now_s, ran_s)
        slot.start_at_s = now_s + wait_s
        slot.state = WorkerState.DEGRADED if slot.backoff.degraded else WorkerState.WAITING
        if reason == "injected":
            log.info("worker %s (process %d) was killed on schedule; starting another", slot, child.pid)
            return
        log.warning("worker %s (process %d) died: %s; starting another in %.1f s", slot, child.pid, how, wait_s)
        if slot.backoff.degraded and not was_degraded:
            log.error("worker %s died too often in a short time: its slot is degraded, and tried slowly from now", slot)

    def _reason(self, slot: Slot, child: Child) -> str:
        if slot.condemned and child.exit_status == -signal.SIGKILL:
            return "injected"
        if slot.hung:
            return "hang"
        if child.exit_status == -signal.SIGKILL and (ooms := oom_kills()) > self._ooms:
            self._ooms = ooms
            return "oom"
        return "signal" if (child.exit_status or 0) < 0 else "exit"

    def _forget(self, fd: object) -> None:
        try:
            self._selector.unregister(fd)  # type: ignore[arg-type]  # a descriptor or something with one
        except (KeyError, ValueError):
            return

    def _give_up_if_hopeless(self, now_s: float) -> None:
        if self._draining or not self.mostly_down:
            self._hopeless_since_s = None
        elif self._hopeless_since_s is None:
            self._hopeless_since_s = now_s
        elif now_s - self._hopeless_since_s > HOPELESS_S:
            raise DaemonError(f"{self.down} of {len(self.slots)} workers keep dying; the log says why")


def _failed_start(slot: Slot, message: Message) -> StressdError:
    """Return what a worker that cannot start ends the run with: the user's to put right, or a bug and its stack."""
    if not message.get("bug"):
        return TargetError(message["message"])
    log.error("worker %s: %s", slot, message["trace"])
    return DaemonError(f"worker {slot} failed while it was starting: {message['message']}; its stack is above")


def _how(exit_status: int) -> str:
    return f"signal {-exit_status}" if exit_status < 0 else f"exit status {exit_status}"

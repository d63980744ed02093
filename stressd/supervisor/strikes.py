"""How each kind of fault is done: in the adapter, to a worker, to the files that workers write.

Main thread. Nothing here outlives the daemon: the adapters' cells are in the run's own table, signals and limits are
those of worker processes, which end with their parent, and a disk is one that stressd made.
"""

import random
import time
from collections.abc import Callable, Collection
from typing import Final

from stressd.scenario import Fault
from stressd.stats.table import Control
from stressd.supervisor.faults import Struck
from stressd.supervisor.supervisor import Slot, Supervisor

FOR_EVER_NS: Final = 2**63 - 1


class InAdapter:
    """What the adapter does by itself until the time in a control cell; overlapping ones end with the last."""

    def __init__(self, control: memoryview, lanes: Collection[int], until: Control) -> None:
        self._control = control
        self._lanes = lanes
        self._until = until
        self._on = 0

    def _begin(self, until_ns: int, *, stops: bool) -> Struck:
        self._on += 1
        self._control[self._until] = max(self._control[self._until], until_ns)
        return Struck(self._lanes, stops=stops, end=self._end)

    def _end(self) -> None:
        self._on -= 1
        if not self._on:
            self._control[self._until] = min(self._control[self._until], time.monotonic_ns())


class TargetErrors(InAdapter):
    """The adapter raises in place of asking the target."""

    def __init__(self, control: memoryview, lanes: Collection[int]) -> None:
        super().__init__(control, lanes, Control.FAULT_UNTIL_NS)

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck:  # noqa: ARG002 - as all strikes
        """Have all lanes raise until then."""
        if not self._on:
            self._control[Control.FAULT_FROM_NS] = now_ns
        return self._begin(until_ns, stops=True)


class SlowTarget(InAdapter):
    """The adapter answers later than the target did."""

    def __init__(self, control: memoryview, lanes: Collection[int]) -> None:
        super().__init__(control, lanes, Control.SLOW_UNTIL_NS)

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck:  # noqa: ARG002 - as all strikes
        """Have all calls take longer until then."""
        self._control[Control.SLOW_BY_NS] = round(fault.delay_s * 1e9)
        return self._begin(until_ns, stops=False)


class WorkerKill:
    """SIGKILL for a worker, any of those at work."""

    def __init__(self, supervisor: Supervisor, draw: random.Random) -> None:
        self._supervisor = supervisor
        self._draw = draw

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck | None:  # noqa: ARG002 - as all strikes
        """Kill one; None while none is at work."""
        slot = _any(self._supervisor.at_work(), self._draw)
        if slot is None:
            return None
        self._supervisor.kill(slot)
        return Struck(slot.lanes, on=str(slot))


class Pause:
    """SIGSTOP for a worker, any of those at work, whatever it is doing; SIGCONT at the end."""

    def __init__(self, supervisor: Supervisor, draw: random.Random) -> None:
        self._supervisor = supervisor
        self._draw = draw

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck | None:  # noqa: ARG002 - as all strikes
        """Stop one; None while all are stopped or not at work."""
        slot = _any([slot for slot in self._supervisor.at_work() if not slot.paused], self._draw)
        if slot is None:
            return None
        paused = self._supervisor.pause(slot)
        return Struck(
            slot.lanes,
            end=lambda: self._supervisor.resume(slot, paused),
            keep=lambda: slot.child is paused,  # killed meanwhile, it is no longer paused
            on=str(slot),
        )


def _any(slots: list[Slot], draw: random.Random) -> Slot | None:
    return draw.choice(slots) if slots else None


class NoWrites:
    """The lanes' word for it that files cannot be written, so that they know whose fault a failed save is.

    Shared by all strikes that have this effect; they may overlap.
    """

    def __init__(self, control: memoryview, lanes: Collection[int]) -> None:
        self._control = control
        self.lanes = lanes
        self._on = 0

    def begin(self) -> None:
        """Say so from now on."""
        self._on += 1
        if self._on == 1:
            self._control[Control.NO_WRITES_FROM_NS] = time.monotonic_ns()
            self._control[Control.NO_WRITES_UNTIL_NS] = FOR_EVER_NS

    def end(self) -> None:
        """Say that it is over, once all are."""
        self._on -= 1
        if not self._on:
            self._control[Control.NO_WRITES_UNTIL_NS] = time.monotonic_ns()


class WritesFail:
    """Something by which no file can be written: `begin` does it, False if it cannot be done just now; `end` undoes it.

    `keep` keeps it up, at every turn.
    """

    def __init__(
        self,
        no_writes: NoWrites,
        begin: Callable[[], bool],
        end: Callable[[], object],
        keep: Callable[[], bool] | None = None,
    ) -> None:
        self._no_writes = no_writes
        self._do = begin
        self._undo = end
        self._keep = keep
        self._on = 0

    def begin(self, fault: Fault, now_ns: int, until_ns: int) -> Struck | None:  # noqa: ARG002 - as all strikes
        """Do it, if it can be done."""
        self._no_writes.begin()  # before the first write that can fail
        if not self._do():
            self._no_writes.end()
            return None
        self._on += 1
        return Struck(self._no_writes.lanes, ops=("save",), end=self._end, keep=self._keep)

    def _end(self) -> None:
        self._on -= 1
        if not self._on:
            self._undo()
        self._no_writes.end()

import random
import time
from types import SimpleNamespace

import pytest

from stressd.scenario import Fault
from stressd.stats.table import CONTROL_CELLS, Control
from stressd.supervisor.strikes import FOR_EVER_NS, NoWrites, Pause, SlowTarget, TargetErrors, WorkerKill, WritesFail

LANES = range(6)


@pytest.fixture
def control():
    return memoryview(bytearray(8 * CONTROL_CELLS)).cast("Q")


class Workers:
    """A supervisor of three slots that only notes what is asked of it."""

    def __init__(self):
        self.slots = [Slot(number) for number in range(3)]
        self.killed, self.stopped, self.resumed = [], [], []

    def at_work(self):
        return [slot for slot in self.slots if slot.working]

    def kill(self, slot):
        slot.working = False
        self.killed.append(slot)

    def pause(self, slot):
        slot.paused = True
        self.stopped.append(slot)
        return slot.child

    def resume(self, slot, child):
        self.resumed.append((slot, child))


class Slot(SimpleNamespace):
    def __init__(self, number):
        super().__init__(lanes=range(2 * number, 2 * number + 2), working=True, paused=False, child=object())
        self.number = number

    def __str__(self):
        return f"main/{self.number}"


def fault(kind, **changes):
    return Fault(kind=kind, **changes)


def test_overlapping_errors_of_the_target_go_on_to_the_later_end(control):
    strike = TargetErrors(control, LANES)
    struck = [strike.begin(fault("target_errors"), *times) for times in ((100, 900), (200, 500))]
    assert all(each.lanes == LANES and each.stops for each in struck)
    assert (control[Control.FAULT_FROM_NS], control[Control.FAULT_UNTIL_NS]) == (100, 900)
    struck[1].end()
    assert control[Control.FAULT_UNTIL_NS] == 900
    struck[0].end()
    strike.begin(fault("target_errors"), 1_000, 1_100)
    assert (control[Control.FAULT_FROM_NS], control[Control.FAULT_UNTIL_NS]) == (1_000, 1_100)


def test_errors_and_slowness_of_the_target_can_be_cut_short(control):
    for kind, strike, cell in (
        ("target_errors", TargetErrors(control, LANES), Control.FAULT_UNTIL_NS),
        ("slow_target", SlowTarget(control, LANES), Control.SLOW_UNTIL_NS),
    ):
        until_ns = time.monotonic_ns() + 10**12
        struck = strike.begin(fault(kind), 0, until_ns)
        assert control[cell] == until_ns
        struck.end()
        assert control[cell] <= time.monotonic_ns()


def test_a_slow_target_is_slow_by_so_much_and_stops_nothing(control):
    struck = SlowTarget(control, LANES).begin(fault("slow_target", delay_s="250ms"), 100, 900)
    assert (control[Control.SLOW_BY_NS], control[Control.SLOW_UNTIL_NS]) == (250_000_000, 900)
    assert not struck.stops


def test_a_kill_hits_any_worker_that_is_at_work_and_no_other(run_seed):
    hit = set()
    for seed in range(50):
        workers = Workers()
        workers.slots[1].working = False
        struck = WorkerKill(workers, random.Random(run_seed + seed)).begin(fault("worker_kill"), 0, 0)
        (killed,) = workers.killed
        assert (struck.on, struck.lanes) == (str(killed), killed.lanes)
        hit.add(killed.number)
    assert hit == {0, 2}


def test_nobody_is_killed_or_paused_while_nobody_is_at_work():
    workers = Workers()
    for slot in workers.slots:
        slot.working = False
    for kind, strike in (("worker_kill", WorkerKill), ("pause", Pause)):
        assert strike(workers, random.Random(0)).begin(fault(kind), 0, 1) is None


def test_pauses_hit_one_after_the_other_until_all_are_paused(run_seed):
    workers = Workers()
    strike = Pause(workers, random.Random(run_seed))
    struck = [strike.begin(fault("pause"), 0, 1) for _ in range(4)]
    assert struck.pop() is None
    assert {each.on for each in struck} == {"main/0", "main/1", "main/2"}
    for each, slot in zip(struck, workers.stopped, strict=True):
        assert each.keep()
        each.end()
        assert workers.resumed[-1] == (slot, slot.child)


def test_a_pause_is_over_when_another_worker_is_in_the_slot(run_seed):
    workers = Workers()
    struck = Pause(workers, random.Random(run_seed)).begin(fault("pause"), 0, 1)
    workers.stopped[0].child = object()
    assert not struck.keep()


class Disk:
    def __init__(self):
        self.broken, self.busy = 0, False

    def break_(self):
        self.broken += not self.busy
        return not self.busy

    def mend(self):
        self.broken = 0


def test_writes_fail_from_before_the_first_to_after_the_last_of_overlapping_strikes(control):
    no_writes, disk, other = NoWrites(control, LANES), Disk(), Disk()
    strike = WritesFail(no_writes, disk.break_, disk.mend)
    before_ns = time.monotonic_ns()
    first = strike.begin(fault("file_limit"), 0, 1)
    began_ns = control[Control.NO_WRITES_FROM_NS]
    assert before_ns <= began_ns <= time.monotonic_ns()
    assert (first.ops, first.lanes) == (("save",), LANES)
    second = strike.begin(fault("file_limit"), 0, 1)
    third = WritesFail(no_writes, other.break_, other.mend).begin(fault("disk_full"), 0, 1)
    first.end()
    assert disk.broken, "the second still wants it so"
    second.end()
    assert not disk.broken
    assert other.broken
    assert (control[Control.NO_WRITES_FROM_NS], control[Control.NO_WRITES_UNTIL_NS]) == (began_ns, FOR_EVER_NS)
    undone_ns = time.monotonic_ns()
    third.end()
    assert undone_ns <= control[Control.NO_WRITES_UNTIL_NS] <= time.monotonic_ns()


def test_what_cannot_be_done_now_excuses_nothing(control):
    disk = Disk()
    disk.busy = True
    assert WritesFail(NoWrites(control, LANES), disk.break_, disk.mend).begin(fault("read_only"), 0, 1) is None
    assert control[Control.NO_WRITES_UNTIL_NS] <= time.monotonic_ns()

"""Scheduled faults as a lane meets them."""

import errno
import time

import pytest
from scripted_sessions import Scripted

from stressd.stats.table import CONTROL_CELLS, Control
from stressd.targets.protocol import TargetRejected
from stressd.worker.injection import inject, injected_failure
from stressd.worker.outcome import InjectedError
from stressd.workload.ledger import Outcome

KEY = 1
FOR_EVER_NS = 2**63 - 1


@pytest.fixture
def control():
    return memoryview(bytearray(8 * CONTROL_CELLS)).cast("Q")


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_nothing_is_done_while_nothing_is_on(control, slept):
    control[Control.SLOW_BY_NS] = 10**9
    inject(control, 1_000)
    control[Control.FAULT_FROM_NS], control[Control.FAULT_UNTIL_NS] = 500, 1_000
    control[Control.SLOW_UNTIL_NS] = 1_000
    inject(control, 1_000)
    assert slept == []


def test_errors_come_from_the_first_moment_to_the_last(control):
    control[Control.FAULT_FROM_NS], control[Control.FAULT_UNTIL_NS] = 500, 1_000
    inject(control, 499)
    for now_ns in (500, 999):
        with pytest.raises(InjectedError):
            inject(control, now_ns)


def test_a_slow_target_is_slow_by_what_the_schedule_says(control, slept):
    control[Control.SLOW_UNTIL_NS], control[Control.SLOW_BY_NS] = 1_000, 250_000_000
    inject(control, 999)
    assert slept == [0.25]


def cannot_write(number=errno.EFBIG, wrapped=0):
    """Return what a store raises whose write failed, as the error itself or wrapped so many times."""
    error = OSError(number, "as told")
    for _ in range(wrapped):
        outer = TargetRejected("not saved")
        outer.__cause__ = error
        error = outer
    return error


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [0, 1, 3])
def test_a_write_that_fails_while_none_is_possible_is_the_schedules_doing(control, number, wrapped):
    control[Control.NO_WRITES_FROM_NS], control[Control.NO_WRITES_UNTIL_NS] = 500, FOR_EVER_NS
    assert injected_failure(control, cannot_write(number, wrapped), 600, 700)
    assert injected_failure(control, cannot_write(number, wrapped), 400, 500), "it began before"


@pytest.mark.parametrize(
    ("error", "began_ns", "ended_ns"),
    [
        (cannot_write(), 100, 499),
        (cannot_write(), 1_000, 1_100),
        (cannot_write(errno.EIO), 600, 700),
        (ConnectionResetError(errno.ECONNRESET, "gone"), 600, 700),
        (TargetRejected("not saved"), 600, 700),
        (RuntimeError("a bug"), 600, 700),
    ],
    ids=["before", "after", "another error", "a connection", "no reason told", "a bug"],
)
def test_what_fails_otherwise_is_the_targets_own_doing(control, error, began_ns, ended_ns):
    control[Control.NO_WRITES_FROM_NS], control[Control.NO_WRITES_UNTIL_NS] = 500, 1_000
    assert not injected_failure(control, error, began_ns, ended_ns)


def test_a_ring_of_causes_ends_the_search(control):
    control[Control.NO_WRITES_UNTIL_NS] = FOR_EVER_NS
    error = RuntimeError("a")
    error.__cause__ = RuntimeError("b")
    error.__cause__.__cause__ = error
    assert not injected_failure(control, error, 1, 2)


def failing(error):
    def fail(store, *_):
        raise error

    return fail


def test_a_save_that_cannot_be_written_on_schedule_is_injected_and_told_to_nobody(
    make_lane, table, counts, told, ledger
):
    session = Scripted()
    lane = make_lane(session)
    assert lane.save(KEY).ok
    table.control[Control.NO_WRITES_UNTIL_NS] = FOR_EVER_NS
    session.saves = [failing(cannot_write(wrapped=1))]
    assert not lane.save(KEY).ok
    assert counts("operations_total", "save", "injected") == 1
    assert counts("operations_total", "save", "error") == 0
    assert ledger.outcome(KEY, 2) is Outcome.FAILED
    assert lane.read(KEY).ok, "reads go on"
    assert not told.messages()


def test_a_good_operation_leaves_its_moment_by_kind(make_lane, table):
    lane, before_ns = make_lane(Scripted()), time.monotonic_ns()
    lane.save(KEY)
    table.control[Control.FAULT_UNTIL_NS] = FOR_EVER_NS
    lane.read(KEY)
    good = {op: int(table.snapshot().gauge("last_good_ns", op)[0]) for op in ("save", "read")}
    assert good["save"] >= before_ns
    assert good["read"] == 0

import pytest

from stressd.scenario import Fault
from stressd.stats.table import CONTROL_CELLS, Control
from stressd.supervisor.faults import KEPT, FaultSchedule

START_NS = 7_000_000_000
SECOND_NS = 10**9


def at(seconds):
    return START_NS + round(seconds * SECOND_NS)


@pytest.fixture
def control():
    return memoryview(bytearray(8 * CONTROL_CELLS)).cast("Q")


def fault(**changes):
    return Fault(kind="target_errors", **{"at": "50%", "duration_s": 3.0} | changes)


def test_a_fault_begins_at_its_moment_and_ends_by_itself(control):
    schedule = FaultSchedule([fault()], START_NS, 60)
    assert schedule.turn(at(29.9), control, 0) == []
    assert control[Control.FAULT_UNTIL_NS] == 0
    assert schedule.turn(at(30), control, 0) == [("target_errors", None)]
    assert control[Control.FAULT_FROM_NS] == at(30)
    assert control[Control.FAULT_UNTIL_NS] == at(33)
    assert schedule.turn(at(31), control, 0) == []


def test_recovery_is_from_its_end_to_the_first_good_start_after_it(control):
    schedule = FaultSchedule([fault(at=1.0)], START_NS, None)
    schedule.turn(at(1), control, at(0.9))
    assert schedule.turn(at(4.1), control, at(3.99)) == []  # began while it was on, if it was good: that is no proof
    assert schedule.records()[0].recovery_s is None
    assert schedule.turn(at(5), control, at(4.25)) == [("target_errors", pytest.approx(0.25))]
    assert schedule.turn(at(6), control, at(5.9)) == []
    (record,) = schedule.records()
    assert (record.from_s, record.until_s, record.recovery_s) == pytest.approx((1.0, 4.0, 0.25))


def test_a_share_of_no_duration_is_a_share_of_the_interval_or_nothing(control):
    assert FaultSchedule([fault()], START_NS, None).turn(at(10**6), control, 0) == []
    endless = FaultSchedule([fault(every_s=10.0)], START_NS, None)
    assert endless.turn(at(9.9), control, 0) == []
    assert endless.turn(at(10), control, 0) == [("target_errors", None)]


def test_a_repeated_fault_comes_again_and_its_records_are_bounded(control):
    schedule = FaultSchedule([fault(at=0.0, every_s=4.0)], START_NS, None)
    begun = 0
    for number in range(KEPT + 50):
        begun += len([1 for _, recovery in schedule.turn(at(4 * number), control, 0) if recovery is None])
    assert begun == KEPT + 50
    assert len(schedule.records()) == KEPT


def test_what_it_covered_is_known_for_the_samples(control):
    schedule = FaultSchedule([fault(at=2.0)], START_NS, None)
    schedule.turn(at(2), control, 0)
    assert not schedule.active(at(0), at(1.9))
    assert schedule.active(at(1), at(2.1))
    assert schedule.active(at(3), at(4))
    assert not schedule.active(at(5), at(6))


def test_the_end_of_the_load_ends_it_so_that_the_last_look_reaches_the_target(control):
    schedule = FaultSchedule([fault(at=1.0, every_s=10)], START_NS, None)
    schedule.turn(at(1), control, 0)
    schedule.end(at(2), control)
    assert control[Control.FAULT_UNTIL_NS] == 0
    assert schedule.turn(at(60), control, at(2.5)) == [("target_errors", pytest.approx(0.5))]
    (record,) = schedule.records()
    assert record.until_s == pytest.approx(2.0)

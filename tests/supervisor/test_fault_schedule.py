import random
from itertools import pairwise

import pytest

from stressd.metrics import OPS
from stressd.scenario import Fault
from stressd.supervisor.faults import KEPT, Event, FaultSchedule, Struck

START_NS = 7_000_000_000
SECOND_NS = 10**9
EVERYTHING = range(4)


def at(seconds):
    return START_NS + round(seconds * SECOND_NS)


class Recorded:
    """A strike that is written down, undone by call if `undone`."""

    def __init__(self, lanes=EVERYTHING, ops=OPS, undone=False, stops=True, on=""):
        self.lanes, self.ops, self.undone, self.stops, self.on = lanes, ops, undone, stops, on
        self.possible = self.lasts = True
        self.begun, self.kept, self.ended = [], 0, 0

    def begin(self, fault, now_ns, until_ns):
        if not self.possible:
            return None
        self.begun.append((now_ns, until_ns))
        end = self.end if self.undone else None
        return Struck(self.lanes, self.ops, self.stops, end, self.keep, self.on)

    def keep(self):
        self.kept += 1
        return self.lasts

    def end(self):
        self.ended += 1


class Service:
    """Good operations by lane and kind, each by its latest start."""

    def __init__(self):
        self.starts = {}

    def good(self, seconds, lanes=EVERYTHING, ops=OPS):
        self.starts |= {(lane, op): at(seconds) for lane in lanes for op in ops}

    def __call__(self, lanes, ops):
        return max((self.starts.get((lane, op), 0) for lane in lanes for op in ops), default=0)


@pytest.fixture
def service():
    return Service()


def fault(kind="target_errors", **changes):
    return Fault(kind=kind, **{"at": "50%", "duration_s": 3.0} | changes)


def schedule(*faults, duration_s=None, seed=1, **strikes):
    strikes = strikes or {fault.kind: Recorded() for fault in faults}
    return FaultSchedule(faults, strikes, START_NS, duration_s, seed)


def begun(happened):
    return [event.kind for event in happened if event.recovery_s is None]


def turns(plan, service, until_s, step_s=0.1):
    """Turn until then with good service all the time; return the moments at which faults began, in seconds."""
    moments, step = [], 0
    while (now_s := step * step_s) <= until_s:
        service.good(now_s)
        moments += [now_s] * len(begun(plan.turn(at(now_s), service)))
        step += 1
    return moments


def test_a_fault_begins_at_its_moment_and_ends_by_itself(service):
    strike = Recorded(undone=True)
    plan = schedule(fault(), duration_s=60, target_errors=strike)
    assert plan.turn(at(29.9), service) == []
    assert strike.begun == []
    assert plan.turn(at(30), service) == [Event("target_errors", "")]
    assert strike.begun == [(at(30), at(33))]
    for now_s in (31, 32.9):
        assert plan.turn(at(now_s), service) == []
    assert (strike.kept, strike.ended) == (2, 0)
    plan.turn(at(33), service)
    plan.turn(at(34), service)
    assert (strike.kept, strike.ended) == (2, 1)


def test_recovery_is_from_its_end_to_the_first_good_start_after_it(service):
    plan = schedule(fault(at=1.0))
    plan.turn(at(1), service)
    service.good(3.99)  # began while it was on, if it was good: that is no proof
    assert plan.turn(at(4.1), service) == []
    assert plan.records()[0].recovery_s is None
    service.good(4.25)
    assert plan.turn(at(5), service) == [("target_errors", "", pytest.approx(0.25))]
    service.good(5.9)
    assert plan.turn(at(6), service) == []
    (record,) = plan.records()
    assert (record.from_s, record.until_s, record.recovery_s) == pytest.approx((1.0, 4.0, 0.25))


def test_what_has_to_be_undone_ends_when_it_was(service):
    plan = schedule(fault(at=1.0), target_errors=Recorded(undone=True))
    plan.turn(at(1), service)
    service.good(4.5)
    plan.turn(at(5), service)  # a second late: it was on until now
    assert plan.records()[0].recovery_s is None
    assert plan.records()[0].until_s == pytest.approx(5)


def test_what_is_over_before_its_time_ends_there(service):
    strike = Recorded(undone=True)
    plan = schedule(fault(at=1.0), target_errors=strike)
    plan.turn(at(1), service)
    strike.lasts = False
    plan.turn(at(2), service)
    assert (strike.kept, strike.ended) == (1, 1)
    assert plan.records()[0].until_s == pytest.approx(2)


def test_only_what_was_hit_proves_recovery(service):
    plan = schedule(fault("pause", at=1.0), fault("file_limit", at=1.0), pause=Recorded([2], on="main/2"),
                    file_limit=Recorded(ops=("save",)))  # fmt: skip
    plan.turn(at(1), service)
    service.good(5, lanes=[0, 1, 3], ops=["read"])
    assert plan.turn(at(5), service) == []
    service.good(5.5, lanes=[2], ops=["read"])
    assert plan.turn(at(6), service) == [("pause", "main/2", pytest.approx(1.5))]
    service.good(6.5, lanes=[0], ops=["save"])
    assert plan.turn(at(7), service) == [("file_limit", "", pytest.approx(2.5))]


def test_recovery_counts_from_the_end_of_what_hid_the_proof(service):
    hidden, hides = fault("pause", at=1.0), fault(at=2.0, duration_s=10)
    plan = schedule(hidden, hides, pause=Recorded([2]), target_errors=Recorded())
    plan.turn(at(1), service)
    plan.turn(at(2), service)
    plan.turn(at(4), service)
    assert {record.kind: record.clear_s for record in plan.records()} == {"pause": 12, "target_errors": 12}
    service.good(12.5)
    assert {event.kind: event.recovery_s for event in plan.turn(at(13), service)} == pytest.approx(
        {"pause": 0.5, "target_errors": 0.5}
    )


@pytest.mark.parametrize(
    "other",
    [Recorded([0, 1]), Recorded(ops=("save",)), Recorded(stops=False)],
    ids=["of other lanes", "of one kind of operation", "that only slows down"],
)
def test_recovery_counts_from_its_own_end_beside_a_fault(other, service):
    plan = schedule(fault("pause", at=1.0), fault(at=2.0, duration_s=10), pause=Recorded([2]), target_errors=other)
    plan.turn(at(1), service)
    plan.turn(at(2), service)
    assert {record.kind: record.clear_s for record in plan.records()}["pause"] == 4


def test_a_kill_is_over_as_soon_as_it_is_done(service):
    plan = schedule(fault("worker_kill", at=1.0, every_s=1.0), worker_kill=Recorded([0], on="main/0"))
    assert plan.turn(at(1), service) == [Event("worker_kill", "main/0")]
    assert plan.records()[0].until_s == pytest.approx(1)
    service.good(1.7, lanes=[0])
    assert plan.turn(at(1.8), service) == [("worker_kill", "main/0", pytest.approx(0.7))]


def test_what_nothing_can_be_done_to_yet_is_done_as_soon_as_it_can(service):
    strike = Recorded()
    strike.possible = False
    plan = schedule(fault(at=1.0), target_errors=strike)
    assert plan.turn(at(1), service) == []
    assert not plan.begun
    strike.possible = True
    assert begun(plan.turn(at(2), service)) == ["target_errors"]
    assert strike.begun == [(at(2), at(5))]
    assert plan.begun == {"target_errors": 1}


def test_a_kind_without_a_strike_is_left_out(service):
    plan = schedule(fault(at=0.0), fault("pause", at=0.0), pause=Recorded())
    assert begun(plan.turn(at(1), service)) == ["pause"]


def test_a_share_of_no_duration_is_a_share_of_the_interval_or_nothing(service):
    assert schedule(fault()).turn(at(10**6), service) == []
    endless = schedule(fault(every_s=10.0))
    assert endless.turn(at(9.9), service) == []
    assert begun(endless.turn(at(10), service)) == ["target_errors"]


def test_a_repeated_fault_comes_at_its_moments_until_the_last(service):
    plan = schedule(fault(at=5.0, every_s=4.0, until="50%"), duration_s=40)
    assert turns(plan, service, 40) == pytest.approx([5, 9, 13, 17])


def test_random_moments_have_their_rate_and_are_drawn_from_the_seed(service, run_seed):
    def moments(seed):
        return turns(schedule(fault("worker_kill", at=10.0, per_minute=30), seed=seed), Service(), 2_000, 0.25)

    drawn = moments(run_seed)
    assert min(drawn) >= 10
    assert 995 * 0.8 < len(drawn) < 995 * 1.2  # 6 standard deviations
    gaps = [later - sooner for sooner, later in pairwise(drawn)]
    assert min(gaps) < 0.5
    assert max(gaps) > 6
    assert moments(run_seed) == drawn != moments(run_seed + 1)


def test_a_length_is_drawn_between_its_two_numbers(service, run_seed):
    strike = Recorded()
    plan = schedule(fault(at=0.0, every_s=20, duration_s=[2, 8]), seed=run_seed, target_errors=strike)
    turns(plan, service, 2_000, 1)
    lengths = [(until_ns - from_ns) / 1e9 for from_ns, until_ns in strike.begun]
    assert len(lengths) == 101
    assert 2 <= min(lengths) < 3
    assert 7 < max(lengths) <= 8


def test_records_are_bounded_and_the_worst_are_kept(service):
    plan = schedule(fault(at=0.0, every_s=4.0, duration_s=1))
    for number in range(KEPT + 50):
        plan.turn(at(4 * number), service)
        plan.turn(at(4 * number + 1), service)
        service.good(4 * number + (2.9 if number == 7 else 1 + random.Random(number).random()))
        plan.turn(at(4 * number + 3), service)
    assert plan.begun["target_errors"] == KEPT + 50
    records = plan.records()
    assert len(records) == KEPT
    assert max(record.recovery_s for record in records) == pytest.approx(1.9)
    assert records[-1].from_s == pytest.approx(4 * (KEPT + 49))


def test_those_without_recovery_are_kept_while_others_go(service):
    plan = schedule(fault("pause", at=0.0), fault(at=10.0, every_s=4.0, duration_s=1), pause=Recorded([9]),
                    target_errors=Recorded())  # fmt: skip
    turns(plan, service, 4 * (KEPT + 20), 0.5)
    assert len(plan.records()) == KEPT
    assert plan.records()[0].kind == "pause"
    assert plan.records()[0].recovery_s is None


def test_what_it_covered_is_known_for_the_samples_until_service_is_back(service):
    plan = schedule(fault(at=2.0, recover_s=10))
    plan.turn(at(2), service)
    assert not plan.active(at(0), at(1.9))
    assert plan.active(at(1), at(2.1))
    assert plan.active(at(3), at(4))
    plan.turn(at(6), service)
    assert plan.active(at(6), at(7)), "nothing good yet"
    assert not plan.active(at(15.1), at(16)), "not for ever"
    service.good(7)
    plan.turn(at(7.1), service)
    assert not plan.active(at(7.1), at(8))


def test_the_end_of_the_load_ends_all_so_that_the_last_look_reaches_the_target(service):
    strike = Recorded(undone=True)
    plan = schedule(fault(at=1.0, every_s=10), target_errors=strike)
    plan.turn(at(1), service)
    plan.end(at(2))
    assert strike.ended == 1
    service.good(2.5)
    assert plan.turn(at(60), service) == [("target_errors", "", pytest.approx(0.5))]
    (record,) = plan.records()
    assert record.until_s == pytest.approx(2.0)
    assert len(strike.begun) == 1

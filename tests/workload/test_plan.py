from hypothesis import given, settings
from hypothesis import strategies as st

from stressd.pools import Mix, Phase, Pool, PoolChange, Stage
from stressd.scenario import Scenario
from stressd.workload.plan import END_NS, plan_of, saving_lanes
from stressd.workload.ramp import SECOND_NS

OPEN = Pool(name="main", processes=2, threads=2, rate=10, mix=Mix(save=1, read=1))
CLOSED = Pool(name="main", threads=4, think_time_s=0.5, mix=Mix(save=1))


def levels(plan, *seconds):
    return [plan.ramp.at(s * SECOND_NS) for s in seconds]


def test_without_phases_the_whole_load_is_one_stretch():
    (stretch,) = plan_of(OPEN).stretches
    assert (stretch.phase, stretch.begin_ns, stretch.end_ns, stretch.mix) == ("load", 0, END_NS, OPEN.mix)
    assert plan_of(OPEN).ramp.is_steady
    assert plan_of(OPEN).open
    assert not plan_of(CLOSED).open


def test_a_closed_pool_has_all_its_lanes_at_work_unless_stages_say_how_many():
    assert levels(plan_of(CLOSED), 0, 99) == [4, 4]
    staged = CLOSED.model_copy(update={"stages": (Stage(duration_s=4, target=2), Stage(duration_s=0, target=3))})
    assert levels(plan_of(staged), 0, 2, 4, 99) == [0, 1, 3, 3]


def test_each_phase_begins_anew_from_what_it_says():
    phases = (
        Phase(name="a", duration_s=10, pools={"main": PoolChange(stages=(Stage(duration_s=5, target=20),))}),
        Phase(name="b", duration_s=10, pools={"main": PoolChange(rate=0, mix=Mix(read=1))}),
        Phase(name="c", duration_s=10, pools={"other": PoolChange(rate=99)}),
    )
    plan = plan_of(OPEN, phases)
    assert levels(plan, 0, 2.5, 5, 9, 10, 19, 20, 99) == [10, 15, 20, 20, 0, 0, 10, 10]
    assert [(each.phase, each.begin_ns // SECOND_NS) for each in plan.stretches] == [("a", 0), ("b", 10), ("c", 20)]
    assert [each.end_ns for each in plan.stretches[:-1]] == [each.begin_ns for each in plan.stretches[1:]]
    assert plan.stretches[-1].end_ns == END_NS
    assert [each.mix for each in plan.stretches] == [OPEN.mix, Mix(read=1), OPEN.mix]
    assert plan.ramp.area(30 * SECOND_NS) == 15 * 5 + 20 * 5 + 0 + 10 * 10


def test_a_phase_has_its_own_think_time():
    phases = (Phase(name="a", duration_s=1, pools={"main": PoolChange(think_time_s=0)}), Phase(name="b"))
    assert [each.think_ns for each in plan_of(CLOSED, phases).stretches] == [0, SECOND_NS // 2]


def test_the_processes_of_a_pool_share_its_starts_out():
    for arrival in ("constant", "poisson"):
        plan = plan_of(OPEN.model_copy(update={"arrival": arrival}))
        shared = sorted(plan.pacer(7, stripe, 2).offset_ns(number) for stripe in (0, 1) for number in range(50))
        assert shared == [plan.pacer(7).offset_ns(number) for number in range(100)]


def test_reads_take_the_keys_of_lanes_that_save():
    readers = Pool(name="readers", threads=3, mix=Mix(read=1))
    scenario = Scenario(name="a", pools=(readers, OPEN))
    assert saving_lanes(scenario) == [3, 4, 5, 6]
    filled = Phase(name="fill", duration_s=1, pools={"readers": PoolChange(mix=Mix(save=1))})
    assert saving_lanes(scenario.model_copy(update={"phases": (filled, Phase(name="b"))})) == list(range(7))
    nobody = Scenario(name="a", pools=(readers, OPEN.model_copy(update={"mix": Mix(generate=1, read=1)})))
    assert saving_lanes(nobody) == list(range(7))


# --- A plan that changes on the way ------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(st.integers(1, 60 * SECOND_NS), st.floats(0, 200, allow_nan=False)),
    max_size=4,
    unique_by=lambda each: each[0],
).map(sorted)


@given(
    rate=st.floats(0.5, 200),
    changes=CHANGES,
    stripes=st.integers(1, 3),
    arrival=st.sampled_from(["constant", "poisson"]),
)
@settings(max_examples=60)
def test_a_change_of_rate_loses_no_start_doubles_none_and_moves_none_before_it(rate, changes, stripes, arrival):
    pool = OPEN.model_copy(update={"rate": rate, "processes": stripes, "arrival": arrival})
    plan = plan_of(pool)
    for at_ns, new_rate in changes:
        before = [plan.pacer(7, stripe, stripes) for stripe in range(stripes)]
        plan = plan.changed(at_ns, pool.model_copy(update={"rate": new_rate}))
        after = [plan.pacer(7, stripe, stripes) for stripe in range(stripes)]
        for old, new in zip(before, after, strict=True):
            due = old.due(at_ns - 1)
            assert new.due(at_ns - 1) == due
            assert [new.offset_ns(n) for n in range(due)] == [old.offset_ns(n) for n in range(due)]
            assert new.offset_ns(due) >= at_ns - 1
    until_ns = 90 * SECOND_NS
    pacers = [plan.pacer(7, stripe, stripes) for stripe in range(stripes)]
    whole = plan.pacer(7)
    shared = sorted(pacer.offset_ns(n) for pacer in pacers for n in range(pacer.due(until_ns)))
    assert shared == [whole.offset_ns(n) for n in range(whole.due(until_ns))]


def test_from_its_moment_on_the_new_rate_mix_and_stages_hold():
    changed = OPEN.model_copy(update={"rate": 50.0, "mix": Mix(read=1), "stages": (Stage(duration_s=10, target=100),)})
    plan = plan_of(OPEN).changed(30 * SECOND_NS, changed)
    assert levels(plan, 29, 30, 35, 40, 99) == [OPEN.rate, 50, 75, 100, 100]
    assert [(each.begin_ns, each.mix) for each in plan.stretches] == [(0, OPEN.mix), (30 * SECOND_NS, Mix(read=1))]
    assert plan.stretches[0].end_ns == 30 * SECOND_NS


def test_lanes_at_work_of_a_closed_pool_change_too():
    staged = CLOSED.model_copy(update={"think_time_s": 0.5, "stages": (Stage(duration_s=0, target=1),)})
    plan = plan_of(CLOSED).changed(30 * SECOND_NS, staged)
    assert levels(plan, 29, 31, 99) == [4, 1, 1]
    assert plan.stretches[1].think_ns == SECOND_NS // 2

import threading
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_sessions import KEYS, Scripted

from stressd.pools import Mix, Phase, Pool, PoolChange, Stage
from stressd.stats.histogram import quantiles_s
from stressd.stats.table import Control
from stressd.targets.noop import NoopTarget
from stressd.targets.protocol import Guarantees
from stressd.worker import cells
from stressd.worker import lane as lane_module
from stressd.worker import loop as loop_module
from stressd.worker.loop import CHARGED_MOST, Course, Loop, Starts, lane_thread
from stressd.workload.distribution import KeySpace, key_stream
from stressd.workload.operation import Draws, SaveKeys
from stressd.workload.pacer import EvenSpacing, Pacer
from stressd.workload.plan import plan_of

SECOND_NS = 10**9
IDLE = NoopTarget().open()
PATIENCE_S = 20


def pool_of(**changes):
    return Pool(**{"name": "main", "mix": Mix(save=1, read=3)} | changes)


def evenly(rate, stripe=0, stripes=1):
    return Course(plan_of(pool_of(rate=rate)), lambda plan: Pacer(plan.ramp, EvenSpacing(), stripe, stripes))


def course_of(pool, phases=()):
    return Course(plan_of(pool, phases), lambda plan: plan.pacer(7))


@pytest.fixture
def make_loop():
    def make(lane, pool=None, starts=None, missed=range(0), course=None, place=0):
        course, ledger = course or course_of(pool or pool_of()), lane.parts.ledger
        plan = course.plan
        keys = key_stream(plan.pool.keys, KeySpace([range(KEYS)], 7, ledger.acked), 7, lane.parts.number, 4)
        draws = Draws(keys, 7, lane.parts.number, ledger.acked)
        save_keys = SaveKeys((key, ledger.acked(key)) for key in lane.parts.own_keys)
        return Loop(lane, course, draws, save_keys, place, None if starts is None else lambda: (starts, missed))

    return make


@pytest.fixture
def control(table):
    return table.control


def wait_until(holds):
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def done(counts, *ops):
    return sum(counts("operations_total", op, "ok") for op in ops or ("save", "read", "scrub"))


# --- Starts: each is handed out once -------------------------------------------------------------


@given(
    rate=st.floats(0.5, 5_000),
    stripes=st.integers(1, 4),
    elapsed_s=st.lists(st.floats(0, 20), max_size=8).map(sorted),
    takes=st.lists(st.integers(0, 20), min_size=8, max_size=8),
)
def test_every_start_is_handed_out_once_and_in_order(rate, stripes, elapsed_s, takes):
    starts = Starts(evenly(rate, 0, stripes), 1_000, 0)
    handed_out = []
    for elapsed, count in zip(elapsed_s, takes, strict=False):
        handed_out += [starts.take()[0] for _ in range(count)]
        until_ns = 1_000 + int(elapsed * SECOND_NS)
        due = starts.take_due(until_ns)
        assert all(starts.due_ns(number) <= until_ns for number in due[-1:])
        handed_out += due
        assert starts.due_ns(handed_out[-1] + 1 if handed_out else 0) > until_ns
    assert handed_out == list(range(len(handed_out)))


def test_lanes_that_take_at_once_never_take_the_same(in_thread):
    starts, taken = Starts(evenly(1_000), 0, 5), [[] for _ in range(4)]
    threads = [in_thread(lambda mine=mine: mine.extend(starts.take()[0] for _ in range(2_000))) for mine in taken]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(number for mine in taken for number in mine) == list(range(5, 8_005))


# --- Open model ----------------------------------------------------------------------------------


def test_an_open_load_starts_as_many_operations_as_are_due(make_lane, make_loop, control, counts):
    """The load began half a second ago and ends when all due are done: 51 of 100 a second, each late but none lost."""
    now_ns = time.monotonic_ns()
    control[Control.LOAD_START_NS] = now_ns - SECOND_NS // 2
    starts = Starts(evenly(100), now_ns - SECOND_NS // 2, 0)
    lane = make_lane(IDLE, None, own=range(0))
    lane.read = counted_until(51, control)
    loop = make_loop(lane, pool_of(rate=100, mix=Mix(read=1)), starts)
    loop._acked = lambda key: 1
    loop.run()
    assert lane.read.calls == 51
    assert lane.read.late_ns == sorted(lane.read.late_ns, reverse=True)
    assert lane.read.late_ns[0] >= SECOND_NS // 2
    assert counts("operations_dropped_total") == 0
    assert counts("operations_late_total") >= 45


class counted_until:  # noqa: N801 - stands in for a function
    """A read that only counts, and ends the load after so many."""

    def __init__(self, most, control):
        self.most, self.control, self.calls, self.late_ns = most, control, 0, []

    def __call__(self, key, *, late_ns=0, **options):
        self.calls += 1
        self.late_ns.append(late_ns)
        if self.calls >= self.most:
            self.control[Control.DRAIN] = 1  # ended long ago: what is due now was not, then


def test_what_is_too_late_is_dropped_and_charged_its_wait(make_lane, make_loop, control, counts, table):
    now_ns = time.monotonic_ns()
    start_ns = now_ns - 10 * SECOND_NS
    control[Control.LOAD_START_NS] = start_ns
    lane = make_lane(IDLE, None, own=range(0))
    lane.read = counted_until(1, control)
    loop = make_loop(lane, pool_of(rate=10, max_late_s=5, mix=Mix(read=1)), Starts(evenly(10), start_ns, 0))
    loop._acked = lambda key: 1
    loop.run()
    dropped = counts("operations_dropped_total")
    assert 50 <= dropped <= 52  # due in the first five of the ten seconds; one or two more if this took a while
    assert lane.read.late_ns[0] <= 5 * SECOND_NS
    waits = table.snapshot().sum_ns("operation_latency_seconds", "read") / SECOND_NS
    assert waits == pytest.approx(dropped * 7.5, rel=0.05)  # from ten down to five seconds each
    assert table.snapshot().histogram("operation_latency_seconds", "read").sum() == dropped


def test_starts_missed_are_dropped_once_by_the_lane_that_is_told(make_lane, make_loop, control, counts, table):
    control[Control.DRAIN] = 1
    control[Control.LOAD_START_NS] = 1
    starts = Starts(evenly(1_000), time.monotonic_ns() - 2 * SECOND_NS, 500)
    missed = starts.take_due(time.monotonic_ns())
    lane = make_lane(IDLE, None, own=range(0))
    loop = make_loop(lane, pool_of(rate=1_000, mix=Mix(save=1, scrub=1)), starts, missed)
    loop._begin_taking()
    loop._give_up_backlog()
    assert counts("operations_dropped_total") == counts("starts_missed") == len(missed) >= 1_500
    # The next process of the slot must not charge them again, should this one die before it takes another.
    assert table.row(0)[cells.NEXT_START] == missed.stop
    charged = [table.snapshot().histogram("operation_latency_seconds", op).sum() for op in ("save", "scrub", "read")]
    assert sum(charged) == len(missed)
    assert charged[2] == 0  # by the pool's own mix


def test_the_backlog_at_the_end_of_the_load_is_charged_up_to_that_end(make_lane, make_loop, control, counts, in_thread):
    """Both lanes are held up by the store while 2 seconds fall due; the end of the load was after one of them."""
    now_ns = time.monotonic_ns()
    start_ns = now_ns - 3 * SECOND_NS
    control[Control.LOAD_START_NS] = start_ns
    control[Control.DRAIN] = start_ns + 2 * SECOND_NS
    starts = Starts(evenly(10), start_ns, 10)
    loops = [
        make_loop(make_lane(IDLE, None, own=range(0)), pool_of(rate=10, mix=Mix(read=1)), starts) for _ in range(2)
    ]
    for loop in loops:
        loop._begin_taking()
    for loop in loops:
        loop._give_up_backlog()
    assert counts("operations_dropped_total") == 11  # numbers 10 to 20: due from second 1 to second 2


def test_very_many_given_up_at_once_are_all_counted_and_a_part_stands_for_all(make_lane, make_loop, table, counts):
    lane = make_lane(IDLE, None, own=range(0))
    now_ns = time.monotonic_ns()
    starts = Starts(evenly(1_000_000), now_ns - 2 * SECOND_NS, 0)
    loop = make_loop(lane, pool_of(rate=1_000_000, mix=Mix(read=1)), starts)
    loop._give_up(starts, starts.take_due(now_ns), now_ns)
    assert counts("operations_dropped_total") == 2_000_001
    charged = table.snapshot().histogram("operation_latency_seconds", "read").sum()
    assert 0 < charged <= CHARGED_MOST


def test_a_slow_lane_delays_no_one_while_another_is_free(make_lane, make_loop, control, counts, in_thread):
    session, held = Scripted(), [False]
    hold = [True]

    def hanging(store, group, names):
        held[0] = True
        wait_until(lambda: not hold[0])
        return store.read(group, names)

    quick, slow = make_lane(session, own=range(2)), make_lane(slow_session := Scripted(), own=range(2, 4))
    slow_session.store = session.store
    for key in (0, 1):
        quick.save(key)
    slow_session.reads = [hanging]
    start_ns = time.monotonic_ns()
    control[Control.LOAD_START_NS] = start_ns
    starts, pool = Starts(evenly(200), start_ns, 0), pool_of(rate=200, mix=Mix(read=1))
    for lane in (slow, quick):
        in_thread(make_loop(lane, pool, starts).run)
    wait_until(lambda: held[0])
    before = done(counts, "read")
    wait_until(lambda: done(counts, "read") >= before + 40)
    assert counts("operations_dropped_total") == 0
    control[Control.DRAIN] = time.monotonic_ns()
    hold[0] = False


def test_a_pause_starts_nothing_and_beats(make_lane, make_loop, control, in_thread, table, counts):
    control[Control.LOAD_START_NS] = 1
    lane = make_lane(Scripted())
    in_thread(make_loop(lane, pool_of(rate=0), Starts(evenly(0), 1, 0)).run)
    wait_until(lambda: table.row(0)[cells.HEARTBEAT])
    first = table.row(0)[cells.HEARTBEAT]
    wait_until(lambda: table.row(0)[cells.HEARTBEAT] > first)
    assert done(counts) == 0
    control[Control.DRAIN] = time.monotonic_ns()


# --- Closed model, and the end -------------------------------------------------------------------


def test_nothing_begins_before_the_load_and_a_drain_then_ends_the_lane(make_lane, make_loop, control, in_thread):
    session = Scripted()
    thread = in_thread(make_loop(make_lane(session)).run)
    control[Control.DRAIN] = time.monotonic_ns()
    thread.join(PATIENCE_S)
    assert not session.asked


def test_a_closed_loop_works_until_the_drain_and_then_looks_at_its_keys(
    make_lane, make_loop, control, in_thread, counts, ledger, table
):
    control[Control.LOAD_START_NS] = 1
    thread = in_thread(make_loop(make_lane(Scripted())).run)
    wait_until(lambda: done(counts, "save") >= 20)
    assert counts("operations_total", "scrub", "ok") == 0
    control[Control.DRAIN] = time.monotonic_ns()
    thread.join(PATIENCE_S)
    assert counts("operations_total", "scrub", "ok") == KEYS
    assert counts("writes_verified") == counts("writes_acknowledged") == done(counts, "save")
    assert [ledger.slot(key).verified_seq for key in range(KEYS)] == [ledger.acked(key) for key in range(KEYS)]
    assert table.snapshot().total("busy_ns") > 0


def test_a_drain_ends_a_long_think_time(make_lane, make_loop, control, in_thread, counts):
    control[Control.LOAD_START_NS] = 1
    thread = in_thread(make_loop(make_lane(Scripted()), pool_of(think_time_s=3600)).run)
    wait_until(lambda: done(counts) >= 1)
    control[Control.DRAIN] = time.monotonic_ns()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_what_reads_saves_where_nothing_was_saved_yet(make_lane, make_loop, control, in_thread, counts):
    control[Control.LOAD_START_NS] = 1
    in_thread(make_loop(make_lane(Scripted()), pool_of(mix=Mix(read=1))).run)
    wait_until(lambda: done(counts, "read") >= 5)
    assert done(counts, "save") >= 1
    control[Control.DRAIN] = time.monotonic_ns()


def test_keys_that_are_retired_are_saved_no_more_and_nobody_spins(make_lane, make_loop, control, in_thread, counts):
    def late(store, group, features):
        raise TimeoutError("it may still land")

    session = Scripted()
    session.saves = [late] * KEYS
    control[Control.LOAD_START_NS] = 1
    lane = make_lane(session, guarantees=Guarantees(late_writes=True))
    in_thread(make_loop(lane, pool_of(mix=Mix(save=1))).run)
    wait_until(lambda: counts("operations_dropped_total") >= 3)
    control[Control.DRAIN] = time.monotonic_ns()
    assert session.count("save") == KEYS
    assert counts("operations_total", "save", "timeout") == KEYS


def test_what_ends_a_lane_out_of_order_is_reported():
    failures = []

    def body():
        raise RuntimeError("a bug")

    thread = lane_thread(body, "lane-0", failures.append)
    thread.start()
    thread.join(PATIENCE_S)
    assert [str(error) for error in failures] == ["a bug"]


# --- In a time of its own: what starts when, to the nanosecond ------------------------------------


class Clock:
    """Stands in for `time`. Only sleeping and calls of the target take time; at `end_s` the load is drained.

    For the thread that made it: a lane that another test left waiting has the real time.
    """

    def __init__(self, control, end_s):
        self._thread = threading.get_ident()
        self.now_ns, self.began_ns, self._control, self._end_ns = SECOND_NS, SECOND_NS, control, int(end_s * 1e9)
        self.looks, self.at_look = 0, {}  # what happens just before somebody looks for the so-manieth time

    def look(self):
        self.looks += 1
        self.at_look.pop(self.looks, lambda: None)()

    def monotonic_ns(self):
        self.look()
        return self.now_ns if threading.get_ident() == self._thread else time.monotonic_ns()

    def sleep(self, seconds):
        if threading.get_ident() != self._thread:
            time.sleep(seconds)
            return
        self.now_ns += max(1, round(seconds * SECOND_NS))
        if self.now_ns - self.began_ns >= self._end_ns and not self._control[Control.DRAIN]:
            self._control[Control.DRAIN] = self.began_ns + self._end_ns

    @property
    def elapsed_s(self):
        return (self.now_ns - self.began_ns) / SECOND_NS


class Watched(Course):
    """A course that lets the clock know before anybody looks at it."""

    def __init__(self, clock, *given):
        self.clock = clock
        super().__init__(*given)

    def __getattribute__(self, name):
        if name in ("plan", "pacer"):
            self.clock.look()
        return super().__getattribute__(name)


class Taking:
    """A session whose calls take as long as `takes_s` says, given when they begin; `calls` are what was asked when."""

    def __init__(self, clock, takes_s):
        self.clock, self.takes_s, self.calls = clock, takes_s, []

    def save(self, group, features):
        self._take("save")

    def read(self, group, names):
        self._take("read")
        return {}

    def _take(self, what):
        self.calls.append((what, self.clock.elapsed_s))
        self.clock.sleep(self.takes_s(self.clock.elapsed_s))


@pytest.fixture
def simulate(monkeypatch, make_lane, make_loop, control, table):
    """Run one lane of a pool in a time of its own; return its session. `change` is a look and a pool.

    A look is one at the clock or at the course: the change comes just before that one.
    """

    def run(pool, end_s, takes_s=lambda elapsed_s: 0.001, phases=(), place=0, change=None):
        clock = Clock(control, end_s)
        monkeypatch.setattr(loop_module, "time", clock)
        monkeypatch.setattr(lane_module, "_now", clock.monotonic_ns)
        control[Control.LOAD_START_NS], control[Control.DRAIN] = clock.began_ns, 0
        session = Taking(clock, takes_s)
        lane = make_lane(session, None, own=range(KEYS), number=0, row=table.row(0))
        course = Watched(clock, plan_of(pool, phases), lambda plan: plan.pacer(7))

        def follow():
            at_ns = round((clock.elapsed_s + AHEAD_S) * SECOND_NS)
            course.follow(course.plan.changed(at_ns, change[1]))

        if change is not None:
            clock.at_look[change[0]] = follow
        starts = Starts(course, clock.began_ns, 0) if pool.rate is not None else None
        loop = make_loop(lane, pool, starts, course=course, place=place)
        loop._acked = lambda key: clock.elapsed_s < end_s  # no last look
        loop.run()
        session.plan = course.plan
        return session

    return run


AHEAD_S = 0.5


def arithmetic(rate, count, stall_from_s, stall_s, takes_s=0.001):
    """Latencies by the book: each operation begins when it is meant to, or when the one before has ended."""
    free_s, latencies = 0.0, []
    stalled = False
    for number in range(count):
        begins_s = max(free_s, number / rate)
        stalls = begins_s >= stall_from_s and not stalled
        stalled |= stalls
        free_s = begins_s + (stall_s if stalls else takes_s)
        latencies.append(free_s - number / rate)
    return latencies


def test_a_stall_shows_in_latency_as_the_intended_starts_say_and_not_in_service_time(simulate, table):
    """1.4 s once under 200 a second: for a client that waited with it, one slow operation in 12,000."""
    stalls = iter([1.4])

    def takes_s(elapsed_s):
        return next(stalls, 0.001) if elapsed_s >= 20 else 0.001

    simulate(pool_of(rate=200, mix=Mix(read=1)), 60, takes_s)
    expected = np.quantile(arithmetic(200, 12_000, 20, 1.4), [0.99, 0.999], method="inverted_cdf")
    assert expected[0] > 0.9
    snapshot = table.snapshot()
    latency = quantiles_s(snapshot.histogram("operation_latency_seconds", "read"), (0.99, 0.999))
    assert latency == pytest.approx(expected, rel=0.05)
    service = quantiles_s(snapshot.histogram("operation_service_seconds", "read", "store"), (0.99, 0.999, 1.0))
    assert service == pytest.approx([0.001, 0.001, 1.4], rel=0.03)


def test_constant_arrivals_begin_when_they_are_meant_to(simulate):
    session = simulate(pool_of(rate=50, mix=Mix(read=1)), 10)
    begun = [at_s for _, at_s in session.calls]
    assert begun == pytest.approx([number / 50 for number in range(500)], abs=1e-6)


def test_poisson_arrivals_begin_when_they_are_meant_to(simulate, counts):
    pool = pool_of(rate=50, arrival="poisson", mix=Mix(read=1))
    session = simulate(pool, 10, takes_s=lambda elapsed_s: 1e-9)
    pacer = plan_of(pool).pacer(7)
    meant = [pacer.offset_ns(number) / SECOND_NS for number in range(pacer.due(10 * SECOND_NS))]
    assert [at_s for _, at_s in session.calls] == pytest.approx(meant, abs=1e-6)
    assert counts("operations_dropped_total") == 0


def test_stages_ramp_the_rate(simulate):
    session = simulate(pool_of(rate=0, stages=[Stage(duration_s=10, target=40)], mix=Mix(read=1)), 20)
    begun = np.array([at_s for _, at_s in session.calls])
    assert [(begun < at_s).sum() for at_s in (5, 10, 20)] == pytest.approx([50, 200, 600], abs=1)
    assert np.diff(begun)[-100:] == pytest.approx(1 / 40, abs=1e-6)


@pytest.mark.parametrize("rates", [(4, 40), (40, 4), (0, 20), (20, 0)])
def test_a_change_that_comes_at_any_moment_is_followed_from_its_own_on(simulate, rates):
    """At work, between two operations, before it sleeps, before it has begun."""
    before, after = (pool_of(rate=rate, mix=Mix(read=1)) for rate in rates)
    for look in range(2, 150):
        session = simulate(before, 10, lambda elapsed_s: 1e-9, change=(look, after))
        pacer = session.plan.pacer(7)
        meant = [pacer.offset_ns(number) / SECOND_NS for number in range(pacer.due(9_999_000_000))]
        assert len(session.plan.stretches) == 2, "it was told of it"
        assert [at_s for _, at_s in session.calls if at_s < 9.999] == pytest.approx(meant, abs=1e-6), look


def test_a_closed_pool_follows_a_change_that_comes_at_any_moment(simulate):
    before, after = (pool_of(think_time_s=think_s, mix=Mix(read=1)) for think_s in (1.0, 0.1))
    for look in range(2, 80):
        session = simulate(before, 10, lambda elapsed_s: 1e-9, change=(look, after))
        changed_s = session.plan.stretches[1].begin_ns / SECOND_NS
        gaps = np.diff([at_s for _, at_s in session.calls if at_s >= changed_s])
        assert gaps == pytest.approx(0.1, abs=1e-6), look


PHASES = (
    Phase(name="fill", duration_s=5, pools={"main": PoolChange(mix=Mix(save=1))}),
    Phase(name="quiet", duration_s=5, pools={"main": PoolChange(rate=0)}),
    Phase(name="spike", duration_s=5, pools={"main": PoolChange(rate=100, mix=Mix(read=1))}),
    Phase(name="after", duration_s=5, pools={"main": PoolChange(mix=Mix(read=1))}),
)


def test_each_phase_has_its_own_rate_and_mix(simulate):
    session = simulate(pool_of(rate=20, mix=Mix(save=1, read=1)), 20, phases=PHASES)
    counted = Counter((what, int(at_s // 5)) for what, at_s in session.calls)
    assert counted == {("save", 0): 100, ("read", 2): 500, ("read", 3): 100}


def test_what_was_meant_for_a_phase_keeps_its_mix_however_late_it_begins(simulate):
    """The store stalls over the border: the saves that fell due before it follow, and only then the reads."""
    stalls = iter([3.0])
    phases = (PHASES[0], Phase(name="read", pools={"main": PoolChange(mix=Mix(read=1))}))
    session = simulate(
        pool_of(rate=20, mix=Mix(save=1, read=1)),
        10,
        lambda elapsed_s: next(stalls, 0.001) if elapsed_s >= 4 else 0.001,
        phases,
    )
    assert Counter(what for what, _ in session.calls) == {"save": 100, "read": 100}
    assert [what for what, _ in session.calls] == ["save"] * 100 + ["read"] * 100
    late = [at_s for what, at_s in session.calls if what == "save" and at_s > 5]
    assert len(late) == 19  # those meant for 4.05 s and later


def test_a_closed_pool_thinks_between_operations_and_its_lanes_do_not_begin_together(simulate):
    pool = pool_of(threads=4, think_time_s=0.5, mix=Mix(read=1))
    for place in range(4):
        begun = [at_s for _, at_s in simulate(pool, 10, place=place).calls]
        assert begun[0] == pytest.approx(place * 0.125, abs=1e-6)
        assert np.diff(begun) == pytest.approx(0.501, abs=1e-6)


def test_a_closed_pool_has_a_mix_and_a_think_time_for_each_phase(simulate):
    phases = (
        Phase(name="fill", duration_s=4, pools={"main": PoolChange(mix=Mix(save=1), think_time_s=0)}),
        Phase(name="read", duration_s=6, pools={"main": PoolChange(mix=Mix(read=1))}),
    )
    session = simulate(pool_of(think_time_s=0.999), 10, phases=phases)
    assert Counter(what for what, _ in session.calls) == {"save": 4_000, "read": 6}


def test_stages_ramp_the_lanes_at_work(simulate):
    """From none to four over eight seconds, then down to one at once: lane 0 works from second 1 on, lane 3 from 7."""
    stages = [Stage(duration_s=8, target=4), Stage(duration_s=0, target=1)]
    for place, at_work in enumerate([(1, 20), (3, 8), (5, 8), (7, 8)]):
        session = simulate(pool_of(threads=4, stages=stages, mix=Mix(read=1)), 20, place=place)
        begun = [at_s for _, at_s in session.calls]
        assert (begun[0], begun[-1]) == pytest.approx(at_work, abs=0.0011)
        assert len(begun) == pytest.approx((at_work[1] - at_work[0]) * 1000, abs=2)

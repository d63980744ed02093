import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_sessions import KEYS, Scripted

from stressd.scenario import Mix, Pool
from stressd.stats.table import Control
from stressd.targets.noop import NoopTarget
from stressd.targets.protocol import Guarantees
from stressd.worker import cells
from stressd.worker.loop import CHARGED_MOST, Loop, Starts, lane_thread
from stressd.workload.operation import Draws, SaveKeys
from stressd.workload.pacer import ConstantPacer

SECOND_NS = 10**9
IDLE = NoopTarget().open()
PATIENCE_S = 20


def pool_of(**changes):
    return Pool(**{"name": "main", "mix": Mix(save=1, read=3)} | changes)


@pytest.fixture
def make_loop(table):
    def make(lane, pool=None, starts=None, missed=range(0)):
        pool, ledger = pool or pool_of(), lane.parts.ledger
        draws = Draws(pool.mix, KEYS, 7, lane.parts.number, ledger.acked)
        save_keys = SaveKeys((key, ledger.acked(key)) for key in lane.parts.own_keys)
        return Loop(lane, pool, draws, save_keys, None if starts is None else lambda: (starts, missed))

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
    starts = Starts(ConstantPacer(rate, 0, stripes), 1_000, 0)
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
    starts, taken = Starts(ConstantPacer(1_000), 0, 5), [[] for _ in range(4)]
    threads = [in_thread(lambda mine=mine: mine.extend(starts.take()[0] for _ in range(2_000))) for mine in taken]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(number for mine in taken for number in mine) == list(range(5, 8_005))


# --- Open model ----------------------------------------------------------------------------------


def test_an_open_load_starts_as_many_operations_as_are_due(make_lane, make_loop, control, counts):
    """The load began half a second ago and ends when all due are done: 51 of 100 a second, each late but none lost."""
    now_ns = time.monotonic_ns()
    control[Control.LOAD_START_NS] = now_ns - SECOND_NS // 2
    starts = Starts(ConstantPacer(100), now_ns - SECOND_NS // 2, 0)
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
    loop = make_loop(lane, pool_of(rate=10, max_late_s=5, mix=Mix(read=1)), Starts(ConstantPacer(10), start_ns, 0))
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
    starts = Starts(ConstantPacer(1_000), time.monotonic_ns() - 2 * SECOND_NS, 500)
    missed = starts.take_due(time.monotonic_ns())
    lane = make_lane(IDLE, None, own=range(0))
    loop = make_loop(lane, pool_of(rate=1_000, mix=Mix(save=1, scrub=1)), starts, missed)
    list(loop._paced(starts, missed))
    assert counts("operations_dropped_total") == len(missed) >= 1_500
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
    starts = Starts(ConstantPacer(10), start_ns, 10)
    loops = [
        make_loop(make_lane(IDLE, None, own=range(0)), pool_of(rate=10, mix=Mix(read=1)), starts) for _ in range(2)
    ]
    for loop in loops:
        assert not list(loop._paced(starts, range(0)))
    assert counts("operations_dropped_total") == 11  # numbers 10 to 20: due from second 1 to second 2


def test_very_many_given_up_at_once_are_all_counted_and_a_part_stands_for_all(make_lane, make_loop, table, counts):
    lane = make_lane(IDLE, None, own=range(0))
    now_ns = time.monotonic_ns()
    starts = Starts(ConstantPacer(1_000_000), now_ns - 2 * SECOND_NS, 0)
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
    starts, pool = Starts(ConstantPacer(200), start_ns, 0), pool_of(rate=200, mix=Mix(read=1))
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
    in_thread(make_loop(lane, pool_of(rate=0), Starts(ConstantPacer(0), 1, 0)).run)
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

import threading
import time
from types import SimpleNamespace

import pytest
from scripted_sessions import KEYS, Scripted

from stressd.errors import TargetError
from stressd.pools import Mix, Pool
from stressd.scenario import Scenario
from stressd.stats.table import Control
from stressd.targets.protocol import TargetSpec, TargetStats
from stressd.worker import cells, load
from stressd.worker.load import LoadWorker
from stressd.worker.spec import WorkerSpec
from stressd.worker.trace import Trace

SECOND_NS = 10**9
PATIENCE_S = 20


class Counting:
    """A target whose sessions are scripted, and whose counts are given by hand."""

    def __init__(self):
        self.session, self.opened, self.counts = Scripted(), 0, TargetStats()
        self.opening = lambda number: None

    def open(self):
        self.opened += 1
        self.opening(self.opened)
        return self.session

    def stats(self):
        return self.counts


@pytest.fixture
def target():
    return Counting()


@pytest.fixture
def make_worker(tmp_path, table, ledger, told, target, make_lane):
    """Return the worker of process 0 of 2, with two lanes of two keys each."""

    def make(rate=None):
        pool = Pool(name="main", processes=2, threads=2, rate=rate, mix=Mix(save=1, read=3))
        content = {"kind": "random", "names": 2}
        scenario = Scenario(name="small", content=content, keys_per_lane=KEYS // pool.lanes, pools=(pool,))
        spec = WorkerSpec(
            "load", 0, str(tmp_path), "run", "t-", 7, scenario, TargetSpec("counting"), "2026-01-01", 0, 2
        )
        making = threading.Lock()

        def lane(number, session):
            with making:  # the fixture numbers lanes in the order they are made
                own = range(2 * number, 2 * number + 2)
                return make_lane(session, own=own, number=number, row=table.row(number))

        trace = Trace(told.channel, str(tmp_path / "specimens"))
        bench = SimpleNamespace(lane=lane, ledger=ledger, trace=trace, acked=ledger.acked, contended=None)
        return LoadWorker(spec, told.channel, table, target, bench)

    return make


@pytest.fixture
def run(in_thread):
    """Run the worker in a thread; `ended` are what it raised, None if nothing."""

    def start(worker):
        ended = []

        def body():
            try:
                worker.run()
            except Exception as error:  # noqa: BLE001 - kept for the test to look at
                ended.append(error)
            else:
                ended.append(None)

        in_thread(body)
        return ended

    return start


def wait_until(holds):
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_a_worker_says_ready_works_drains_and_ends(make_worker, run, told, table, counts, target, ledger):
    ended = run(make_worker())
    wait_until(lambda: told.messages("ready"))
    assert target.opened == 2
    table.control[Control.LOAD_START_NS] = 1
    wait_until(lambda: all(table.row(lane)[cells.OUTCOME["save", "ok"]] for lane in (0, 1)))  # each has work
    table.control[Control.DRAIN] = time.monotonic_ns()
    wait_until(lambda: ended)
    assert ended == [None]
    assert target.session.closed
    assert counts("operations_total", "scrub", "ok") == sum(ledger.acked(key) > 0 for key in range(4)) >= 2


def test_a_session_that_cannot_be_opened_ends_the_worker_before_it_says_ready(make_worker, run, told, target):
    def refuse(number):
        if number == 2:
            raise ConnectionError("no route to the store")

    target.opening = refuse
    worker = make_worker()
    release = worker._opened.release

    def release_and_dawdle():  # whoever waits for it goes on at once, the lane itself only later
        release()
        time.sleep(0.1)

    worker._opened.release = release_and_dawdle
    ended = run(worker)
    wait_until(lambda: ended)
    assert isinstance(ended[0], TargetError)
    assert "no session: ConnectionError: no route to the store" in str(ended[0])
    assert not told.messages("ready")


def test_a_session_that_never_opens_ends_the_worker(make_worker, run, told, target, monkeypatch):
    monkeypatch.setattr(load, "OPEN_TIMEOUT_S", 0.1)
    release = threading.Event()
    target.opening = lambda number: release.wait(PATIENCE_S) if number == 2 else None
    ended = run(make_worker())
    wait_until(lambda: ended)
    release.set()
    assert isinstance(ended[0], TargetError)
    assert "not open after 0.1 s" in str(ended[0])
    assert not told.messages("ready")


def test_a_bug_in_a_lane_ends_the_worker(make_worker, run, told, target, table):
    """A store that returns what is no mapping at all: a process of its own for that is what supervision is for."""
    target.session.reads = [lambda store, group, names: 5] * 100
    ended = run(make_worker())
    table.control[Control.LOAD_START_NS] = 1
    wait_until(lambda: ended)
    table.control[Control.DRAIN] = 1
    assert isinstance(ended[0], AttributeError)


def test_a_session_that_cannot_be_closed_is_told_and_no_more(make_worker, run, told, target, table):
    def close():
        raise OSError("already closed")

    target.session.close = close
    ended = run(make_worker())
    table.control[Control.DRAIN] = time.monotonic_ns()
    wait_until(lambda: ended)
    assert ended == [None]
    assert [message["op"] for message in told.messages("error")] == ["close"]


def test_a_lane_that_has_ended_is_beaten_for_while_another_still_works(make_worker, run, told, target, table):
    release, holding = threading.Event(), threading.Event()

    def hold(store, group, names):
        holding.set()
        release.wait(3 * PATIENCE_S)
        return store.read(group, names)

    ended = run(make_worker())
    table.control[Control.LOAD_START_NS] = 1
    wait_until(lambda: all(table.row(lane)[cells.OUTCOME["save", "ok"]] for lane in (0, 1)))
    target.session.reads = [hold]
    assert holding.wait(PATIENCE_S)
    table.control[Control.DRAIN] = time.monotonic_ns()
    wait_until(lambda: target.session.closed)  # by the lane that was not held
    before = [table.row(lane)[cells.HEARTBEAT] for lane in (0, 1)]
    beats = lambda: [table.row(lane)[cells.HEARTBEAT] > beat for lane, beat in enumerate(before)]  # noqa: E731
    wait_until(lambda: sum(beats()) == 1)
    assert not ended
    release.set()
    wait_until(lambda: ended)
    assert ended == [None]


# --- Starts of an open load over the restarts of its process -------------------------------------


def test_the_first_process_of_a_slot_has_missed_nothing(make_worker, table):
    """It comes to its first start a moment after the load began; that is late, not missed."""
    table.control[Control.LOAD_START_NS] = time.monotonic_ns() - SECOND_NS // 10
    starts, missed = make_worker(rate=1_000)._take_starts()
    assert not missed
    assert starts.take()[0] == 0


def test_a_replacement_gives_up_what_fell_due_meanwhile_exactly_once(make_worker, table):
    table.control[Control.LOAD_START_NS] = time.monotonic_ns() - 2 * SECOND_NS
    table.row(0)[cells.NEXT_START], table.row(1)[cells.NEXT_START] = 40, 43  # what the lanes had taken last
    worker = make_worker(rate=200)  # a hundred a second for this one of two processes
    starts, missed = worker._take_starts()
    assert missed.start == 43
    assert 200 <= missed.stop <= 200 + 200  # two seconds' worth, and what this took
    assert worker._take_starts() == (starts, range(0))  # the second lane
    assert starts.take()[0] == missed.stop


def test_a_replacement_at_a_pause_has_nothing_to_give_up(make_worker, table):
    table.control[Control.LOAD_START_NS] = time.monotonic_ns() - SECOND_NS
    table.row(0)[cells.NEXT_START] = 3
    starts, missed = make_worker(rate=0)._take_starts()
    assert not missed
    assert starts.take()[0] == 3


# --- What a process holds ------------------------------------------------------------------------


def test_a_targets_counts_go_on_over_restarts_and_one_that_goes_back_is_no_reason_to_end(
    make_worker, target, counts, table
):
    worker = make_worker()
    for evictions, commits in ((2, 5), (3, 1), (4, 2)):
        target.counts = TargetStats(cache_bytes=100 * evictions, cache_evictions=evictions, commits=commits)
        worker._report()
    assert counts("cache_evictions_seen") == 4
    assert counts("commits_seen") == 5 + 1
    assert table.row(0)[cells.CACHE_BYTES] == 400
    target.counts = TargetStats(cache_evictions=1)
    make_worker()._report()
    assert counts("cache_evictions_seen") == 5


def test_a_worker_is_told_what_it_is_as_text(make_worker):
    spec = make_worker(rate=5)._spec
    assert WorkerSpec.from_message(spec.as_message()) == spec

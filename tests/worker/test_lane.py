import json
import threading

import pytest
from scripted_sessions import CONTENT, Cached, Scripted

from stressd.metrics import CHECKS, VIOLATIONS
from stressd.stats.table import Control
from stressd.targets.protocol import Guarantees, TargetCorrupt, TargetRejected
from stressd.worker import lane as lane_module
from stressd.workload.ledger import Outcome, State

KEY = 1
PATIENCE_S = 20
GROUP = "t-00001"


def raising(error):
    def act(store, group, argument):
        raise error

    return act


def saved_then_raising(error):
    def act(store, group, features):
        store.save(group, features)
        raise error

    return act


def forgetting(store, group, features):
    return None  # acknowledged, and thrown away


def store_with(key, seq):
    """A store that holds one save of the key."""
    session = Scripted()
    session.store.save(f"t-{key:05d}", CONTENT.frames(key, seq).frames)
    return session.store


@pytest.fixture
def ops(counts):
    """Return the counts of `operations_total` that are not zero."""
    outcomes = ("ok", "error", "timeout", "injected", "violation")
    every = [(op, outcome) for op in ("save", "read", "scrub") for outcome in outcomes]

    def found():
        counted = {pair: counts("operations_total", *pair) for pair in every}
        return {pair: count for pair, count in counted.items() if count}

    return found


@pytest.fixture
def violations(table):
    def found():
        counted = {kind: table.snapshot().total("violations_total", kind) for kind in VIOLATIONS}
        return {kind: count for kind, count in counted.items() if count}

    return found


# --- Saving and reading --------------------------------------------------------------------------


def test_a_save_is_acknowledged_read_back_and_read_before_the_next(make_lane, ledger, counts, ops, violations):
    session = Scripted()
    lane = make_lane(session)
    assert lane.save(KEY).ok
    assert session.asked == [("save", GROUP)]  # there was nothing to read yet
    assert lane.save(KEY).ok
    assert session.asked[1:] == [("read", GROUP), ("save", GROUP)]
    assert lane.read(KEY).ok
    assert ledger.slot(KEY).acked_seq == 2
    assert counts("writes_acknowledged") == counts("writes_verified") == 2
    assert ops() == {("save", "ok"): 2, ("read", "ok"): 2}
    assert not violations()


def test_what_is_saved_and_read_is_counted(make_lane, counts):
    lane = make_lane(Scripted())
    saved = lane.save(KEY)
    lane.read(KEY)
    rows = sum(shape.rows for shape in CONTENT.shapes(KEY, 1).values())
    assert counts("rows_total", "save") == counts("rows_total", "read") == rows
    assert counts("bytes_total", "save") == counts("bytes_total", "read") == saved.payload_bytes > 0
    assert counts("bytes_from_store") == saved.payload_bytes
    assert counts("cells_checked") == rows * 3


def test_latency_begins_at_the_intended_start_and_service_at_the_actual_one(make_lane, table):
    lane = make_lane(Scripted())
    lane.save(KEY, late_ns=5_000_000_000)
    snapshot = table.snapshot()
    service_ns = snapshot.sum_ns("operation_service_seconds", "save", "none")
    assert snapshot.sum_ns("operation_latency_seconds", "save") == service_ns + 5_000_000_000
    assert snapshot.histogram("operation_latency_seconds", "save").sum() == 1
    assert snapshot.histogram("operation_service_seconds", "save", "none").sum() == 1


def test_a_key_of_another_process_is_told_apart(make_lane, counts):
    session = Scripted()
    make_lane(session).save(KEY)
    make_lane(session, own=range(2, 4)).read(KEY)
    assert counts("reads_foreign") == 1
    assert counts("writes_verified") == 0  # only its owner says so


@pytest.mark.parametrize("source", ["cache", "store", "somewhere else"])
def test_an_answer_is_from_the_cache_only_if_the_target_says_so(make_lane, table, source):
    session = Cached()
    lane = make_lane(session)
    lane.save(KEY)
    session.source = source
    assert lane.read(KEY).source == ("cache" if source == "cache" else "store")
    assert lane.scrub(KEY).source == "store"


def test_a_target_that_stores_nothing_is_only_counted(make_lane, ops, counts):
    session = Scripted()
    lane = make_lane(session, None)
    for _ in range(3):
        lane.save(KEY)
    lane.read(KEY)
    assert session.count("read") == 1  # there is nothing to read back before a save
    assert ops() == {("save", "ok"): 3, ("read", "ok"): 1}
    assert counts("reads_verified_total") == 1


# --- What goes wrong -----------------------------------------------------------------------------


def test_a_save_that_was_rejected_must_never_be_seen(make_lane, ledger, ops, violations):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.saves = [saved_then_raising(TargetRejected("full"))]
    assert not lane.save(KEY).ok
    assert ledger.outcome(KEY, 2) is Outcome.FAILED
    lane.read(KEY)
    assert violations() == {"phantom": 1}
    assert ops() == {("save", "ok"): 1, ("save", "error"): 1, ("read", "ok"): 1, ("read", "violation"): 1}


@pytest.mark.parametrize(("act", "outcome"), [(raising, Outcome.FAILED), (saved_then_raising, Outcome.ACKED)])
def test_a_save_of_unknown_outcome_is_settled_by_reading(make_lane, ledger, counts, violations, ops, act, outcome):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.saves = [act(TimeoutError("slow"))]
    assert not lane.save(KEY).ok
    assert ledger.outcome(KEY, 2) is outcome
    assert lane.save(KEY).ok
    assert lane.read(KEY).ok
    assert not violations()
    assert counts("operations_total", "save", "timeout") == 1
    assert counts("writes_acknowledged") == (3 if outcome is Outcome.ACKED else 2)


def test_a_first_save_of_unknown_outcome_that_is_not_there_is_no_error_of_reading(make_lane, ledger, ops):
    session = Scripted()
    lane = make_lane(session)
    session.saves = [raising(TimeoutError("slow"))]
    lane.save(KEY)  # the read that settles it raises KeyError: nothing was ever saved
    assert ledger.outcome(KEY, 1) is Outcome.FAILED
    assert ops() == {("save", "timeout"): 1}


def test_nothing_is_saved_while_nobody_can_tell_how_the_last_save_ended(make_lane, ledger, ops):
    session = Scripted()
    lane = make_lane(session)
    session.saves = [raising(TimeoutError("slow"))]
    session.reads = [raising(ConnectionError("down"))] * 3
    for _ in range(3):
        assert not lane.save(KEY).ok
    assert session.count("save") == 1
    # Each turn that could not be used is an operation that failed: an outage must show.
    assert ops() == {("save", "timeout"): 1, ("save", "error"): 2}
    assert lane.save(KEY).ok
    assert ledger.slot(KEY).acked_seq == 2


def test_a_save_that_was_never_read_back_is_not_saved_over(make_lane, ledger, violations, ops):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.saves = [forgetting]
    lane.save(KEY)
    session.reads = [raising(ConnectionError("down"))]
    assert not lane.save(KEY).ok
    assert ledger.slot(KEY).intent_seq == 2
    assert lane.save(KEY).ok  # the loss is found now, counted once, and the key is of use again
    assert violations() == {"lost": 1}
    assert lane.read(KEY).ok
    assert ledger.slot(KEY).acked_seq == 3


def test_a_save_that_was_read_back_may_be_saved_over_though_the_store_is_in_trouble(make_lane, ledger):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    lane.read(KEY)
    session.reads = [raising(ConnectionError("down"))]
    assert lane.save(KEY).ok
    assert ledger.slot(KEY).acked_seq == 2


@pytest.mark.parametrize("reads", ["session", "bounded", "eventual"])
def test_where_reading_cannot_tell_the_next_save_settles_it(make_lane, ledger, violations, reads):
    session = Scripted()
    lane = make_lane(session, guarantees=Guarantees(reads, 1.0 if reads == "bounded" else 0.0))
    lane.save(KEY)
    session.saves = [raising(TimeoutError("slow"))]
    lane.save(KEY)
    assert lane.save(KEY).ok
    assert lane.read(KEY).ok
    assert ledger.slot(KEY).acked_seq == 3
    assert not violations()


def test_a_value_that_the_store_calls_damaged_is_a_violation_and_is_saved_over(make_lane, ledger, violations):
    session = Scripted()
    lane = make_lane(session)
    session.saves = [saved_then_raising(TimeoutError("slow"))]
    session.reads = [raising(TargetCorrupt("checksum"))]
    lane.save(KEY)
    assert violations() == {"corrupt": 1}
    assert ledger.outcome(KEY, 1) is Outcome.UNKNOWN
    assert lane.save(KEY).ok
    assert ledger.slot(KEY).acked_seq == 2
    assert violations() == {"corrupt": 1}


def test_late_writes_retire_the_key(make_lane, ledger, violations, ops):
    session = Scripted()
    lane = make_lane(session, guarantees=Guarantees(late_writes=True))
    lane.save(KEY)
    late = []
    session.saves = [lambda store, group, features: late.append(features) or raising(TimeoutError("slow"))(0, 0, 0)]
    lane.save(KEY)
    assert ledger.slot(KEY).state is State.RETIRED
    for _ in range(2):
        assert not lane.save(KEY).ok
    assert session.count("save") == 2
    assert lane.read(KEY).ok
    session.store.save(GROUP, late[0])  # it lands after all
    assert lane.read(KEY).ok
    assert not violations()


def test_late_writes_retire_what_a_killed_process_left_open(make_lane, ledger):
    claims = Guarantees(late_writes=True)
    make_lane(Scripted(), guarantees=claims).save(KEY)
    ledger.intent(KEY, 2, 0)  # and there it was killed
    session = Scripted()
    lane = make_lane(session, guarantees=claims)
    session.store = store_with(KEY, 1)
    lane.resolve_own()
    assert ledger.retired(KEY)
    assert not lane.save(KEY).ok
    assert not session.count("save")


@pytest.mark.parametrize("there", [1, 2])
def test_a_replacement_settles_what_a_killed_process_left_open(make_lane, ledger, violations, counts, there):
    make_lane(Scripted()).save(KEY)
    ledger.intent(KEY, 2, CONTENT.frames(KEY, 2).total)
    session = Scripted()
    session.store = store_with(KEY, there)
    lane = make_lane(session)
    lane.resolve_own()
    assert ledger.slot(KEY).acked_seq == there
    assert counts("writes_acknowledged") == there
    assert lane.save(KEY).ok
    assert not violations()


def test_an_error_of_reading_is_counted_by_its_class(make_lane, counts, told):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.reads = [
        raising(error) for error in (TimeoutError("a"), OSError("b"), RuntimeError("c"), RuntimeError("d"))
    ]
    for _ in range(4):
        assert not lane.read(KEY).ok
    classes = {name: counts("operation_errors_total", "read", name) for name in ("timeout", "io", "other", "missing")}
    assert classes == {"timeout": 1, "io": 1, "other": 2, "missing": 0}
    assert [message["kind"] for message in told.messages("error")] == ["TimeoutError", "OSError", "RuntimeError"]


def test_a_scheduled_fault_asks_nothing_of_the_target(make_lane, table, ops, told, ledger):
    session = Scripted()
    lane = make_lane(session)
    table.control[Control.FAULT_FROM_NS], table.control[Control.FAULT_UNTIL_NS] = 0, 2**63 - 1
    lane.save(KEY)
    lane.read(KEY)
    assert not session.asked
    assert ops() == {("save", "injected"): 1, ("read", "injected"): 1}
    assert ledger.outcome(KEY, 1) is Outcome.FAILED
    assert not told.messages()
    table.control[Control.FAULT_UNTIL_NS] = 1
    assert lane.save(KEY).ok


# --- Lies ----------------------------------------------------------------------------------------


def test_a_lost_save_is_found_by_the_read_before_the_next_one_with_a_specimen(make_lane, violations, told, ops):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.saves = [forgetting]
    lane.save(KEY)
    assert lane.save(KEY).ok
    assert violations() == {"lost": 1}
    (message,) = told.messages("violation")
    assert message["kind"] == "lost"
    assert GROUP in message["detail"]
    assert message["specimen"].endswith("lost-0.json")
    with open(message["specimen"], encoding="utf-8") as file:
        specimen = json.load(file)
    assert specimen["group"] == GROUP
    assert [(done["op"], done["key"], done["outcome"]) for done in specimen["operations_before"]] == [
        ("save", KEY, "ok"),
        ("read", KEY, "ok"),
        ("save", KEY, "ok"),
    ]
    assert ops()["read", "violation"] == 1


def test_a_commit_number_that_does_not_grow_is_a_violation_of_that_save_alone(make_lane, violations, told, ops, ledger):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.saves = [lambda store, group, features: store.save(group, features) and 1]
    assert not lane.save(KEY).ok
    assert violations() == {"non_monotonic": 1}
    (message,) = told.messages("violation")
    assert "save 2 was acknowledged as commit 1" in message["detail"]
    assert ledger.slot(KEY).acked_seq == 2
    assert lane.save(KEY).ok, "it is there all the same, and the next number is above the last good one"
    assert lane.read(KEY).ok
    assert ops()["save", "violation"] == 1


def test_the_first_of_a_kind_is_told_and_all_are_counted(make_lane, violations, told):
    session = Scripted()
    lane = make_lane(session)
    lane.save(KEY)
    session.reads = [lambda store, group, names: {names[0]: store.read(group, names)[names[0]]}] * 3
    for _ in range(3):
        assert not lane.read(KEY).ok
    assert violations() == {"fractured": 3}
    assert len(told.messages("violation")) == 1


class Sharing(Scripted):
    """Hands out the frames that it holds, and holds those that it was given, as told."""

    def __init__(self, keeps_given, gives_own):
        super().__init__()
        self.groups, self.keeps_given, self.gives_own = {}, keeps_given, gives_own

    def save(self, group, features):
        copied = {name: frame.copy() for name, frame in features.items()}
        self.groups[group] = dict(features) if self.keeps_given else copied

    def read(self, group, names):
        return {name: frame if self.gives_own else frame.copy() for name, frame in self.groups[group].items()}


@pytest.mark.parametrize(("keeps_given", "gives_own"), [(True, False), (False, True)])
def test_a_frame_with_two_owners_is_found(make_lane, violations, keeps_given, gives_own):
    lane = make_lane(Sharing(keeps_given, gives_own), scribble_every=1)
    lane.save(KEY)
    lane.read(KEY)
    assert violations() == {"aliased": 1}
    assert lane.read(KEY, full=True).ok  # the edit was taken back


def test_what_checks_take_is_counted_once_and_by_its_name(make_lane, table, monkeypatch):
    lane = make_lane(Sharing(False, False), scribble_every=1)
    lane.save(KEY)
    clock, judge = [0], lane.parts.judge
    after, fetch = judge.after, lane._fetch

    def looks(*arguments):
        clock[0] += 100
        inspector = judge._inspector
        cells_ns = inspector.cells_ns + 60
        judged = after(*arguments)
        inspector.cells_ns = cells_ns
        return judged

    def fetches(*arguments):
        clock[0] += 7
        return fetch(*arguments)

    monkeypatch.setattr(lane_module, "_now", lambda: clock[0])
    monkeypatch.setattr(judge, "after", looks)
    monkeypatch.setattr(lane, "_fetch", fetches)
    before = {check: table.snapshot().total("verification_seconds_total", check) for check in CHECKS}
    lane.read(KEY)  # and a second time, for the edit
    spent = {check: table.snapshot().total("verification_seconds_total", check) - before[check] for check in CHECKS}
    assert spent == {"stamps": 2 * 40, "cells": 2 * 60, "scribble": 0, "confirm": 0}
    assert sum(spent.values()) == clock[0] - 2 * 7  # all but the target's time for both reads


def test_a_store_that_copies_is_not_accused(make_lane, violations):
    lane = make_lane(Sharing(False, False), scribble_every=1)
    for _ in range(3):
        lane.save(KEY)
        lane.read(KEY)
    assert not violations()


# --- What a cache should have answered -----------------------------------------------------------


def test_hits_are_expected_of_what_this_process_read_before(make_lane, counts):
    session = Cached()
    lane = make_lane(session)
    lane.save(KEY)
    for _ in range(4):
        lane.read(KEY)
    lane.scrub(KEY)  # round the cache: neither hit nor miss
    assert (counts("cache_hits_total"), counts("cache_misses_total")) == (3, 1)
    assert (counts("reads_expected_cached"), counts("reads_expected_cached_hit")) == (3, 3)
    lane.save(KEY)  # another version: nobody expects that to be cached
    lane.read(KEY)
    assert counts("reads_expected_cached") == 3 + 1  # the read before the save


def test_an_eviction_is_a_miss_that_was_expected_to_hit(make_lane, counts):
    session = Cached()
    lane = make_lane(session)
    lane.save(KEY)
    lane.read(KEY)
    session.cache.clear()
    lane.read(KEY)
    assert (counts("reads_expected_cached"), counts("reads_expected_cached_hit")) == (1, 0)


def test_two_that_miss_at_once_are_both_right(make_lane, counts, in_thread):
    """The second began before the first had ended, so no cache could have answered it, though it ended later."""
    session = Cached()
    first = make_lane(session)
    second = make_lane(session, recollection=first.parts.recollection)
    first.save(KEY)
    first_asked, second_asked = threading.Event(), threading.Event()

    def the_first(store, group, names):
        first_asked.set()
        assert second_asked.wait(PATIENCE_S)
        return store.read(group, names)

    def the_second(store, group, names):
        second_asked.set()
        thread.join(PATIENCE_S)
        return store.read(group, names)

    session.reads = [the_first, the_second]
    thread = in_thread(lambda: first.read(KEY))
    assert first_asked.wait(PATIENCE_S)
    second.read(KEY)
    assert counts("cache_misses_total") == 2
    assert counts("reads_expected_cached") == 0


class Hoards:
    """A session that keeps the first answer for each group for ever, before a store that is right."""

    def __init__(self, stored):
        self.stored, self.kept = stored, {}

    def save(self, group, features):
        self.stored[group] = {name: frame.copy(deep=True) for name, frame in features.items()}

    def read(self, group, names):
        self.kept.setdefault(group, self.stored[group])
        return {name: self.kept[group][name].copy(deep=True) for name in names}

    def close(self):
        pass


def test_a_stale_answer_of_a_session_that_knows_no_way_round_its_cache_is_not_called_lost(make_lane, violations):
    stored = {}
    owner = make_lane(Hoards(stored), fresh=lambda: Hoards(stored))
    reader = make_lane(Hoards(stored), own=range(0), fresh=lambda: Hoards(stored))
    owner.save(KEY)
    assert reader.read(KEY).ok
    stored_later = make_lane(Hoards(stored), fresh=lambda: Hoards(stored))
    stored_later.save(KEY)  # acknowledged, and not yet read by anybody
    assert not reader.read(KEY).ok
    assert violations() == {"stale": 1}


def test_what_a_new_session_does_not_find_either_is_lost(make_lane, violations):
    stored = {}
    owner = make_lane(Hoards(stored), fresh=lambda: Hoards(stored))
    owner.save(KEY)
    assert owner.read(KEY).ok
    first = dict(stored)
    forgetful = make_lane(Hoards(stored), fresh=lambda: Hoards(stored))
    forgetful.save(KEY)
    stored.update(first)
    reader = make_lane(Hoards(stored), own=range(0), fresh=lambda: Hoards(stored))
    assert not reader.read(KEY).ok
    assert violations() == {"lost": 1}

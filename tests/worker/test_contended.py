"""Lanes that save to the same keys: a right store is never accused, one that mixes up its commits is, by name."""

import random
import threading
from functools import partial

import pytest
from scripted_sessions import CONTENT, KEYS, Cached, Scripted

from stressd.errors import TargetError
from stressd.metrics import VIOLATIONS
from stressd.targets.protocol import Abilities, Guarantees, TargetRejected
from stressd.worker.contended import Contended, ContendingLane, refuse_contention
from stressd.workload.ledger import Ledger, Outcome

LANES, CONTENDED = 3, 2
KEY = KEYS  # the first contended one


class Versions:
    """A dict that copies and numbers its commits, for all lanes. `misbehave` is asked before each answer."""

    def __init__(self):
        self.lock = threading.Lock()
        self.history = {}
        self.misbehave = lambda: False

    def save(self, group, features):
        with self.lock:
            return self.commit(self.history.setdefault(group, []), {n: f.copy() for n, f in features.items()})

    def commit(self, history, frames):
        history.append(frames)
        return len(history)

    def read_with_commit(self, group, names):
        with self.lock:
            history = self.history.get(group)
            if not history:
                raise KeyError(group)
            frames, commit = self.answer(history)
        return {name: frames[name].copy() for name in names}, commit

    def answer(self, history):
        return history[-1], len(history)

    def read(self, group, names):
        return self.read_with_commit(group, names)[0]

    def close(self):
        pass


class LosesUpdates(Versions):
    """Two that save at once are told the same number; the second one's stands."""

    def commit(self, history, frames):
        if history and self.misbehave():
            history[-1] = frames
            return len(history)
        return super().commit(history, frames)


class Forgets(Versions):
    """Acknowledges a commit that it does not keep."""

    def commit(self, history, frames):
        if history and self.misbehave():
            return len(history) + 1
        return super().commit(history, frames)


class ServesOld(Versions):
    """Answers with the commit before."""

    def answer(self, history):
        newest = len(history) - (len(history) > 1 and self.misbehave())
        return history[newest - 1], newest


class Misnumbers(Versions):
    """Answers with the commit before under the newest number."""

    def answer(self, history):
        old = len(history) > 1 and self.misbehave()
        return history[-2 if old else -1], len(history)


class NumbersBackwards(Versions):
    """Numbers a save below those before it."""

    def commit(self, history, frames):
        number = super().commit(history, frames)
        return max(0, number - 3) if number > 3 and self.misbehave() else number


class LosesAnswers(Versions):
    """A right store whose save raises, after it has saved or before."""

    def commit(self, history, frames):
        turn = self.misbehave()
        if turn == 1:
            raise TargetRejected("no room")
        if turn == 2:
            raise ConnectionError("not sent")
        number = super().commit(history, frames)
        if turn == 3:
            raise ConnectionError("no answer came back")
        return number


@pytest.fixture
def lanes(tmp_path, make_lane):
    opened = Ledger.create(str(tmp_path / "contended"), CONTENDED, LANES, run_id="run", boot_id="boot")

    def make(session, **changes):
        own = [range(2), range(2, 3), range(3, 4)]
        return [ContendingLane(make_lane(session, own=each, **changes).parts, Contended(opened, KEYS)) for each in own]

    yield make
    opened.close()


@pytest.fixture
def violations(counts):
    return lambda: {kind for kind in VIOLATIONS if counts("violations_total", kind)}


def soak(lanes, draw, rounds):
    """Work on the contended keys, one operation after the other, by any lane."""
    for _ in range(rounds):
        lane, key = draw.choice(lanes), KEY + draw.randrange(CONTENDED)
        if not lane.acked(key) or draw.random() < 0.4:
            lane.save(key)
        else:
            lane.read(key, full=True)


def test_every_lane_saves_and_reads_every_contended_key(lanes, counts, violations):
    store = Versions()
    first, second, third = lanes(store)
    for turn, lane in enumerate((first, second, third, first), start=1):
        assert lane.save(KEY).ok
        assert store.history["t-00004"][turn - 1]
        assert all(other.read(KEY).ok for other in (first, second, third))
    assert (counts("writes_acknowledged"), counts("writes_verified")) == (4, 4)
    assert first.acked(KEY) == second.acked(KEY) == 2
    assert (first.saves(KEY), second.saves(KEY)) == (2, 1)
    assert not violations()


def test_comparing_cells_is_counted_with_its_processor_time(lanes, counts):
    first, second, _ = lanes(Versions())
    first.save(KEY)
    second.read(KEY, full=True)
    assert counts("cells_checked") > 0
    assert counts("cells_cpu_ns") > 0
    assert counts("verification_seconds_total", "cells") > 0


def test_own_keys_go_on_as_ever(lanes, counts):
    first, *_ = lanes(Versions())
    assert first.save(0).ok
    assert first.read(0).ok
    assert first.acked(0) == 1
    assert not first.retired(KEY)
    assert counts("operations_total", "save", "ok") == 1


def test_each_contended_key_is_looked_at_once_more_in_the_end(lanes):
    made = lanes(Versions())
    assert sorted(key for lane in made for key in lane.last_keys) == [*range(KEYS), *range(KEYS, KEYS + CONTENDED)]
    assert all(set(lane.save_keys) >= set(range(KEYS, KEYS + CONTENDED)) for lane in made)


def test_a_right_store_is_never_accused_whoever_saves_when(lanes, violations, in_thread, run_seed):
    made = lanes(Versions(), scribble_every=7)
    draws = [random.Random(run_seed + lane.parts.number) for lane in made]
    threads = [in_thread(partial(soak, [lane], draw, 300)) for lane, draw in zip(made, draws, strict=True)]
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not violations()


def test_a_store_whose_answers_get_lost_is_never_accused(lanes, violations, counts, run_seed):
    store, draw = LosesAnswers(), random.Random(run_seed)
    store.misbehave = lambda: draw.choice([0, 0, 0, 1, 2, 3])
    made = lanes(store)
    soak(made, draw, 400)
    assert not violations()
    errors = [counts("operation_errors_total", "save", kind) for kind in ("rejected", "io")]
    assert all(errors)


LIARS = {
    LosesUpdates: {"lost"},
    Forgets: {"lost"},
    ServesOld: {"stale", "non_monotonic"},
    Misnumbers: {"stale"},
    NumbersBackwards: {"lost", "non_monotonic"},
}


@pytest.mark.parametrize("liar", LIARS)
def test_a_store_that_mixes_up_its_commits_is_accused_by_name(lanes, violations, told, run_seed, liar):
    store, draw = liar(), random.Random(run_seed)
    made = lanes(store)
    soak(made, draw, 30)
    assert not violations()
    store.misbehave = lambda: draw.random() < 0.2
    for _ in range(1_000):
        soak(made, draw, 1)
        if violations():
            break
    message = told.messages("violation")[0]
    assert violations() == {message["kind"]} <= LIARS[liar]
    assert message["specimen"]
    assert "group t-0000" in message["detail"]


def test_a_replacement_leaves_open_what_nobody_knows(lanes, make_lane, tmp_path):
    store = LosesAnswers()
    first, *_ = lanes(store)
    ledger = first._contended.ledger
    ledger.intent(0, 1, 0, 0)  # killed right after it
    replacement = ContendingLane(first.parts, Contended(ledger, KEYS))
    assert ledger.outcome(0, 1, 0) is Outcome.UNKNOWN
    assert replacement.save(KEY).ok
    assert (ledger.acked(0, 0), ledger.newest_intent(0, 0)) == (2, 2)


def test_a_cache_that_is_not_told_of_others_saves_is_stale(lanes, violations):
    class Numbered(Cached):
        numbers = 0

        def save(self, group, features):
            super().save(group, features)
            self.numbers += 1
            return self.numbers

        def read_detail(self, group, names, *, bypass_cache):
            held = self.cache.get(group)
            answer = super().read_detail(group, names, bypass_cache=bypass_cache)
            self.known = self.numbers if held is None else self.known
            return answer._replace(commit=self.known if answer.source == "cache" else self.numbers)

    store = Numbered()
    first, second, _ = lanes(store)
    assert first.save(KEY).ok
    assert second.read(KEY).ok
    kept = dict(store.cache)
    assert first.save(KEY).ok
    store.cache = kept
    assert not second.read(KEY).ok
    assert violations() == {"stale"}


def test_a_target_without_commit_numbers_has_no_contended_keys(lanes):
    with pytest.raises(TargetError, match="has no read_with_commit"):
        lanes(Scripted())
    assert refuse_contention(Guarantees(), Abilities()) is None
    assert "stores nothing" in refuse_contention(Guarantees(), Abilities(storage=False))
    for weaker in (Guarantees("session"), Guarantees(atomic_groups=False), Guarantees(late_writes=True)):
        assert str(weaker) in refuse_contention(weaker, Abilities())


def test_a_store_that_names_no_commit_is_an_error_not_a_violation(lanes, violations, counts):
    class Nameless(Versions):
        def commit(self, history, frames):
            super().commit(history, frames)

    first, *_ = lanes(Nameless())
    assert not first.save(KEY).ok
    assert counts("operations_total", "save", "error") == 1
    assert not violations()
    assert CONTENT.names

"""Keys of several writers: each lie has its name, and no order of events leads to an accusation of a right store."""

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from stressd import scenario
from stressd.workload.contention import ContendedJudge, Shown
from stressd.workload.frames import RandomContent
from stressd.workload.ledger import ACKED, COMMIT, SLOT_CELLS, Ledger
from stressd.workload.scribble import scribble

KEY, FIRST_KEY, WRITERS = 1, 40, 3
CONTENT = RandomContent(scenario.Content(kind="random", rows=6, columns=3, names=2), 7)
NAMES = CONTENT.names


class Bench:
    """Three writers that take turns: writer w's save s is commit 3 (s - 1) + w + 1; `SAVED` are theirs by now."""

    SAVED = 4

    def __init__(self, path):
        self.ledger = Ledger.create(str(path), 2, WRITERS, run_id="run", boot_id="boot")
        self.judge = ContendedJudge(self.ledger, CONTENT, FIRST_KEY)
        self.answers = []
        for seq in range(1, self.SAVED + 1):
            for writer in range(WRITERS):
                self.save(seq, writer, self.commit(seq, writer))

    @staticmethod
    def commit(seq, writer):
        return WRITERS * (seq - 1) + writer + 1

    def begin(self, seq, writer):
        self.ledger.intent(KEY, seq, 0, writer)

    def save(self, seq, writer, commit):
        self.begin(seq, writer)
        self.ledger.ack(KEY, seq, commit, writer)

    def frames(self, seq, writer, key=FIRST_KEY + KEY):
        return CONTENT.frames(key, self.judge.version(seq, writer)).frames

    def shown(self, seq, writer, commit=None):
        return Shown(self.frames(seq, writer), self.commit(seq, writer) if commit is None else commit)

    def read(self, shown, full=True):
        known = self.judge.before(KEY)
        judged = self.judge.after(KEY, known, shown, full)
        if judged.suspect:
            judged = self.judge.confirm(KEY, known, judged, self.reread, lambda pause_s: None)
            assert not judged.suspect
        return judged

    def reread(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "contended")
    yield bench
    bench.ledger.close()


# --- Right answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [True, False])
def test_the_newest_commit_is_right_and_measured(bench, full):
    made = CONTENT.frames(FIRST_KEY + KEY, bench.judge.version(4, 2))
    judged = bench.read(bench.shown(4, 2), full)
    assert (judged.kind, judged.rows, judged.payload_bytes) == (None, made.rows, made.payload_bytes)
    assert judged.cells == (2 * 6 * 4 if full else 0)
    assert bench.judge.of_version(judged.seq) == (4, 2)
    assert bench.ledger.newest_seen(KEY) == 12 + 1


def test_a_save_in_flight_may_show_with_any_number_above_the_acknowledged(bench):
    bench.begin(5, 0)
    assert bench.read(bench.shown(4, 2)).kind is None
    assert bench.read(bench.shown(5, 0, 13)).kind is None


def test_a_save_of_unknown_outcome_may_show_until_its_writers_next_one(bench):
    bench.begin(5, 1)
    bench.ledger.unknown(KEY, 5, 1)
    assert bench.read(bench.shown(5, 1, 13)).kind is None
    bench.save(6, 1, 14)
    bench.answers = [bench.shown(6, 1, 14)]
    assert bench.read(bench.shown(5, 1, 13)).kind == "stale"


def test_a_key_that_nobody_saved_may_be_missing(bench):
    assert bench.judge.after(0, bench.judge.before(0), None).kind is None


def test_a_number_that_stands_there_before_its_sequence_accuses_nobody(bench):
    bench.begin(5, 2)
    bench.ledger.slots[bench.ledger.at(KEY, 2) + COMMIT] = 13 + 1  # its sequence is not yet acknowledged
    assert bench.ledger.slots[bench.ledger.at(KEY, 2) + ACKED] == 4
    assert bench.read(bench.shown(5, 2, 13)).kind is None


# --- Lies about content ----------------------------------------------------------------------------


def test_content_lies_are_called_by_their_names(bench):
    def read(change):
        frames = bench.frames(4, 2)
        change(frames)
        return bench.read(Shown(frames, 12)).kind

    def flip(frames):
        cells = frames[NAMES[1]]["c1"].to_numpy(copy=True)
        cells.view(np.int64)[3] ^= 1 << 40
        frames[NAMES[1]]["c1"] = cells

    def mix(frames):
        other = bench.frames(4, 0)[NAMES[0]]
        frames[NAMES[0]] = pd.concat([frames[NAMES[0]][:3], other[3:]], ignore_index=True)

    assert read(flip) == "corrupt"
    assert read(mix) == "torn"
    assert read(lambda frames: frames.update({NAMES[0]: frames[NAMES[0]].drop(columns="c1")})) == "schema"
    assert read(lambda frames: scribble(frames, random.Random(1))) == "aliased"
    assert read(lambda frames: frames.update({NAMES[1]: bench.frames(4, 1)[NAMES[1]]})) == "fractured"
    assert read(lambda frames: frames.pop(NAMES[1])) == "fractured"
    assert read(dict.clear) == "fractured"
    assert read(lambda frames: frames.update(bench.frames(4, 2, key=FIRST_KEY))) == "phantom"
    assert read(lambda frames: frames.update(bench.frames(5, 2))) == "phantom"


def test_a_save_that_failed_is_a_phantom_when_it_shows(bench):
    bench.begin(5, 0)
    bench.ledger.fail(KEY, 5, 0)
    assert bench.read(bench.shown(5, 0, 13)).kind == "phantom"


# --- Lies about order ------------------------------------------------------------------------------


@pytest.mark.parametrize("older", [(4, 1), (4, 0), (3, 2)])
def test_an_older_commit_is_stale_when_the_newer_one_is_there(bench, older):
    bench.answers = [bench.shown(4, 2)]
    judged = bench.read(bench.shown(*older))
    assert judged.kind == "stale", judged


def test_old_content_under_a_new_number_is_stale(bench):
    bench.answers = [bench.shown(4, 2)]
    assert bench.read(bench.shown(3, 2, 12)).kind == "stale"


@pytest.mark.parametrize("shown", [(4, 1), None], ids=["older", "nothing"])
def test_an_acknowledged_commit_that_never_shows_is_lost_and_reported_once(bench, shown):
    shown = bench.shown(*shown) if shown else None
    bench.answers = [shown]
    assert bench.read(shown).kind == "lost"
    assert bench.read(shown).kind is None
    bench.save(5, 0, 13)
    bench.answers = [bench.shown(5, 0)]
    assert bench.read(bench.shown(4, 1)).kind == "stale"


def test_nothing_is_called_lost_without_an_answer(bench):
    bench.answers = [ConnectionError("no answer")]
    assert bench.read(bench.shown(4, 1)).kind == "stale"


def test_a_re_read_that_is_wrong_itself_proves_nothing(bench):
    frames = bench.frames(4, 2)
    frames.pop(NAMES[0])
    bench.answers = [Shown(frames, 12)]
    assert bench.read(bench.shown(4, 1)).kind == "lost"


def test_back_behind_a_commit_that_was_seen_in_flight_is_non_monotonic(bench):
    bench.begin(5, 0)
    assert bench.read(bench.shown(5, 0, 13)).kind is None
    assert bench.read(bench.shown(4, 2)).kind == "non_monotonic"


def test_a_read_that_began_before_the_newer_one_was_seen_is_right(bench):
    known = bench.judge.before(KEY)
    bench.begin(5, 0)
    assert bench.read(bench.shown(5, 0, 13)).kind is None
    assert bench.judge.after(KEY, known, bench.shown(4, 2)).kind is None


def test_older_content_under_the_newest_number_is_stale(bench):
    bench.answers = [bench.shown(4, 2)]
    assert bench.read(bench.shown(4, 0, 12)).kind == "stale"


def test_the_number_of_another_save_is_a_phantom(bench):
    bench.begin(5, 0)
    judged = bench.read(bench.shown(5, 0, 12))
    assert (judged.kind, "writer 2 was acknowledged as commit 12" in judged.detail) == ("phantom", True)


def test_a_number_below_the_saves_own_is_a_phantom(bench):
    known = bench.judge.before(KEY)
    bench.save(5, 0, 14)
    judged = bench.judge.after(KEY, known, bench.shown(5, 0, 13))
    assert (judged.kind, "acknowledged as commit 14" in judged.detail) == ("phantom", True)


def test_a_store_may_have_commits_of_its_own_between_saves(bench):
    assert bench.read(bench.shown(4, 2, 14)).kind is None
    bench.save(5, 0, 17)
    assert bench.read(bench.shown(5, 0, 17)).kind is None
    assert bench.read(bench.shown(5, 0, 18)).kind is None


def test_one_number_for_two_saves_is_a_lost_one(bench):
    known = bench.judge.before(KEY)
    bench.save(5, 0, 13)
    assert bench.judge.acknowledged(KEY, 0, known, 13).kind is None
    bench.save(5, 1, 13)
    assert bench.judge.acknowledged(KEY, 1, known, 13).kind == "lost"


@pytest.mark.parametrize("commit", [12, 11, 0])
def test_a_save_may_not_be_numbered_below_what_had_been_acknowledged(bench, commit):
    known = bench.judge.before(KEY)
    bench.save(5, 2, commit)
    assert bench.judge.acknowledged(KEY, 2, known, commit).kind in ("lost", "non_monotonic")
    assert bench.judge.acknowledged(KEY, 2, known, 8).kind == "non_monotonic"


# --- Interleavings ---------------------------------------------------------------------------------


class AccusedError(Exception):
    pass


class Interleavings(RuleBasedStateMachine):
    """Three writers and three readers of one key of a store that serialises its commits; `broken` ones do not."""

    folder: str
    broken: str

    @initialize()
    def begin(self):
        self.ledger = Ledger.create(f"{self.folder}/ledger", 1, WRITERS, run_id="r", boot_id="b")
        self.judges = [ContendedJudge(self.ledger, CONTENT) for _ in range(WRITERS)]
        self.history = []  # the version of each commit
        self.seqs = [0] * WRITERS
        self.saving = {}  # writer -> [known before, commit once it took effect, acknowledged number half stored]
        self.reading = {}  # reader -> [known before, what the store answered]

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()

    def assert_right(self, judged):
        if judged.kind is not None or judged.suspect:
            raise AccusedError(judged)

    @rule(writer=st.integers(0, WRITERS - 1))
    def a_save_begins(self, writer):
        if writer in self.saving:
            return
        known = self.judges[writer].before(0)
        self.seqs[writer] += 1
        self.ledger.intent(0, self.seqs[writer], 0, writer)
        self.saving[writer] = [known, None, False]

    @precondition(lambda self: self.saving)
    @rule(data=st.data())
    def it_takes_effect(self, data):
        writer = data.draw(st.sampled_from(sorted(self.saving)))
        if self.saving[writer][1] is not None:
            return
        version = self.judges[0].version(self.seqs[writer], writer)
        if self.broken == "loses updates" and self.history and data.draw(st.booleans()):
            self.history[-1] = version  # both read the same number and wrote the next
        elif self.broken != "forgets" or not data.draw(st.booleans()):
            self.history.append(version)
        else:
            self.history.append(self.history[-1] if self.history else version)
        self.saving[writer][1] = len(self.history)

    @precondition(lambda self: any(commit for _, commit, _ in self.saving.values()))
    @rule(data=st.data())
    def its_number_is_stored_or_its_sequence_after_it(self, data):
        writer = data.draw(st.sampled_from([w for w, (_, commit, _) in sorted(self.saving.items()) if commit]))
        known, commit, half = self.saving[writer]
        if not half:
            self.ledger.slots[self.ledger.at(0, writer) + COMMIT] = commit + 1
            self.saving[writer][2] = True
            return
        self.ledger.ack(0, self.seqs[writer], commit, writer)
        del self.saving[writer]
        self.assert_right(self.judges[writer].acknowledged(0, writer, known, commit))

    @precondition(lambda self: any(not half for _, _, half in self.saving.values()))
    @rule(data=st.data())
    def nobody_knows_how_it_ended(self, data):
        writer = data.draw(st.sampled_from([w for w, (_, _, half) in sorted(self.saving.items()) if not half]))
        self.ledger.unknown(0, self.seqs[writer], writer)
        del self.saving[writer]

    @precondition(lambda self: any(commit is None for _, commit, _ in self.saving.values()))
    @rule(data=st.data())
    def it_is_rejected(self, data):
        writer = data.draw(st.sampled_from([w for w, (_, commit, _) in sorted(self.saving.items()) if commit is None]))
        self.ledger.fail(0, self.seqs[writer], writer)
        del self.saving[writer]

    @rule(reader=st.integers(0, WRITERS - 1))
    def a_reader_begins(self, reader):
        if reader not in self.reading:
            self.reading[reader] = [self.judges[reader].before(0), None]

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def the_store_answers(self, data):
        reader = data.draw(st.sampled_from(sorted(self.reading)))
        newest = len(self.history)
        if self.broken == "serves old" and newest > 1:
            newest = data.draw(st.integers(1, newest))
        self.reading[reader][1] = (newest, self.history[newest - 1] if newest else None)

    @precondition(lambda self: any(answer for _, answer in self.reading.values()))
    @rule(data=st.data(), full=st.booleans())
    def a_reader_judges(self, data, full):
        reader = data.draw(st.sampled_from([r for r, (_, answer) in sorted(self.reading.items()) if answer]))
        known, (commit, version) = self.reading.pop(reader)
        shown = None if version is None else Shown(CONTENT.frames(0, version).frames, commit)
        self.assert_right(self.judges[reader].after(0, known, shown, full))


def machine(folder, broken):
    return type("Interleavings", (Interleavings,), {"folder": str(folder), "broken": broken})


def test_a_store_that_serialises_its_commits_is_never_accused(tmp_path):
    run_state_machine_as_test(machine(tmp_path, ""), settings=settings(max_examples=150, stateful_step_count=60))


@pytest.mark.parametrize("broken", ["loses updates", "forgets", "serves old"])
def test_a_store_that_does_not_is_accused(tmp_path, broken):
    found_is_enough = settings(max_examples=1000, stateful_step_count=60, phases=[Phase.generate], database=None)
    with pytest.raises(AccusedError):
        run_state_machine_as_test(machine(tmp_path, broken), settings=found_is_enough)


def test_a_slot_of_each_writer_is_its_own(bench):
    slots = bench.ledger.slots
    assert [slots[bench.ledger.at(KEY, writer) + ACKED] for writer in range(WRITERS)] == [bench.SAVED] * WRITERS
    assert bench.ledger.at(KEY, 1) - bench.ledger.at(KEY, 0) == SLOT_CELLS

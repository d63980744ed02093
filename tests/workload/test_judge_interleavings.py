"""No order of events in which a store keeps its claims leads to an accusation.

A machine plays one owner, its crashes, and three readers against a store that keeps exactly what it claims, and no
more: a save takes effect at any moment between its start and its end, a read returns what its claim allows at any
moment between its own. The judge must find nothing wrong, whichever way the pieces of these interleave.
"""

from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stressd import scenario
from stressd.targets.protocol import Guarantees
from stressd.workload.frames import RandomContent
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger, Outcome

KEY = 0
READERS = 3
BOUND_S = 3
SECOND_NS = 10**9
CONTENT = RandomContent(scenario.Content(kind="random", rows=(1, 2), columns=1, names=2), 7)
NAMES = CONTENT.names


class AccusedError(Exception):
    pass


class CorrectStore:
    """Keeps what `guarantees` claim. `history[name]` are the (time, sequence) at which each value took effect."""

    def __init__(self, guarantees):
        self.guarantees = guarantees
        self.now = 0
        self.history = {name: [(0, 0)] for name in NAMES}

    def apply(self, name, seq):
        self.history[name].append((self.now, seq))

    def allowed(self, name, own):
        """The sequences that a read of the name may return at this moment; `own`: by the session that saves."""
        history = self.history[name]
        reads = self.guarantees.reads
        if reads == "latest" or (reads == "session" and own):
            return [history[-1][1]]
        if reads == "bounded":
            horizon = self.now - BOUND_S * SECOND_NS
            start = max(i for i, (when, _) in enumerate(history) if when <= max(horizon, 0))
            return [seq for _, seq in history[start:]]
        return [seq for _, seq in history]


class Interleavings(RuleBasedStateMachine):
    reads: str
    kept: str
    folder: str

    @initialize(atomic=st.booleans(), late_writes=st.booleans())
    def begin(self, atomic, late_writes):
        bound_s = BOUND_S if self.reads == "bounded" else 0
        self.guarantees = Guarantees(self.reads, bound_s, atomic, late_writes)
        self.ledger = Ledger.create(f"{self.folder}/ledger", 1, run_id="r", boot_id="b")
        self.store = CorrectStore(replace(self.guarantees, reads=self.kept))
        self.owner = self.new_judge(owned=[KEY])
        self.judges = [self.new_judge() for _ in range(READERS)]
        self.open_reads = {}
        self.seq = 0
        self.saving = None  # the sequence of the save under way
        self.pending = []  # the names of it that have not yet taken effect
        self.ended = None  # how it ended in the store, while the owner has not yet recorded it
        self.unresolved = False
        self.lost_writes = []  # (name, sequence) that may still land, where late writes are claimed
        self.retired = False

    def new_judge(self, **options):
        return Judge(self.ledger, CONTENT, self.guarantees, clock_ns=lambda: self.store.now, **options)

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()

    # --- What a read returns -------------------------------------------------------------------------

    def sample(self, draw, own=False, names=NAMES):
        """The sequences that one read of all names finds at this moment."""
        if self.guarantees.atomic_groups:
            seq = draw(self.store.allowed(NAMES[0], own))
            return dict.fromkeys(names, seq)
        return {name: draw(self.store.allowed(name, own)) for name in names}

    @staticmethod
    def frames(seqs):
        if not all(seqs.values()):
            return None
        return {name: CONTENT.frame(KEY, name, seq) for name, seq in seqs.items()}

    @staticmethod
    def assert_right(judged):
        if judged.kind is not None or judged.suspect:
            raise AccusedError(judged)

    # --- The owner -----------------------------------------------------------------------------------

    def may_save(self):
        return self.saving is None and not self.unresolved and not self.retired

    @precondition(may_save)
    @rule(data=st.data(), full=st.booleans())
    def owner_reads_its_key_and_starts_a_save(self, data, full):
        note = self.owner.before(KEY)
        seqs = self.sample(lambda allowed: data.draw(st.sampled_from(allowed)), own=True)
        self.assert_right(self.owner.after(KEY, note, self.frames(seqs), full))
        self.seq += 1
        self.ledger.intent(KEY, self.seq, CONTENT.frames(KEY, self.seq).total)
        self.saving, self.pending, self.ended = self.seq, list(NAMES), None

    @precondition(lambda self: self.saving and self.pending and not self.ended)
    @rule(data=st.data())
    def the_save_takes_effect(self, data):
        names = list(self.pending)
        if not self.guarantees.atomic_groups:
            names = [data.draw(st.sampled_from(names))]
        for name in names:
            self.store.apply(name, self.saving)
            self.pending.remove(name)

    @precondition(lambda self: self.saving and not self.ended)
    @rule()
    def the_store_acknowledges(self):
        for name in self.pending:
            self.store.apply(name, self.saving)
        self.pending = []
        self.ended = "acked"

    @precondition(lambda self: self.saving and not self.ended and len(self.pending) == len(NAMES))
    @rule()
    def the_store_rejects(self):
        self.ended = "failed"

    @precondition(lambda self: self.saving and not self.ended)
    @rule()
    def the_save_raises_and_nobody_knows(self):
        self.ended = "unknown"

    @precondition(lambda self: self.ended)
    @rule()
    def the_owner_records_how_it_ended(self):
        if self.ended == "acked":
            self.ledger.ack(KEY, self.saving, self.saving)
        elif self.ended == "failed":
            self.ledger.fail(KEY, self.saving)
        else:
            self.ledger.unknown(KEY, self.saving)
            self.leave_behind()
        self.saving = self.ended = None

    @precondition(lambda self: self.saving)
    @rule()
    def the_owner_is_killed(self):
        self.leave_behind()
        self.saving = self.ended = None
        self.owner = self.new_judge(owned=[KEY])

    def leave_behind(self):
        """A save of unknown outcome: what has not landed never will, but where late writes are claimed."""
        self.unresolved = True
        if self.guarantees.late_writes and self.ended != "failed":
            self.lost_writes = [(name, self.saving) for name in self.pending]
            self.retired = True
            self.ledger.retire(KEY)

    @precondition(lambda self: self.lost_writes)
    @rule()
    def a_late_write_lands(self):
        names = len(self.lost_writes) if self.guarantees.atomic_groups else 1
        for name, seq in self.lost_writes[:names]:
            self.store.apply(name, seq)
        del self.lost_writes[:names]

    @precondition(lambda self: self.unresolved and not self.retired)
    @rule(data=st.data())
    def the_owner_resolves(self, data):
        def reread():
            return self.frames(self.sample(lambda allowed: data.draw(st.sampled_from(allowed)), own=True))

        resolution = self.owner.resolve(KEY, reread, lambda pause_s: None)
        self.assert_right(resolution.judgement)
        if self.guarantees.reads == "latest" and self.guarantees.atomic_groups and not self.guarantees.late_writes:
            assert resolution.outcome is not Outcome.UNKNOWN
        self.unresolved = False

    # --- Readers -------------------------------------------------------------------------------------

    @rule(reader=st.integers(0, READERS - 1))
    def a_reader_begins(self, reader):
        if reader not in self.open_reads:
            self.open_reads[reader] = [self.judges[reader].before(KEY), None]

    @precondition(lambda self: self.open_reads)
    @rule(data=st.data())
    def the_store_answers_a_reader(self, data):
        reader = data.draw(st.sampled_from(sorted(self.open_reads)))
        self.open_reads[reader][1] = self.sample(lambda allowed: data.draw(st.sampled_from(allowed)))

    @precondition(lambda self: any(seqs for _, seqs in self.open_reads.values()))
    @rule(data=st.data(), full=st.booleans())
    def a_reader_judges(self, data, full):
        answered = sorted(reader for reader, (_, seqs) in self.open_reads.items() if seqs)
        reader = data.draw(st.sampled_from(answered))
        note, seqs = self.open_reads.pop(reader)
        self.assert_right(self.judges[reader].after(KEY, note, self.frames(seqs), full))

    @rule(seconds=st.integers(1, 4))
    def time_goes_on(self, seconds):
        self.store.now += seconds * SECOND_NS

    @invariant()
    def what_readers_are_held_to_was_saved(self):
        if hasattr(self, "ledger"):
            assert self.ledger.floor(KEY) <= self.ledger.newest_intent(KEY) == self.seq
            assert self.ledger.newest_seen(KEY) <= self.seq


def machine(claimed, kept, folder):
    return type("Interleavings", (Interleavings,), {"reads": claimed, "kept": kept, "folder": str(folder)})


@pytest.mark.parametrize("reads", ["latest", "session", "bounded", "eventual"])
def test_a_store_that_keeps_its_claims_is_never_accused(reads, tmp_path):
    more = settings(max_examples=60, stateful_step_count=60)
    run_state_machine_as_test(machine(reads, reads, tmp_path), settings=more)


@pytest.mark.parametrize(("claimed", "kept"), [("latest", "session"), ("latest", "eventual"), ("session", "eventual")])
def test_a_store_that_keeps_less_than_it_claims_is_accused(claimed, kept, tmp_path):
    found_is_enough = settings(max_examples=1000, stateful_step_count=60, phases=[Phase.generate], database=None)
    with pytest.raises(AccusedError):
        run_state_machine_as_test(machine(claimed, kept, tmp_path), settings=found_is_enough)

"""Whether what a read returned is right, given what had been promised and acknowledged around it.

A lane calls `before`, reads, calls `after`, and, if that leaves a suspicion, `confirm`. With a store that
keeps its claims no order of events leads to an accusation. For claim `latest`, with L the acknowledged and M
the newest seen sequence taken before the read, U the newest intent taken after it, and s what the read
returned:

- *A save begins while the read runs.* Its intent is in the ledger before the save starts, and U is taken
  after the read ended, so s ≤ U whichever value the read found.
- *A save is acknowledged while the read runs.* L was taken before, so it is the older one, and both values
  are allowed.
- *A save was acknowledged before the read began* but the owner has not stored it yet: L is too small, which
  allows more.
- *Two reads overlap a save.* The first to end may have seen the new value and the second, which began before
  that end, the old one: M is stored after a read ended and taken before a read begins, so only reads in
  succession are compared.
- *A save fails* for certain: the owner stores its bit after `save` raised, when a right store shows its value
  to nobody, before or after. Bits of older sequences are cleared before their place is used again, and read
  before the intent.
  So if M is of a save that failed later, it was a phantom when it was seen, and is told as one.
- *A save's outcome is unknown.* s may be it or L, until the owner has read and decided; the value it did not
  find counts as failed from then on. What a reader saw before is in M, so that flipping back is found.
- *A process is killed between two stores.* Before the intent: nothing was saved. After it: unknown. Between
  commit and `acked_seq`: L is too small.
- *A cell of M is overwritten by a slower reader.* M is too small, which allows more.
- *A save is lost, and confirmed to be.* It is excused: readers are held to nothing until the next
  acknowledged one.
- *A save is acknowledged with a commit number.* The owner alone compares it with the one before, both from this store.
- *A reader confirms while the owner goes on.* The owner reads L before it saves anything newer: either it saw L,
  which is in M, or it found it lost, which is in the excuse.

A weaker claim moves the bounds: `session` holds a reader to what its own lane saw acknowledged since it
began, `bounded` to what this lane knew to be acknowledged that long ago, `eventual` to nothing; none of them
to M.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from stressd.targets.protocol import Guarantees
from stressd.workload.frames import Content, names_total, size_of
from stressd.workload.inspection import WINDOW_BEFORE, Finding, Inspector
from stressd.workload.ledger import ACKED, COMMIT, FAILED, KEY_CELLS, MASK, SLOT_CELLS, SUM, Ledger, Outcome

Note = tuple[int, int]
Reread = Callable[[], Mapping[str, Any] | None]

CONFIRM_PAUSES_S: Final = (0.0, 0.01, 0.05, 0.2)
_REMEMBERED_MOST: Final = 32
_BY_WEIGHT: Final = ("schema", "aliased", "torn", "corrupt", "phantom", "fractured")


class Judgement(NamedTuple):
    """What a read was. `kind` is one of `metrics.VIOLATIONS`, or None if nothing is wrong.

    `suspect`: it is older than what had been acknowledged; `confirm` says whether that is `stale` or `lost`.
    `seq` is the oldest sequence among the names, `newest` the newest; rows, payload bytes and cells compared
    are over all names.
    """

    kind: str | None = None
    suspect: bool = False
    seq: int = 0
    newest: int = 0
    rows: int = 0
    payload_bytes: int = 0
    cells: int = 0
    detail: str = ""


class Resolution(NamedTuple):
    """What became of a save of unknown outcome: ACKED, FAILED, or still UNKNOWN; and the judgement of the read."""

    outcome: Outcome
    judgement: Judgement


RIGHT: Final = Judgement()


class Judge:
    """Judges one lane's reads. For one thread. Without content (a target that stores nothing) only the ledger is read.

    `owned` are the keys that this lane saves.
    """

    def __init__(
        self,
        ledger: Ledger,
        content: Content | None,
        guarantees: Guarantees,
        *,
        owned: Iterable[int] = (),
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if ledger.writers != 1:
            raise ValueError(f"{ledger.path}: {ledger.writers} writers a key; the judge knows keys of one writer")
        self._ledger = ledger
        self._slots, self._marks = ledger.slots, ledger.marks
        self._content = content
        self._names = content.names if content is not None else ()
        self._inspector = Inspector(content) if content is not None else None
        self._atomic = guarantees.atomic_groups
        self._definite = guarantees.reads == "latest" and not guarantees.late_writes
        self._bound_ns = int(guarantees.bound_s * 1e9)
        self._clock_ns = clock_ns
        self._at_start = {key: ledger.slot(key).acked_seq for key in owned}
        self._remembered: dict[int, deque[tuple[int, int]]] = {}
        self.before: Callable[[int], Note] = {
            "latest": self._before_latest,
            "session": self._before_session,
            "bounded": self._before_bounded,
            "eventual": self._before_eventual,
        }[guarantees.reads]

    @property
    def cells_ns(self) -> tuple[int, int]:
        """The time spent on comparing cells so far, and the processor time of it."""
        inspector = self._inspector
        return (inspector.cells_ns, inspector.cells_cpu_ns) if inspector is not None else (0, 0)

    # --- Before the read: what it is held to -----------------------------------------------------

    def _before_latest(self, key: int) -> Note:
        return self._slots[key * SLOT_CELLS + ACKED], self._marks[key * KEY_CELLS]

    def _before_session(self, key: int) -> Note:
        acked = self._slots[key * SLOT_CELLS + ACKED]
        return (acked if acked > self._at_start.get(key, acked) else 0), 0

    def _before_eventual(self, key: int) -> Note:  # noqa: ARG002 - one of four, alike
        return 0, 0

    def _before_bounded(self, key: int) -> Note:
        """Hold the read to the newest sequence that this lane met in the ledger at least the bound ago."""
        now = self._clock_ns()
        acked = self._slots[key * SLOT_CELLS + ACKED]
        met = self._remembered.setdefault(key, deque([(now, 0)]))
        if acked > met[-1][1] and len(met) < _REMEMBERED_MOST:  # full: it is noticed later, which allows more
            met.append((now, acked))
        while len(met) > 1 and met[1][0] <= now - self._bound_ns:
            met.popleft()
        first, floor = met[0]
        return (floor if first <= now - self._bound_ns else 0), 0

    # --- After the read --------------------------------------------------------------------------

    def after(self, key: int, note: Note, frames: Mapping[str, Any] | None, full: bool = True) -> Judgement:
        """Judge what the read returned, None for a KeyError. `full`: every cell; else columns, rows and stamps."""
        at = key * SLOT_CELLS
        intent = self._slots[at]  # before anything else: it must not be newer than need be
        if self._inspector is None:
            return RIGHT
        if frames is None:
            return self._held(key, note, RIGHT)
        found = self._fast(key, intent, frames, full)
        if found is None:
            found = self._slow(key, intent, frames)
            if found.kind is not None:
                return found
        elif self._slots[at + FAILED] and self._has_failed(key, found.seq):
            return found._replace(kind="phantom", detail=f"save {found.seq} had failed")
        held = self._held(key, note, found)
        if held is found and found.seq > self._marks[key * KEY_CELLS]:
            self._marks[key * KEY_CELLS] = found.seq
        return held

    def _fast(self, key: int, intent: int, frames: Mapping[str, Any], full: bool) -> Judgement | None:
        """Return the judgement if all names are right and of one begun save; None asks for a closer look."""
        inspector, content = self._inspector, self._content
        assert inspector is not None and content is not None  # noqa: S101, PT018 - for the type checker
        looked = inspector.look(frames)
        if looked is None or not 0 < (seq := inspector.seq_of(looked)) <= intent:
            return None
        if not inspector.right(frames, looked, key, seq, full):
            return None
        rows, payload_bytes, compared = size_of(content, content.shapes(key, seq))
        return Judgement(None, False, seq, seq, rows, payload_bytes, compared if full else 0)

    def _slow(self, key: int, intent: int, frames: Mapping[str, Any]) -> Judgement:
        findings = {name: self._examined(key, name, intent, frames) for name in self._names}
        for kind in _BY_WEIGHT:
            for finding in findings.values():
                if finding.kind == kind:
                    return Judgement(kind, False, finding.seq, finding.seq, detail=finding.detail)
        oldest = min(finding.seq for finding in findings.values())
        newest = max(finding.seq for finding in findings.values())
        if self._atomic and oldest != newest:
            told = ", ".join(f"{name} {finding.seq}" for name, finding in findings.items())
            return Judgement("fractured", False, oldest, newest, detail=f"saves of one read: {told}")
        return self._measured(key, {name: finding.seq for name, finding in findings.items()})

    def _examined(self, key: int, name: str, intent: int, frames: Mapping[str, Any]) -> Finding:
        if name not in frames:
            return Finding("fractured", 0, f"{name}: not there, though other names are")
        assert self._inspector is not None  # noqa: S101 - for the type checker
        around = (self._slots[key * SLOT_CELLS + ACKED], intent)
        likely = [seq for newest in around for seq in range(max(1, newest - WINDOW_BEFORE), newest + 1)]
        finding = self._inspector.examine(frames[name], name, key, likely)
        if finding.kind is not None:
            return finding
        if not 0 < finding.seq <= intent:
            return Finding("phantom", finding.seq, f"{name}: save {finding.seq}, but only {intent} were begun")
        if self._has_failed(key, finding.seq):
            return Finding("phantom", finding.seq, f"{name}: save {finding.seq} had failed")
        return finding

    def _measured(self, key: int, seqs: Mapping[str, int]) -> Judgement:
        assert self._content is not None  # noqa: S101 - for the type checker
        shapes = {name: self._content.shapes(key, seq)[name] for name, seq in seqs.items()}
        return Judgement(None, False, min(seqs.values()), max(seqs.values()), *size_of(self._content, shapes))

    def acknowledged(self, key: int, seq: int, commit: int | None) -> Judgement:
        """Judge the commit number that a save was acknowledged with, before the ledger has it: a key's numbers grow."""
        last = self._slots[key * SLOT_CELLS + COMMIT]  # plus one; 0 is none
        if commit is None or (isinstance(commit, int) and last <= commit < MASK):
            return RIGHT
        after = f", and the one before it as commit {last - 1}" if last else ""
        detail = f"save {seq} was acknowledged as commit {commit!r}{after} (a store without such numbers returns None)"
        return Judgement("non_monotonic", seq=seq, detail=detail)

    def _has_failed(self, key: int, seq: int) -> bool:
        outcome = self._ledger.outcome
        return outcome(key, seq) is Outcome.FAILED and outcome(key, seq) is Outcome.FAILED  # looked at twice

    def _held(self, key: int, note: Note, found: Judgement) -> Judgement:
        """Hold an otherwise right read to what had been acknowledged and seen before it began."""
        acked, seen = note
        if found.seq >= acked and found.seq >= seen:
            return found
        excused = self._ledger.excused(key)
        if found.seq < acked and excused < acked:
            return found._replace(suspect=True, detail=f"save {found.seq}, but {acked} had been acknowledged")
        if found.seq < seen and excused < seen:
            return self._behind_what_was_seen(key, seen, found)
        return found

    def _behind_what_was_seen(self, key: int, seen: int, found: Judgement) -> Judgement:
        """Name a read that is older than an earlier one; unless that one was wrong: of a save that failed later."""
        if not self._has_failed(key, seen):
            return found._replace(kind="non_monotonic", detail=f"save {found.seq}, but {seen} had been seen")
        self._ledger.excuse(key, seen)  # it is reported; nobody is held to it any more
        return found._replace(kind="phantom", detail=f"save {seen} had failed, but had been seen before it did")

    # --- When something is missing ---------------------------------------------------------------

    def confirm(
        self,
        key: int,
        note: Note,
        judged: Judgement,
        reread: Reread,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Judgement:
        """Turn a suspicion into `stale` (the acknowledged save was seen, some time) or `lost` (it never was).

        `reread` reads the key round every cache and returns None for a KeyError; what else it raises is no
        answer, and without an answer nothing is called lost. `sleep` is called with seconds, a quarter of a
        second in all.
        """
        acked, answers = note[0], 0
        for pause_s in CONFIRM_PAUSES_S:
            sleep(pause_s)
            try:
                frames = reread()
            except Exception:  # noqa: BLE001, S112 - a store in trouble may raise anything; this is no answer
                continue
            answers += 1
            if self._right_seq(key, frames) >= acked:
                return self._stale(key, acked, judged)
        if not answers or self._ledger.newest_seen(key) >= acked:
            return self._stale(key, acked, judged)
        if self._ledger.excused(key) >= acked:
            return judged._replace(suspect=False)
        self._ledger.excuse(key, acked)
        return judged._replace(kind="lost", suspect=False)

    def _stale(self, key: int, acked: int, judged: Judgement) -> Judgement:
        """Return `stale`, unless the save was found lost meanwhile and replaced by the next one."""
        kind = None if self._ledger.excused(key) >= acked else "stale"
        return judged._replace(kind=kind, suspect=False)

    def _right_seq(self, key: int, frames: Mapping[str, Any] | None) -> int:
        """Return the save that the frames are of, 0 if they are not right."""
        intent = self._slots[key * SLOT_CELLS]
        if frames is None:
            return 0
        found = self._fast(key, intent, frames, full=True) or self._slow(key, intent, frames)
        return 0 if found.kind else found.seq

    def resolve(self, key: int, reread: Reread, sleep: Callable[[float], None] = time.sleep) -> Resolution:
        """Decide, as the key's owner, what became of its newest save, by reading: it is there, or it never will be.

        To be called when its process is reaped, or `save` raised. UNKNOWN remains where the value is damaged,
        or of mixed saves where groups are not atomic, or where reads are not `latest`: then both values stay
        allowed, and the next save settles it. With late writes too, but there the next save could be
        overtaken: the key is to be retired. What `reread` raises goes through; it returns None for a
        KeyError.
        """
        slots, at = self._slots, key * SLOT_CELLS
        intent, acked = slots[at], slots[at + ACKED]
        note = self.before(key)
        frames = reread()
        judged = self.after(key, note, frames)
        if judged.suspect:
            judged = self.confirm(key, note, judged, reread, sleep)
        known = self._ledger.outcome(key, intent)
        if intent == acked or known is Outcome.FAILED:
            return Resolution(known, judged)
        if self._definite and judged.kind in (None, "non_monotonic", "lost"):
            return self._decided(key, intent, frames, judged)
        self._ledger.unknown(key, intent)
        return Resolution(Outcome.UNKNOWN, judged)

    def _decided(self, key: int, intent: int, frames: Mapping[str, Any] | None, judged: Judgement) -> Resolution:
        if frames is not None and judged.seq == intent:
            if self._stamped_total(frames) != self._slots[key * SLOT_CELLS + SUM]:
                self._ledger.unknown(key, intent)
                corrupt = judged._replace(kind="corrupt", detail=f"save {intent} is not what was meant to be saved")
                return Resolution(Outcome.UNKNOWN, corrupt)
            self._ledger.ack(key, intent)
            return Resolution(Outcome.ACKED, judged)
        partly = judged.newest == intent or (frames is None and not self._atomic)  # names there may be, but not all
        if partly:
            self._ledger.unknown(key, intent)
            return Resolution(Outcome.UNKNOWN, judged)
        self._ledger.fail(key, intent)
        if judged.kind == "non_monotonic":
            self._ledger.excuse(key, intent)  # it is reported; readers saw it and must not report it each
        return Resolution(Outcome.FAILED, judged)

    def _stamped_total(self, frames: Mapping[str, Any]) -> int:
        return names_total([int(frames[name]["_sum"].iloc[0]) for name in self._names])

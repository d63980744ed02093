"""Keys that several lanes save to: whether a read of one is right, judged by the store's own commit numbers.

A key of one writer is judged by its sequence. With several writers nobody but the store knows the order of their
saves, so it is asked for it: `save` returns the number of its commit, and a read tells the number of the commit that it
shows. Numbers of one key grow with time: a save that began after another was acknowledged has the higher number.

The ledger is one of several writers, a slot for each (key, writer). A key's two own cells hold commits plus one: the
newest that any reader has seen, and the newest that is known to be lost. What a save holds is the content of its
`version`, sequence × writers + writer: one number that says both.

With F the highest commit in any writer's slot and M the newest seen, both taken before a read, I the intents, taken
after it, and c the commit of what the read shows, a right store is never accused:

- *Saves race.* Each stores its commit after the store acknowledged it. F may miss the newest, which allows more.
- *A commit stands in its slot before its sequence does.* F is of commits alone, and each of them was acknowledged. What
  commit a version has is only asked where no newer intent of its writer stands there afterwards.
- *A save in flight shows.* Its version is within I; its number is what the read says.
- *A save is overtaken before it is acknowledged.* Its number, once stored, is below the other's, so F is the other's.
- *Nobody knows how a save ended.* It may show, with whatever number, until its writer's next one is acknowledged.
- *The store commits something of its own.* Numbers between those of saves may show the save before them.
- *Two reads overlap a save.* Only reads in succession are compared, by M.

Reads are held to this where the store claims `latest` and groups saved as one; a target that claims less, or has no
commit numbers, has no contended keys.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from stressd.workload.frames import Content, size_of
from stressd.workload.inspection import Finding, Inspector
from stressd.workload.judge import CONFIRM_PAUSES_S, RIGHT, Judgement
from stressd.workload.ledger import ACKED, COMMIT, INTENT, SLOT_CELLS, Ledger, Outcome

LIKELY_MOST: Final = 24
_BY_WEIGHT: Final = ("schema", "aliased", "torn", "corrupt", "phantom")


class Shown(NamedTuple):
    """What a read returned: the frames, and the number of the commit that saved them."""

    frames: Mapping[str, Any]
    commit: int


class Known(NamedTuple):
    """What was known before an operation began. `floor` and `seen` are commits plus one; 0 is none.

    `floor`: the newest commit acknowledged, `seen`: the newest that a reader saw, `acked`: each writer's newest
    acknowledged sequence.
    """

    floor: int
    seen: int
    acked: tuple[int, ...]


Reread = Callable[[], Shown | None]


class ContendedJudge:
    """Judges one lane's reads and saves of contended keys. For one thread.

    Keys are those of the ledger, from 0; `first_key` is what the content and the group's name call the first one.
    """

    def __init__(self, ledger: Ledger, content: Content, first_key: int = 0) -> None:
        self._ledger = ledger
        self._content = content
        self._first_key = first_key
        self._writers = ledger.writers
        self._stride = SLOT_CELLS * ledger.writers
        self._inspector = Inspector(content)

    @property
    def cells_ns(self) -> tuple[int, int]:
        """The time spent on comparing cells so far, and the processor time of it."""
        return self._inspector.cells_ns, self._inspector.cells_cpu_ns

    def version(self, seq: int, writer: int) -> int:
        """Return the number of the content that a save holds."""
        return seq * self._writers + writer

    def of_version(self, version: int) -> tuple[int, int]:
        """Return the sequence and the writer of a version."""
        return divmod(version, self._writers)

    def before(self, key: int) -> Known:
        """Note what an operation that begins now is held to."""
        slots = self._slots(key)
        return Known(max(slots[COMMIT::SLOT_CELLS]), self._ledger.newest_seen(key), tuple(slots[ACKED::SLOT_CELLS]))

    def _slots(self, key: int) -> list[int]:
        at = self._ledger.at(key)
        return self._ledger.slots[at : at + self._stride].tolist()

    # --- A read ----------------------------------------------------------------------------------

    def after(self, key: int, known: Known, shown: Shown | None, full: bool = True) -> Judgement:
        """Judge what a read returned, None for a KeyError. The judgement's `seq` and `newest` are versions."""
        intents = self._slots(key)[INTENT::SLOT_CELLS]
        if shown is None:
            return self._held(key, known, RIGHT, 0)
        found = self._fast(key, intents, shown.frames, full) or self._slow(key, intents, shown.frames)
        if found.kind is not None:
            return found
        seq, writer = self.of_version(found.seq)
        if self._ledger.outcome(key, seq, writer) is Outcome.FAILED:
            return found._replace(kind="phantom", detail=f"save {seq} of writer {writer} had failed")
        return self._in_order(key, known, found, shown.commit)

    def _fast(self, key: int, intents: list[int], frames: Mapping[str, Any], full: bool) -> Judgement | None:
        """Return the judgement if all names are right and of one begun save; None asks for a closer look."""
        inspector, own_key = self._inspector, self._first_key + key
        looked = inspector.look(frames)
        if looked is None or not self._begun(version := inspector.seq_of(looked), intents):
            return None
        if not inspector.right(frames, looked, own_key, version, full):
            return None
        found = self._sized(own_key, version)
        return found if full else found._replace(cells=0)

    def _slow(self, key: int, intents: list[int], frames: Mapping[str, Any]) -> Judgement:
        findings = {name: self._examined(key, name, intents, frames) for name in self._content.names if name in frames}
        for kind in _BY_WEIGHT:
            for finding in findings.values():
                if finding.kind == kind:
                    return Judgement(kind, False, finding.seq, finding.seq, detail=finding.detail)
        versions = {finding.seq for finding in findings.values()}
        if len(versions) != 1 or len(findings) < len(self._content.names):
            told = ", ".join(f"{name} {self._told(finding.seq)}" for name, finding in findings.items()) or "no name"
            return Judgement("fractured", False, min(versions, default=0), max(versions, default=0), detail=told)
        return self._sized(self._first_key + key, versions.pop())

    def _examined(self, key: int, name: str, intents: list[int], frames: Mapping[str, Any]) -> Finding:
        own_key = self._first_key + key
        finding = self._inspector.examine(frames[name], name, own_key, self._likely(intents))
        if finding.kind is None and not self._begun(finding.seq, intents):
            return Finding("phantom", finding.seq, f"{name}: {self._told(finding.seq)} was never begun")
        return finding

    def _likely(self, intents: list[int]) -> list[int]:
        """Return the newest versions of all writers, the newest last."""
        each = max(2, LIKELY_MOST // self._writers)
        likely = [
            (intent - seq, self.version(seq, writer))
            for writer, intent in enumerate(intents)
            for seq in range(max(1, intent - each + 1), intent + 1)
        ]
        return [version for _, version in sorted(likely, reverse=True)]

    def _begun(self, version: int, intents: list[int]) -> bool:
        seq, writer = self.of_version(version)
        return 0 < seq <= intents[writer]

    def _told(self, version: int) -> str:
        seq, writer = self.of_version(version)
        return f"save {seq} of writer {writer}"

    def _sized(self, own_key: int, version: int) -> Judgement:
        return Judgement(None, False, version, version, *size_of(self._content, self._content.shapes(own_key, version)))

    # --- Its order -------------------------------------------------------------------------------

    def _in_order(self, key: int, known: Known, found: Judgement, commit: int) -> Judgement:
        """Hold a version with its commit to what had been acknowledged and seen, and to what the ledger says of it."""
        seq, writer = self.of_version(found.seq)
        number, told = commit + 1, self._told(found.seq)
        if seq < known.acked[writer] and self._ledger.excused(key) < known.floor:
            detail = f"{told}, but its save {known.acked[writer]} had been acknowledged"
            return found._replace(suspect=True, detail=detail)
        held = self._held(key, known, found, number)
        if held is not found:
            return held
        wrong = self._misnumbered(key, seq, writer, number)
        if wrong is None:
            self._ledger.see(key, number)
            return found
        detail = f"{told} is shown as commit {commit}, but {wrong[1]}"
        if 0 < wrong[0] <= known.floor:
            return found._replace(suspect=True, detail=detail)
        return found._replace(kind="phantom", detail=detail)

    def _misnumbered(self, key: int, seq: int, writer: int, number: int) -> tuple[int, str] | None:
        """Return what contradicts that the commit shows this save; None if nothing does.

        A store may have commits of its own between saves, so the number may be above that of the save. First comes the
        newer save that should have been there, as commit plus one; 0 if it is only the number that is wrong.
        """
        stored = self._commits(key)
        own_seq, own = stored.pop(writer, (0, 0))
        if own_seq == seq and own > number:
            return 0, f"it was acknowledged as commit {own - 1}"
        is_known = own_seq == seq and own > 0
        for other, (other_seq, newer) in stored.items():
            if newer == number or (is_known and own < newer < number):
                whose = f"{self._told(self.version(other_seq, other))} was acknowledged as commit {newer - 1}"
                return newer if is_known else 0, whose
        return None

    def _held(self, key: int, known: Known, found: Judgement, number: int) -> Judgement:
        if number >= known.floor and number >= known.seen:
            return found
        excused, shows = self._ledger.excused(key), f"commit {number - 1}" if number else "nothing"
        if number < known.floor and excused < known.floor:
            return found._replace(suspect=True, detail=f"{shows}, but commit {known.floor - 1} had been acknowledged")
        if number < known.seen and excused < known.seen:
            return found._replace(kind="non_monotonic", detail=f"{shows}, but commit {known.seen - 1} had been seen")
        return found

    def _commits(self, key: int) -> dict[int, tuple[int, int]]:
        """Return each writer's newest acknowledged sequence and its commit plus one; not of a writer that is saving."""
        slots = self._slots(key)
        again = self._slots(key)  # intents after commits: equal ones say that the commit is this sequence's
        found = {}
        for writer in range(self._writers):
            at = writer * SLOT_CELLS
            if slots[at + ACKED] == again[at + INTENT] and slots[at + ACKED] == again[at + ACKED] != 0:
                found[writer] = slots[at + ACKED], slots[at + COMMIT]
        return found

    def confirm(
        self,
        key: int,
        known: Known,
        judged: Judgement,
        reread: Reread,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Judgement:
        """Turn a suspicion into `stale` (what was missing, or a newer save, was seen some time) or `lost`.

        `reread` reads the key round every cache and returns None for a KeyError; what else it raises is no answer, and
        without an answer nothing is called lost. `sleep` is called with seconds, a quarter of a second in all.
        """
        answers = 0
        for pause_s in CONFIRM_PAUSES_S:
            sleep(pause_s)
            try:
                shown = reread()
            except Exception:  # noqa: BLE001, S112 - a store in trouble may raise anything; this is no answer
                continue
            answers += 1
            again = self.after(key, known, shown)
            if again.kind is None and not again.suspect and again.seq:
                return self._stale(key, known, judged)
        if not answers or self._ledger.newest_seen(key) >= known.floor:
            return self._stale(key, known, judged)
        self._ledger.excuse(key, known.floor)
        return judged._replace(kind="lost", suspect=False)

    def _stale(self, key: int, known: Known, judged: Judgement) -> Judgement:
        """Return `stale`, unless what is missing was found lost meanwhile."""
        kind = None if self._ledger.excused(key) >= known.floor else "stale"
        return judged._replace(kind=kind, suspect=False)

    # --- A save ----------------------------------------------------------------------------------

    def acknowledged(self, key: int, writer: int, known: Known, commit: int) -> Judgement:
        """Judge the commit number of a save, once it stands in the ledger; `known` was noted before the save began.

        Of two saves with one number one is `lost`; a number that is not above what had been acknowledged before is
        `non_monotonic`.
        """
        number = commit + 1
        slots = self._slots(key)[COMMIT::SLOT_CELLS]
        rival = next((other for other, stored in enumerate(slots) if other != writer and stored == number), None)
        if rival is not None:
            return Judgement("lost", detail=f"both writer {writer} and writer {rival} were told commit {commit}")
        if number == known.floor:
            return Judgement("lost", detail=f"writer {writer} was told commit {commit}, which was taken already")
        if number < known.floor:
            detail = f"acknowledged as commit {commit}, though commit {known.floor - 1} had been acknowledged before"
            return Judgement("non_monotonic", detail=detail)
        return RIGHT

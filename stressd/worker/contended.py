"""A lane that also works on contended keys: those that every lane saves to, side by side with the others.

They are numbered after all other keys. Each lane is a writer of each of them, with a slot of its own in their ledger. A
save first reads and judges the key, notes what is known, writes its intent, saves, writes down the commit that the
store names, and judges that number. A save of unknown outcome stays unknown until a read shows it: another lane's may
have come over it at once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stressd.errors import TargetError
from stressd.targets.protocol import Abilities, DetailedSession, Guarantees, Session, SessionWithCommits, TargetRejected
from stressd.worker import cells
from stressd.worker.injection import inject
from stressd.worker.lane import Lane, LaneParts
from stressd.worker.record import Served
from stressd.workload.contention import ContendedJudge, Known, Shown
from stressd.workload.frames import Made
from stressd.workload.judge import Judgement
from stressd.workload.ledger import ACKED, COMMIT, Ledger, Outcome, Slot
from stressd.workload.specimen import write_specimen

Fetch = Callable[[str, bool], tuple[Shown, str]]
_now: Final = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class Contended:
    """The contended keys of a run: their ledger, and the number that content and groups know the first of them by."""

    ledger: Ledger
    first_key: int

    @property
    def keys(self) -> range:
        """Their numbers."""
        return range(self.first_key, self.first_key + self.ledger.keys)

    def acked(self, key: int) -> int:
        """Return the newest sequence that any writer's save of the key was acknowledged with; 0 if there is none."""
        ledger = self.ledger
        return max(ledger.acked(key - self.first_key, writer) for writer in range(ledger.writers))


class ContendingLane(Lane):
    """The operations of one thread, on contended keys too. TargetError for a session that names no commits."""

    def __init__(self, parts: LaneParts, contended: Contended) -> None:
        super().__init__(parts)
        if parts.content is None:
            raise TargetError("contended_keys: the target stores nothing; leave them out")
        self._contended, self._writer, self._made_by = contended, parts.number, parts.content
        self._their_ledger = contended.ledger
        self._their_judge = ContendedJudge(contended.ledger, parts.content, contended.first_key)
        self._show = fetch_with_commit(parts.session, list(parts.names))
        keys = contended.keys
        self.save_keys = [*parts.own_keys, *keys]
        self.last_keys = [*parts.own_keys, *keys[self._writer % contended.ledger.writers :: contended.ledger.writers]]
        for key in range(contended.ledger.keys):
            self._take_over(key)

    def _take_over(self, key: int) -> None:
        """Claim this lane's slot; how the last save of an earlier process ended nobody knows."""
        ledger, writer = self._their_ledger, self._writer
        ledger.claim(key, writer)
        intent = ledger.newest_intent(key, writer)
        if ledger.outcome(key, intent, writer) is Outcome.IN_FLIGHT:
            ledger.unknown(key, intent, writer)

    def acked(self, key: int) -> int:
        """Return the newest sequence acknowledged; 0 if there is none."""
        return self._contended.acked(key) if key in self._contended.keys else super().acked(key)

    def saves(self, key: int) -> int:
        """Return how many saves this lane has made of the key."""
        if key in self._contended.keys:
            return self._their_ledger.newest_intent(key - self._contended.first_key, self._writer)
        return super().saves(key)

    def retired(self, key: int) -> bool:
        """Whether nothing may be saved to the key any more."""
        return key not in self._contended.keys and super().retired(key)

    # --- A read

    def read(self, key: int, *, bypass: bool = False, op: str = "read", late_ns: int = 0, full: bool = False) -> Served:
        """Read `key` and judge the answer, like any lane; a contended one by its commit."""
        if key not in self._contended.keys:
            return super().read(key, bypass=bypass, op=op, late_ns=late_ns, full=full)
        local, source = key - self._contended.first_key, "store"
        known = self._their_judge.before(local)
        self._record.begin(op, key)
        began = _now()
        try:
            inject(self._control, began)
            shown, source = self._show(self.group(key), bypass)
        except KeyError:
            shown = None
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed(op, error, began, late_ns)
        ended = _now()
        source = "cache" if source == "cache" and op == "read" else "store"
        judged = self._judged_by_commit(key, known, shown, full or self._in_full(source), ended)
        self._count_read(judged, source)
        if judged.kind is not None:
            self._tell(judged, key, shown, known)
            return self._record.violated(op, source, began, ended - began, late_ns)
        if shown is not None and judged.seq:
            self._settle_own(local, judged.seq)
            if not bypass:
                self._remember(key, shown.commit, source, began, ended)
        served = self._record.good(op, source, began, ended - began, late_ns, judged.rows, judged.payload_bytes)
        if shown is not None and not full and self._scribble_due():
            self._scribble(key, dict(shown.frames))
        return served

    def _judged_by_commit(self, key: int, known: Known, shown: Shown | None, full: bool, began_ns: int) -> Judgement:
        judge, local = self._their_judge, key - self._contended.first_key
        before = judge.cells_ns
        judged = judge.after(local, known, shown, full)
        ended = _now()
        self._count_look(before, judge.cells_ns, ended - began_ns)
        if not judged.suspect:
            return judged
        judged = judge.confirm(local, known, judged, lambda: self._shown_again(key))
        self._row[cells.CHECK_NS["confirm"]] += _now() - ended
        return judged

    def _shown_again(self, key: int) -> Shown | None:
        """Read the key round the cache; None for a KeyError."""
        try:
            return self._show(self.group(key), True)[0]
        except KeyError:
            return None

    def _count_read(self, judged: Judgement, source: str) -> None:
        row = self._row
        row[cells.READS_VERIFIED] += 1
        row[cells.CELLS_CHECKED] += judged.cells
        if judged.seq and self._their_judge.of_version(judged.seq)[1] != self._writer:
            row[cells.READS_FOREIGN] += 1
        if source == "store":
            row[cells.READS_FROM_STORE] += 1
            row[cells.BYTES_FROM_STORE] += judged.payload_bytes

    def _settle_own(self, key: int, version: int) -> None:
        """Write down that this lane's newest save is there, if that is what was read.

        One of unknown outcome is acknowledged without a number: what the read showed may be a later commit of the
        store's own.
        """
        seq, writer = self._their_judge.of_version(version)
        ledger = self._their_ledger
        if writer != self._writer or seq != ledger.newest_intent(key, writer):
            return
        if seq > ledger.acked(key, writer):
            ledger.ack(key, seq, None, writer)
            self._row[cells.ACKNOWLEDGED] += 1
        if ledger.verified(key, seq, writer):
            self._row[cells.VERIFIED] += 1

    # --- A save

    def save(self, key: int, late_ns: int = 0) -> Served:
        """Read and judge the key, then save this lane's next sequence."""
        if key not in self._contended.keys:
            return super().save(key, late_ns)
        local = key - self._contended.first_key
        if self.acked(key):
            before = self.read(key, late_ns=late_ns)
            if before.source is None:
                return before
        seq = self._their_ledger.newest_intent(local, self._writer) + 1
        making = _now()
        made = self._made_by.frames(key, self._their_judge.version(seq, self._writer))
        self._row[cells.CONTENT_NS] += _now() - making
        return self._save_made(key, local, seq, made, late_ns)

    def _save_made(self, key: int, local: int, seq: int, made: Made, late_ns: int) -> Served:
        ledger, writer = self._their_ledger, self._writer
        known = self._their_judge.before(local)
        ledger.intent(local, seq, made.total, writer)
        self._record.begin("save", key)
        began = _now()
        try:
            inject(self._control, began)
            commit = named_commit(self._save(self.group(key), made.frames))
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            (ledger.fail if isinstance(error, TargetRejected) else ledger.unknown)(local, seq, writer)
            return self._failed("save", error, began, late_ns)
        service_ns = _now() - began
        ledger.ack(local, seq, commit, writer)
        self._row[cells.ACKNOWLEDGED] += 1
        judged = self._their_judge.acknowledged(local, writer, known, commit)
        if judged.kind is not None:
            self._tell(judged, key, None, known)
            return self._record.violated("save", "none", began, service_ns, late_ns)
        served = self._record.good("save", "none", began, service_ns, late_ns, made.rows, made.payload_bytes)
        if self._scribble_due():
            self._scribble(key, made.frames)
        return served

    # --- What was found wrong

    def _tell(self, judged: Judgement, key: int, shown: Shown | None, known: Known) -> None:
        """Count what was found wrong; the first of its kind in this process leaves a specimen."""
        self._row[cells.VIOLATION[judged.kind or ""]] += 1
        parts, group = self.parts, self.group(key)

        def keep(folder: str) -> str | None:
            return write_specimen(
                folder,
                parts.number,
                key=key,
                note=(self._version_of(key, known.floor), known.seen),
                judged=judged,
                frames=shown.frames if shown is not None else None,
                content=self._made_by,
                ledger=_OwnSlots(self._contended, self._writer),  # type: ignore[arg-type]  # all of it that is asked for
                seed=parts.seed,
                group=group,
                recent=self._record.recent,
            )

        parts.trace.violated(judged.kind or "", f"group {group}: {judged.detail}", keep)

    def _version_of(self, key: int, number: int) -> int:
        """Return the version acknowledged as that commit plus one; 0 if it is no writer's newest."""
        ledger, local = self._their_ledger, key - self._contended.first_key
        for writer in range(ledger.writers):
            at = ledger.at(local, writer)
            if number and ledger.slots[at + COMMIT] == number:
                return self._their_judge.version(ledger.slots[at + ACKED], writer)
        return 0


@dataclass(frozen=True, slots=True)
class _OwnSlots:
    """One writer's slots of the contended keys, under the keys' own numbers."""

    contended: Contended
    writer: int

    @property
    def run_id(self) -> str:
        return self.contended.ledger.run_id

    def slot(self, key: int) -> Slot:
        return self.contended.ledger.slot(key - self.contended.first_key, self.writer)


# --- What a target must be able to do ------------------------------------------------------------


def refuse_contention(guarantees: Guarantees, abilities: Abilities) -> str | None:
    """Return why such a target can have no contended keys; None if, by what it declares, it can."""
    if not abilities.storage:
        return "stores nothing that could be contended for"
    if guarantees.reads == "latest" and guarantees.atomic_groups and not guarantees.late_writes:
        return None
    needed = "reads=latest atomic_groups=True late_writes=False"
    return f"claims {guarantees}; the order of several writers can only be told where it is {needed}"


def fetch_with_commit(session: Session, names: list[str]) -> Fetch:
    """Return what reads a group with its commit, round the cache if asked to, and tells where the answer came from."""
    if isinstance(session, DetailedSession):
        detailed = session

        def fetch_detail(group: str, bypass: bool) -> tuple[Shown, str]:
            frames, source, commit = detailed.read_detail(group, names, bypass_cache=bypass)
            return Shown(frames, named_commit(commit)), source

        return fetch_detail
    if isinstance(session, SessionWithCommits):
        told = session

        def fetch(group: str, bypass: bool) -> tuple[Shown, str]:  # noqa: ARG001 - there is no cache to go round
            frames, commit = told.read_with_commit(group, names)
            return Shown(frames, named_commit(commit)), "store"

        return fetch
    raise TargetError(
        f"contended_keys: {type(session).__name__} has no read_with_commit(group, names), and without commit numbers "
        "nobody can tell the order of several writers' saves; leave contended_keys out"
    )


def named_commit(commit: int | None) -> int:
    """Return the commit's number. TargetError if the store named none."""
    if commit is None:
        raise TargetError("contended_keys: the target named no commit; without its number no order can be judged")
    return commit

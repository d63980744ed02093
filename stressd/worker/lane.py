"""A lane's operations: each calls the target once, judges what came back, and records it.

Save: the owner first reads and judges its key, then writes its intent into the ledger, saves, and writes down how it
ended. Read: what is known is noted, the target is called, the answer is judged. A lane is one thread; its row of the
table, its session and its keys are its own.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stressd.targets.protocol import (
    DetailedRead,
    DetailedSession,
    Frames,
    Session,
    TargetCorrupt,
    TargetRejected,
    group_name,
)
from stressd.worker import cells
from stressd.worker.batches import Batches, size_of
from stressd.worker.injection import inject, injected_failure
from stressd.worker.outcome import error_class
from stressd.worker.recollection import Recollection
from stressd.worker.record import NOT_ASKED, Record, Served
from stressd.worker.trace import Trace
from stressd.workload.frames import Content, Made
from stressd.workload.judge import Judge, Judgement
from stressd.workload.ledger import ACKED, INTENT, SLOT_CELLS, VERIFIED, Ledger, Outcome
from stressd.workload.scribble import scribble
from stressd.workload.specimen import write_specimen

_NOTHING: Final = Made({}, 0, 0, 0)
_CHECKS_OF_A_READ: Final = tuple(cells.CHECK_NS[check] for check in ("stamps", "cells", "confirm"))
_now: Final = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class LaneParts:
    """What a lane is made of.

    `number` is its place in the ledger: it owns `own_keys`; the process's lanes together own `process_keys`. Every cell
    is checked of each read from the store, and of one in `cache_every` from a cache; one frame in `scribble_every` is
    edited. `fresh` opens another session: one that cannot have cached anything yet.
    """

    number: int
    row: memoryview
    control: memoryview
    session: Session
    names: tuple[str, ...]
    group_prefix: str
    content: Content | None
    batches: Batches
    ledger: Ledger
    judge: Judge
    recollection: Recollection
    trace: Trace
    own_keys: range
    process_keys: range
    cache_every: int
    scribble_every: int
    late_writes: bool
    seed: int
    fresh: Callable[[], Session] | None = None


class Lane:
    """The operations of one thread. It saves to `save_keys`, and looks at `last_keys` once more before it ends."""

    def __init__(self, parts: LaneParts) -> None:
        self.parts = parts
        self._row = parts.row
        self._control = parts.control
        self._judge = parts.judge
        self._ledger = parts.ledger
        self._content = parts.content
        self._own_keys = parts.own_keys
        self._prefix = parts.group_prefix
        self._names = list(parts.names)
        self._save = parts.session.save
        self._fetch = self._fetcher(parts.session)
        self._record = Record(parts.row)
        self._draw = random.Random(f"{parts.seed}:{parts.number}")  # noqa: S311 - which cell to edit, no secret
        self._cached_reads = 0
        self._scribbles = 0
        self.save_keys: Sequence[int] = parts.own_keys
        self.last_keys: Sequence[int] = parts.own_keys
        for key in parts.own_keys:
            parts.ledger.claim(key)

    def acked(self, key: int) -> int:
        """Return the newest sequence of the key that was acknowledged; 0 if there is none."""
        return self._ledger.acked(key)

    def saves(self, key: int) -> int:
        """Return how many saves of a key of `save_keys` there have been, as far as its turn goes."""
        return self._ledger.acked(key)

    def retired(self, key: int) -> bool:
        """Whether nothing may be saved to the key any more."""
        return self._ledger.retired(key)

    def group(self, key: int) -> str:
        """Return the name of the group that holds `key`."""
        return group_name(self._prefix, key)

    def generate(self, late_ns: int = 0) -> Served:
        """Generate the features of the next batch of movies."""
        movies = self.parts.batches.next()
        self._record.begin("generate")
        began = _now()
        try:
            frames = self.parts.batches.generate(movies)
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed("generate", error, began, late_ns)
        service_ns = _now() - began
        self._row[cells.MOVIES] += len(movies)
        rows, payload_bytes = size_of(frames)
        return self._record.good("generate", "none", began, service_ns, late_ns, rows, payload_bytes)

    def read(self, key: int, *, bypass: bool = False, op: str = "read", late_ns: int = 0, full: bool = False) -> Served:
        """Read `key` and judge the answer. `bypass`: round the cache. `full`: every cell, and no edits."""
        note = self._judge.before(key)
        self._record.begin(op, key)
        source = "store"
        began = _now()
        try:
            detail = self._fetch(key, bypass)
        except KeyError:
            ended, frames = _now(), None
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed(op, error, began, late_ns)
        else:
            ended, frames = _now(), detail.frames
            if detail.source == "cache" and op == "read":
                source = "cache"
        judged = self._judged(key, note, frames, full or self._in_full(source), ended)
        self._verified(key, judged, source)
        if judged.seq and not bypass:
            self._remember(key, judged.seq, source, began, ended)
        if judged.kind is not None:
            self._violation(judged, key, frames, note)
            return self._record.violated(op, source, began, ended - began, late_ns)
        served = self._record.good(op, source, began, ended - began, late_ns, judged.rows, judged.payload_bytes)
        if frames and not full and self._scribble_due():
            self._scribble(key, frames)
        return served

    def save(self, key: int, late_ns: int = 0) -> Served:
        """Read and judge the key, then save its next sequence.

        Nothing is saved to a key that is retired, and nothing as long as an earlier save cannot be settled, or the
        newest one not be read back: that it was lost could hide under the next.
        """
        if self._is_open(key) and (unsettled := self._settled(key, late_ns)) is not None:
            return unsettled
        slots, at = self._ledger.slots, key * SLOT_CELLS
        if slots[at + ACKED] and self._content is not None:
            before = self.read(key, late_ns=late_ns)
            if before.source is None and slots[at + VERIFIED] < slots[at + ACKED]:
                return before
        return self._save_next(key, slots[at + INTENT] + 1, late_ns)

    def scrub(self, key: int, late_ns: int = 0) -> Served:
        """Read `key` round the cache and judge every cell."""
        return self.read(key, bypass=True, op="scrub", late_ns=late_ns, full=True)

    def resolve_own(self) -> None:
        """Settle what an earlier process of this lane left open; to be called before its load."""
        for key in self._own_keys:
            if self._is_open(key):
                self._try_to_resolve(key)

    # --- saving

    def _save_next(self, key: int, seq: int, late_ns: int) -> Served:
        ledger, row, made = self._ledger, self._row, _NOTHING
        if self._content is not None:
            making = _now()
            made = self._content.frames(key, seq)
            row[cells.CONTENT_NS] += _now() - making
        ledger.intent(key, seq, made.total)
        self._record.begin("save", key)
        began = _now()
        try:
            inject(self._control, began)
            commit = self._save(self.group(key), made.frames)
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            failed = self._failed("save", error, began, late_ns)
            self._after_failure(key, seq, error)
            return failed
        service_ns = _now() - began
        judged = self._judge.acknowledged(key, seq, commit)
        if judged.kind is not None:
            self._violation(judged, key, None, self._judge.before(key))
            ledger.ack(key, seq, ledger.slot(key).acked_commit)
            row[cells.ACKNOWLEDGED] += 1
            return self._record.violated("save", "none", began, service_ns, late_ns)
        ledger.ack(key, seq, commit)
        row[cells.ACKNOWLEDGED] += 1
        served = self._record.good("save", "none", began, service_ns, late_ns, made.rows, made.payload_bytes)
        if made.frames and self._scribble_due():
            self._scribble(key, made.frames)
        return served

    def _after_failure(self, key: int, seq: int, error: Exception) -> None:
        """Write down how a save that raised ended: it failed for certain, or nobody knows; then reading may tell."""
        if isinstance(error, TargetRejected):
            self._ledger.fail(key, seq)
            return
        self._ledger.unknown(key, seq)
        if self.parts.late_writes:
            self._ledger.retire(key)
        else:
            self._try_to_resolve(key)

    def _is_open(self, key: int) -> bool:
        """Whether the key's newest save is neither acknowledged nor known to have failed."""
        slots, at = self._ledger.slots, key * SLOT_CELLS
        intent = slots[at + INTENT]
        return intent > slots[at + ACKED] and self._ledger.outcome(key, intent) is not Outcome.FAILED

    def _settled(self, key: int, late_ns: int) -> Served | None:
        """Settle the newest save of the key; None if the next one may follow, else what came of it."""
        if self._ledger.retired(key):
            return NOT_ASKED
        began = _now()
        try:
            return None if self._resolve(key) else NOT_ASKED
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed("save", error, began, late_ns)

    def _try_to_resolve(self, key: int) -> None:
        try:
            self._resolve(key)
        except Exception as error:  # noqa: BLE001 - asked again before the next save
            self.parts.trace.failed("read", error)

    def _resolve(self, key: int) -> bool:
        """Find out how a save of unknown outcome ended, by reading; True if the next one may follow.

        Where reading cannot tell, either value stays allowed until the next save settles it. A late write could
        overtake that one: such a key is retired. What the target raises goes through, but for a damaged value: that
        tells nothing.
        """
        first: list[Frames | None] = []

        def reread() -> Frames | None:
            frames = self._reread(key)
            first.append(frames)
            return frames

        note = self._judge.before(key)
        try:
            resolution = self._judge.resolve(key, reread)
        except TargetCorrupt as error:
            self._corrupt(error)
            self._ledger.unknown(key, self._ledger.newest_intent(key))
            outcome = Outcome.UNKNOWN
        else:
            outcome = resolution.outcome
            self._verified(key, resolution.judgement, "store")
            self._violation(resolution.judgement, key, first[0], note)
        if outcome is Outcome.ACKED:
            self._row[cells.ACKNOWLEDGED] += 1
        if outcome is Outcome.UNKNOWN and self.parts.late_writes:
            self._ledger.retire(key)
            return False
        return True

    # --- the target

    def _fetcher(self, session: Session) -> Callable[[int, bool], DetailedRead]:
        names, control = self._names, self._control
        if isinstance(session, DetailedSession):
            detailed = session

            def fetch_detail(key: int, bypass: bool) -> DetailedRead:
                inject(control, _now())
                return detailed.read_detail(self.group(key), names, bypass_cache=bypass)

            return fetch_detail

        def fetch(key: int, bypass: bool) -> DetailedRead:  # noqa: ARG001 - there is no cache to go round
            inject(control, _now())
            return DetailedRead(session.read(self.group(key), names), "store", None)

        return fetch

    def _reread(self, key: int) -> Frames | None:
        """Read the key round the cache; None for a KeyError."""
        try:
            return self._fetch(key, True).frames
        except KeyError:
            return None

    def _read_anew(self, key: int) -> Frames | None:
        """Read the key round the cache; where the target knows no way round one, through a session that is new."""
        if isinstance(self.parts.session, DetailedSession) or self.parts.fresh is None:
            return self._reread(key)
        session = self.parts.fresh()
        try:
            return session.read(self.group(key), self._names)
        except KeyError:
            return None
        finally:
            session.close()

    def _failed(self, op: str, error: Exception, began_ns: int, late_ns: int) -> Served:
        service_ns = _now() - began_ns
        if injected_failure(self._control, error, began_ns, began_ns + service_ns):
            return self._record.failed(op, "injected", began_ns, service_ns, late_ns)
        kind = error_class(error)
        if kind == "corrupt":
            self._corrupt(error)
        self.parts.trace.failed(op, error)
        return self._record.failed(op, kind, began_ns, service_ns, late_ns)

    # --- judging

    def _judged(self, key: int, note: tuple[int, int], frames: Frames | None, full: bool, began_ns: int) -> Judgement:
        judge = self._judge
        before = judge.cells_ns
        judged = judge.after(key, note, frames, full)
        ended = _now()
        self._count_look(before, judge.cells_ns, ended - began_ns)
        if not judged.suspect:
            return judged
        confirmed = judge.confirm(key, note, judged, lambda: self._read_anew(key))
        self._row[cells.CHECK_NS["confirm"]] += _now() - ended
        return confirmed

    def _count_look(self, before_ns: tuple[int, int], cells_ns: tuple[int, int], took_ns: int) -> None:
        """Count what a look at an answer took: comparing cells, as the judge counts it, by itself."""
        row = self._row
        if in_cells_ns := cells_ns[0] - before_ns[0]:
            row[cells.CHECK_NS["cells"]] += in_cells_ns
            row[cells.CELLS_CPU_NS] += cells_ns[1] - before_ns[1]
        row[cells.CHECK_NS["stamps"]] += took_ns - in_cells_ns

    def _in_full(self, source: str) -> bool:
        if source != "cache":
            return True
        self._cached_reads += 1
        return self._cached_reads % self.parts.cache_every == 0

    def _scribble_due(self) -> bool:
        self._scribbles += 1
        return self._scribbles % self.parts.scribble_every == 0

    def _scribble(self, key: int, frames: Frames) -> None:
        """Edit a cell of a frame that is ours, read the key again, put it back: nobody else may have seen the edit.

        That read is an operation like any other, its time the target's and its checks theirs.
        """
        row, began = self._row, _now()
        counted_ns = sum(row[check] for check in _CHECKS_OF_A_READ)
        elsewhere_ns = 0
        edit = scribble(frames, self._draw)
        if edit is not None and edit.protected:
            row[cells.PROTECTED] += 1
        elif edit is not None:
            elsewhere_ns = self.read(key, full=True).service_ns
            edit.restore()
        elsewhere_ns += sum(row[check] for check in _CHECKS_OF_A_READ) - counted_ns
        row[cells.CHECK_NS["scribble"]] += max(0, _now() - began - elsewhere_ns)

    def _verified(self, key: int, judged: Judgement, source: str) -> None:
        row, parts = self._row, self.parts
        row[cells.READS_VERIFIED] += 1
        if judged.cells:
            row[cells.CELLS_CHECKED] += judged.cells
        if key in self._own_keys:
            if judged.seq and judged.kind is None and self._ledger.verified(key, judged.seq):
                row[cells.VERIFIED] += 1
        elif key not in parts.process_keys:
            row[cells.READS_FOREIGN] += 1
        if source == "store":
            row[cells.READS_FROM_STORE] += 1
            if judged.payload_bytes:
                row[cells.BYTES_FROM_STORE] += judged.payload_bytes

    def _remember(self, key: int, seq: int, source: str, began_ns: int, ended_ns: int) -> None:
        row, recollection = self._row, self.parts.recollection
        hit = source == "cache"
        row[cells.CACHE_HITS if hit else cells.CACHE_MISSES] += 1
        if recollection.expects(key, seq, began_ns):
            row[cells.EXPECTED_CACHED] += 1
            row[cells.EXPECTED_CACHED_HIT] += hit
        if not hit:
            recollection.loaded(key, seq, began_ns, ended_ns)

    # --- what was found wrong

    def _corrupt(self, error: Exception) -> None:
        """Count damage that the store found itself."""
        self._row[cells.VIOLATION["corrupt"]] += 1
        self.parts.trace.violated("corrupt", str(error))

    def _violation(self, judged: Judgement, key: int, frames: Frames | None, note: tuple[int, int]) -> None:
        """Count what was found wrong, if anything was; the first of its kind in this process leaves a specimen."""
        if judged.kind is None:
            return
        self._row[cells.VIOLATION[judged.kind]] += 1
        parts, content = self.parts, self._content
        if content is None:
            return

        def keep(folder: str) -> str | None:
            return write_specimen(
                folder,
                parts.number,
                group=self.group(key),
                key=key,
                note=note,
                judged=judged,
                frames=frames,
                content=content,
                ledger=parts.ledger,
                seed=parts.seed,
                recent=self._record.recent,
            )

        parts.trace.violated(judged.kind, f"group {self.group(key)}: {judged.detail}", keep)

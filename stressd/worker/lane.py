"""A lane's operations: each calls the target once, judges what came back, and records it.

Save: the owner first reads and judges its key, then writes its intent into the ledger, saves, and writes down how it
ended. Read: what is known is noted, the target is called, the answer is judged. A lane is one thread; its row of the
table, its session and its keys are its own.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from stressd.metrics import OPS
from stressd.stats.table import Control
from stressd.targets.protocol import DetailedRead, DetailedSession, Frames, Session, TargetRejected
from stressd.worker import cells
from stressd.worker.batches import Batches, size_of
from stressd.worker.outcome import InjectedError, error_class, outcome
from stressd.worker.trace import Trace
from stressd.workload.frames import Content, Made
from stressd.workload.judge import Judge, Judgement
from stressd.workload.ledger import Ledger, Outcome
from stressd.workload.scribble import scribble
from stressd.workload.specimen import write_specimen

_INFLIGHT: Final = {op: number for number, op in enumerate(OPS, start=1)}
_NOTHING: Final = Made({}, 0, 0, 0)
_now: Final = time.monotonic_ns
RECENT: Final = 64


class Served(NamedTuple):
    """One operation as it went: whether all was well, how long the target took, where its answer came from."""

    ok: bool
    service_ns: int = 0
    source: str = "none"
    payload_bytes: int = 0


@dataclass(slots=True)
class Recollection:
    """What the lanes of one process know that its cache should hold: for each key the sequence read, and when."""

    ttl_ns: float
    loaded: dict[int, tuple[int, int]]

    def expects(self, key: int, seq: int, now_ns: int) -> bool:
        """Say whether a cache should have answered a read of `key` that found `seq`."""
        known = self.loaded.get(key)
        return known is not None and known[0] == seq and now_ns - known[1] < self.ttl_ns


@dataclass(frozen=True, slots=True)
class LaneParts:
    """What a lane is made of.

    `number` is its place in the ledger: it owns `own_keys`; the process's lanes together own `process_keys`. Every
    cell is checked of each read from the store, and of one in `cache_every` from a cache; one frame in
    `scribble_every` is edited.
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


class Lane:
    """The operations of one thread."""

    def __init__(self, parts: LaneParts) -> None:
        self.parts = parts
        self._row = parts.row
        self._control = parts.control
        self._judge = parts.judge
        self._names = list(parts.names)
        self._fetch = self._fetcher(parts.session)
        self._draw = random.Random(f"{parts.seed}:{parts.number}")  # noqa: S311 - which cell to edit, no secret
        self._recent: deque[tuple[int, str, str, str, int]] = deque(maxlen=RECENT)
        self._cached_reads = 0
        self._scribbles = 0
        for key in parts.own_keys:
            parts.ledger.claim(key)

    def group(self, key: int) -> str:
        """Return the name of the group that holds `key`."""
        return f"{self.parts.group_prefix}{key:05d}"

    def generate(self, late_ns: int = 0) -> Served:
        """Generate the features of the next batch of movies."""
        movies = self.parts.batches.next()
        self._row[cells.INFLIGHT] = _INFLIGHT["generate"]
        began = _now()
        try:
            frames = self.parts.batches.generate(movies)
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed("generate", error, _now() - began, late_ns)
        service_ns = _now() - began
        self._row[cells.MOVIES] += len(movies)
        rows, payload_bytes = size_of(frames)
        return self._good("generate", "none", began, service_ns, late_ns, rows, payload_bytes)

    def read(self, key: int, *, bypass: bool = False, op: str = "read", late_ns: int = 0, full: bool = False) -> Served:
        """Read `key` and judge the answer. `bypass`: round the cache. `full`: every cell, and no edits."""
        note = self._judge.before(key)
        self._row[cells.INFLIGHT] = _INFLIGHT[op]
        began = _now()
        frames: Frames | None = None
        source = "store"
        try:
            detail = self._fetch(key, bypass)
        except KeyError:
            service_ns = _now() - began
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            return self._failed(op, error, _now() - began, late_ns)
        else:
            service_ns = _now() - began
            frames = detail.frames
            source = detail.source if op == "read" else "store"
        judged = self._judged(key, note, frames, full or self._in_full(source))
        self._verified(key, judged, source, began, bypass=bypass)
        if judged.kind is not None:
            self._violation(judged, key, frames, note)
            return self._ended(op, source, "violation", service_ns, late_ns)
        served = self._good(op, source, began, service_ns, late_ns, judged.rows, judged.payload_bytes)
        if frames and not full and self._scribble_due():
            self._scribble(key, frames)
        return served

    def save(self, key: int, late_ns: int = 0) -> Served:
        """Read and judge the key, then save its next sequence."""
        parts, row, ledger = self.parts, self._row, self.parts.ledger
        slot = ledger.slot(key)
        if self._unresolved(key, slot.intent_seq, slot.acked_seq) and not self.resolve(key):
            return Served(ok=False)
        if slot.acked_seq:
            self.read(key, late_ns=late_ns)
        seq = slot.intent_seq + 1
        making = _now()
        made = parts.content.frames(key, seq) if parts.content is not None else _NOTHING
        row[cells.CONTENT_NS] += _now() - making
        ledger.intent(key, seq, made.total)
        row[cells.INFLIGHT] = _INFLIGHT["save"]
        began = _now()
        try:
            self._raise_injected(began)
            commit = parts.session.save(self.group(key), made.frames)
        except Exception as error:  # noqa: BLE001 - the operation's outcome, counted and told once
            service_ns = _now() - began
            self._settle(key, seq, error)
            return self._failed("save", error, service_ns, late_ns)
        service_ns = _now() - began
        ledger.ack(key, seq, commit)
        row[cells.ACKNOWLEDGED] += 1
        served = self._good("save", "none", began, service_ns, late_ns, made.rows, made.payload_bytes)
        if made.frames and self._scribble_due():
            self._scribble(key, made.frames)
        return served

    def scrub(self, key: int, late_ns: int = 0) -> Served:
        """Read `key` round the cache and judge every cell."""
        return self.read(key, bypass=True, op="scrub", late_ns=late_ns, full=True)

    def resolve_own(self) -> None:
        """Settle what an earlier process of this lane left open; to be called before its load."""
        for key in self.parts.own_keys:
            slot = self.parts.ledger.slot(key)
            if self._unresolved(key, slot.intent_seq, slot.acked_seq):
                self.resolve(key)

    def resolve(self, key: int) -> bool:
        """Find out how a save of unknown outcome ended, by reading; False if that cannot be told yet."""
        read: list[Frames | None] = []

        def reread() -> Frames | None:
            try:
                frames = self._fetch(key, True).frames
            except KeyError:
                frames = None
            read.append(frames)
            return frames

        began = _now()
        try:
            resolution = self._judge.resolve(key, reread)
        except Exception as error:  # noqa: BLE001 - asked again before the next save
            self.parts.trace.failed("read", error)
            return False
        self._verified(key, resolution.judgement, "store", began, bypass=True)
        if resolution.judgement.kind is not None:
            self._violation(resolution.judgement, key, read[0], (0, 0))
        if resolution.outcome is Outcome.ACKED:
            self._row[cells.ACKNOWLEDGED] += 1
        return resolution.outcome is not Outcome.UNKNOWN

    # --- the target

    def _fetcher(self, session: Session) -> Callable[[int, bool], DetailedRead]:
        names = self._names
        if isinstance(session, DetailedSession):
            detailed = session

            def fetch_detail(key: int, bypass: bool) -> DetailedRead:
                self._raise_injected(_now())
                return detailed.read_detail(self.group(key), names, bypass_cache=bypass)

            return fetch_detail

        def fetch(key: int, bypass: bool) -> DetailedRead:  # noqa: ARG001 - there is no cache to go round
            self._raise_injected(_now())
            return DetailedRead(session.read(self.group(key), names), "store", None)

        return fetch

    def _raise_injected(self, now_ns: int) -> None:
        if self._control[Control.FAULT_UNTIL_NS] > now_ns >= self._control[Control.FAULT_FROM_NS]:
            raise InjectedError("a scheduled fault: the target was not asked")

    def _unresolved(self, key: int, intent: int, acked: int) -> bool:
        return intent > acked and self.parts.ledger.outcome(key, intent) is not Outcome.FAILED

    def _settle(self, key: int, seq: int, error: Exception) -> None:
        """Write down how a save that raised ended: it failed for certain, or nobody knows, and then reading tells."""
        if isinstance(error, TargetRejected):
            self.parts.ledger.fail(key, seq)
            return
        self.parts.ledger.unknown(key, seq)
        if self.parts.late_writes:
            self.parts.ledger.retire(key)
        else:
            self.resolve(key)

    # --- judging

    def _judged(self, key: int, note: tuple[int, int], frames: Frames | None, full: bool) -> Judgement:
        row, judge = self._row, self._judge
        began, cells_ns = _now(), judge.cells_ns
        judged = judge.after(key, note, frames, full)
        in_cells = judge.cells_ns - cells_ns
        row[cells.CHECK_NS["cells"]] += in_cells
        row[cells.CHECK_NS["stamps"]] += _now() - began - in_cells
        if not judged.suspect:
            return judged
        began = _now()
        confirmed = judge.confirm(key, note, judged, lambda: self._reread(key))
        row[cells.CHECK_NS["confirm"]] += _now() - began
        return confirmed

    def _reread(self, key: int) -> Frames | None:
        try:
            return self._fetch(key, True).frames
        except KeyError:
            return None

    def _in_full(self, source: str) -> bool:
        if source != "cache":
            return True
        self._cached_reads += 1
        return self._cached_reads % self.parts.cache_every == 0

    def _scribble_due(self) -> bool:
        self._scribbles += 1
        return self._scribbles % self.parts.scribble_every == 0

    def _scribble(self, key: int, frames: Frames) -> None:
        """Edit a cell of a frame of ours, read the key again, put the cell back: nobody else may have seen the edit."""
        began = _now()
        edit = scribble(frames, self._draw)
        if edit is not None and edit.protected:
            self._row[cells.PROTECTED] += 1
        elif edit is not None:
            self.read(key, full=True)
            edit.restore()
        self._row[cells.CHECK_NS["scribble"]] += _now() - began

    def _verified(self, key: int, judged: Judgement, source: str, began_ns: int, *, bypass: bool) -> None:
        row, parts = self._row, self.parts
        row[cells.READS_VERIFIED] += 1
        row[cells.CELLS_CHECKED] += judged.cells
        if key in parts.own_keys:
            if judged.seq and judged.kind is None and parts.ledger.verified(key, judged.seq):
                row[cells.VERIFIED] += 1
        elif key not in parts.process_keys:
            row[cells.READS_FOREIGN] += 1
        if source == "store":
            row[cells.READS_FROM_STORE] += 1
            row[cells.BYTES_FROM_STORE] += judged.payload_bytes
        if not bypass and judged.seq:
            self._remember(key, judged.seq, source, began_ns)

    def _remember(self, key: int, seq: int, source: str, began_ns: int) -> None:
        row, recollection = self._row, self.parts.recollection
        hit = source == "cache"
        row[cells.CACHE_HITS if hit else cells.CACHE_MISSES] += 1
        if recollection.expects(key, seq, began_ns):
            row[cells.EXPECTED_CACHED] += 1
            row[cells.EXPECTED_CACHED_HIT] += hit
        if not hit:
            recollection.loaded[key] = (seq, began_ns)

    # --- recording

    def _good(
        self, op: str, source: str, began_ns: int, service_ns: int, late_ns: int, rows: int, payload_bytes: int
    ) -> Served:
        row = self._row
        row[cells.ROWS[op]] += rows
        row[cells.BYTES[op]] += payload_bytes
        row[cells.LAST_GOOD] = began_ns
        return self._ended(op, source, "ok", service_ns, late_ns, payload_bytes)

    def _failed(self, op: str, error: Exception, service_ns: int, late_ns: int) -> Served:
        kind = error_class(error)
        self._row[cells.ERROR[op, kind]] += 1
        self.parts.trace.failed(op, error)
        if kind == "corrupt":
            self._row[cells.VIOLATION["corrupt"]] += 1
            self.parts.trace.violated("corrupt", str(error))
        self._row[cells.INFLIGHT] = 0
        self._row[cells.OUTCOME[op, outcome(kind)]] += 1
        cells.observe(self._row, cells.LATENCY[op], late_ns + service_ns)
        return Served(ok=False, service_ns=service_ns)

    def _ended(self, op: str, source: str, how: str, service_ns: int, late_ns: int, payload_bytes: int = 0) -> Served:
        row = self._row
        row[cells.INFLIGHT] = 0
        row[cells.OUTCOME[op, how]] += 1
        self._recent.append((_now(), op, source, how, service_ns))
        cells.observe(row, cells.LATENCY[op], late_ns + service_ns)
        cells.observe(row, cells.SERVICE[op, source], service_ns)
        return Served(how == "ok", service_ns, source, payload_bytes)

    def _violation(self, judged: Judgement, key: int, frames: Frames | None, note: tuple[int, int]) -> None:
        """Count what was found wrong; the first of its kind in this process leaves a specimen."""
        if judged.kind is None:
            return
        self._row[cells.VIOLATION[judged.kind]] += 1
        parts, content = self.parts, self.parts.content
        if content is None:
            return

        def keep(folder: str) -> str | None:
            return write_specimen(
                folder,
                parts.number,
                key=key,
                note=note,
                judged=judged,
                frames=frames,
                content=content,
                ledger=parts.ledger,
                seed=parts.seed,
                recent=self._recent,
            )

        parts.trace.violated(judged.kind, f"group {self.group(key)}: {judged.detail}", keep)

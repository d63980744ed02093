"""How operations went, written into the lane's row of the table: counts, times, and the last few for a specimen."""

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

from stressd.metrics import OPS
from stressd.stats.histogram import BOUNDS_NS, BUCKETS
from stressd.worker.cells import BYTES, ERROR, INFLIGHT, LAST_GOOD, LATENCY, OUTCOME, ROWS, SERVICE, observe
from stressd.worker.outcome import outcome

RECENT: Final = 64
_NUMBER: Final = {op: number for number, op in enumerate(OPS, start=1)}


class Served(NamedTuple):
    """One operation as it went: was all well, how long the target took, where the answer came from, its payload.

    `source` is None where the target gave no answer: it raised, or was not asked.
    """

    ok: bool
    service_ns: int = 0
    source: str | None = None
    payload_bytes: int = 0


NOT_ASKED: Final = Served(ok=False)


class Record:
    """Counts the operations of one lane. For its thread; all that it adds to are the lane's own cells.

    `recent` are the last operations, with the fields of `specimen.OPERATION`.
    """

    def __init__(self, row: memoryview) -> None:
        self._row = row
        self._key: int | None = None
        self.recent: deque[tuple[int, str, int | None, str | None, str, int]] = deque(maxlen=RECENT)

    def begin(self, op: str, key: int | None = None) -> None:
        """Show the operation as under way."""
        self._key = key
        self._row[INFLIGHT] = _NUMBER[op]

    def good(
        self, op: str, source: str, began_ns: int, service_ns: int, late_ns: int, rows: int, payload_bytes: int
    ) -> Served:
        """Count one that ended well. Times in nanoseconds, `late_ns` from its intended start to its actual one."""
        row = self._row
        if rows:
            row[ROWS[op]] += rows
            row[BYTES[op]] += payload_bytes
        row[LAST_GOOD[op]] = began_ns
        self._ended(op, source, "ok", began_ns, service_ns, late_ns)
        return Served(True, service_ns, source, payload_bytes)

    def violated(self, op: str, source: str, began_ns: int, service_ns: int, late_ns: int) -> Served:
        """Count an operation that was answered wrongly."""
        self._ended(op, source, "violation", began_ns, service_ns, late_ns)
        return Served(False, service_ns, source)

    def failed(self, op: str, error_class: str, began_ns: int, service_ns: int, late_ns: int) -> Served:
        """Count an operation that raised; its time is one of latency, not of service."""
        row, how = self._row, outcome(error_class)
        row[INFLIGHT] = 0
        row[ERROR[op, error_class]] += 1
        row[OUTCOME[op, how]] += 1
        observe(row, LATENCY[op], late_ns + service_ns)
        self.recent.append((began_ns, op, self._key, None, how, service_ns))
        return Served(False, service_ns)

    def _ended(self, op: str, source: str, how: str, began_ns: int, service_ns: int, late_ns: int) -> None:
        row = self._row
        row[INFLIGHT] = 0
        row[OUTCOME[op, how]] += 1
        bucket = bisect_left(BOUNDS_NS, service_ns)
        service, latency = SERVICE[op, source], LATENCY[op]
        row[service + bucket] += 1
        row[service + BUCKETS] += service_ns
        if late_ns:
            bucket = bisect_left(BOUNDS_NS, late_ns + service_ns)
        row[latency + bucket] += 1
        row[latency + BUCKETS] += late_ns + service_ns
        self.recent.append((began_ns, op, self._key, source, how, service_ns))

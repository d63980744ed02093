"""The cells of a lane's row, found once: the hot path adds to them by number."""

from bisect import bisect_left
from typing import Final

from stressd.metrics import CHECKS, CLASSES, ERROR_CLASSES, OPS, OUTCOMES, VIOLATIONS
from stressd.stats.histogram import BOUNDS_NS, BUCKETS
from stressd.stats.table import column

OUTCOME: Final = {(op, outcome): column("operations_total", op, outcome) for op in OPS for outcome in OUTCOMES}
ERROR: Final = {(op, error): column("operation_errors_total", op, error) for op in OPS for error in ERROR_CLASSES}
LATENCY: Final = {op: column("operation_latency_seconds", op) for op in OPS}
SERVICE: Final = {pair: column("operation_service_seconds", *pair) for pair in CLASSES}
ROWS: Final = {op: column("rows_total", op) for op in OPS}
BYTES: Final = {op: column("bytes_total", op) for op in OPS}
VIOLATION: Final = {kind: column("violations_total", kind) for kind in VIOLATIONS}
CHECK_NS: Final = {check: column("verification_seconds_total", check) for check in CHECKS}
BYTES_FROM_STORE: Final = column("bytes_from_store")
MOVIES: Final = column("movies_total", "generate")
DROPPED: Final = column("operations_dropped_total")
LATE: Final = column("operations_late_total")
READS_VERIFIED: Final = column("reads_verified_total")
CACHE_HITS: Final = column("cache_hits_total")
CACHE_MISSES: Final = column("cache_misses_total")
INFLIGHT: Final = column("inflight")
HEARTBEAT: Final = column("heartbeat_ns")
LAST_GOOD: Final = {op: column("last_good_ns", op) for op in OPS}
NEXT_START: Final = column("next_start")
ARROW_BYTES: Final = column("arrow_bytes")
CACHE_BYTES: Final = column("cache_bytes_held")
CACHE_EVICTIONS: Final = column("cache_evictions_seen")
COMMITS: Final = column("commits_seen")
CONFLICTS: Final = column("conflicts_seen")
CELLS_CHECKED: Final = column("cells_checked")
CELLS_CPU_NS: Final = column("cells_cpu_ns")
READS_FOREIGN: Final = column("reads_foreign")
READS_FROM_STORE: Final = column("reads_from_store")
EXPECTED_CACHED: Final = column("reads_expected_cached")
EXPECTED_CACHED_HIT: Final = column("reads_expected_cached_hit")
ACKNOWLEDGED: Final = column("writes_acknowledged")
VERIFIED: Final = column("writes_verified")
CONTENT_NS: Final = column("content_ns")
BUSY_NS: Final = column("busy_ns")
PROTECTED: Final = column("protected_cells")


def observe(row: memoryview, histogram: int, duration_ns: int) -> None:
    """Count one duration in a histogram of the row."""
    row[histogram + bisect_left(BOUNDS_NS, duration_ns)] += 1
    row[histogram + BUCKETS] += duration_ns

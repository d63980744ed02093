"""The recording rules: what alerts compare and dashboards show over long ranges, computed once.

Names follow Prometheus's convention, `level:metric:operations`; the level is always the daemon, `job` and `instance`.
Errors are `error` and `timeout`: what was injected is neither an error nor an attempt.
"""

from dataclasses import dataclass
from typing import Final

BUDGET_RANGES: Final = ("5m", "1h", "2h", "1d")  # over which the share of errors is known
_FAILED: Final = 'outcome=~"error|timeout"'
_TRIED: Final = 'outcome!="injected"'


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule."""

    name: str
    expression: str


def errors_ratio(over: str) -> str:
    """Return the name of the share of attempts that failed, over one of `BUDGET_RANGES`."""
    return f"stressd:operation_errors:ratio_rate{over}"


def _operations(matcher: str, over: str) -> str:
    return f"sum by (job, instance) (rate(stressd_operations_total{{{matcher}}}[{over}]))"


def _latency(quantile: str, over: str) -> str:
    buckets = f"sum by (job, instance, op, le) (rate(stressd_operation_latency_seconds_bucket[{over}]))"
    return f"histogram_quantile({quantile}, {buckets})"


_CPU: Final = (
    "(sum by (job, instance) (rate(stressd_pool_cpu_seconds_total[5m]))\n"
    '  + sum by (job, instance) (rate(process_cpu_seconds_total{job="stressd"}[5m])))\n'
    "/ on (job, instance) stressd_cpu_limit_cores"
)
_HITS: Final = "sum by (job, instance) (rate(stressd_cache_hits_total[{over}]))"
_MISSES: Final = "sum by (job, instance) (rate(stressd_cache_misses_total[{over}]))"
_SERVICE: Final = "sum by (job, instance, op, source) (rate(stressd_operation_service_seconds_{part}[1h]))"

RECORDINGS: Final = (
    Recording("stressd:operation_attempts:rate5m", _operations(_TRIED, "5m")),
    *(
        Recording(errors_ratio(over), f"{_operations(_FAILED, over)}\n/ ({_operations(_TRIED, over)} > 0)")
        for over in BUDGET_RANGES
    ),
    Recording("stressd:operation_latency_seconds:p99_5m", _latency("0.99", "5m")),
    Recording(
        "stressd:operations_behind:ratio_rate5m",
        "(sum by (job, instance) (rate(stressd_operations_late_total[5m]))\n"
        "  + sum by (job, instance) (rate(stressd_operations_dropped_total[5m])))\n"
        "/ (stressd:operation_attempts:rate5m > 0)",
    ),
    Recording("stressd:cpu:ratio_rate5m", _CPU),
    # Where the kernel does not tell the proportional size, it is 0, and the resident one stands in.
    Recording(
        "stressd:tree_memory_bytes",
        "stressd_tree_proportional_memory_bytes > 0 or stressd_tree_resident_memory_bytes",
    ),
    Recording("stressd:tree_memory_bytes:avg1h", "avg_over_time(stressd:tree_memory_bytes[1h])"),
    Recording("stressd:operations:rate1h", "sum by (job, instance, op) (rate(stressd_operations_total[1h]))"),
    Recording("stressd:operation_latency_seconds:p99_1h", _latency("0.99", "1h")),
    Recording(
        "stressd:operation_service_seconds:mean1h",
        f"{_SERVICE.format(part='sum')}\n/ ({_SERVICE.format(part='count')} > 0)",
    ),
    Recording(
        "stressd:cache_hits:ratio_rate1h",
        f"{_HITS.format(over='1h')}\n/ ({_HITS.format(over='1h')} + {_MISSES.format(over='1h')} > 0)",
    ),
)

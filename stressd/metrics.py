"""Every metric, once: name, kind, help, labels, closed label values, and who counts it.

The layout of the shared table, the merge, the exported families and the report all derive from `METRICS`. A metric
with home `lane` is counted by worker threads in their rows of the table, and each lane's pool is added as a label
where `pool` stands among the labels; one with home `node` is kept by the daemon. All label values are closed sets,
so that every series exists, at 0, from the first scrape.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

PREFIX: Final = "stressd_"

Kind = Literal["counter", "gauge", "histogram", "stateset"]
Home = Literal["lane", "node"]

OPS: Final = ("generate", "save", "read", "scrub")
OUTCOMES: Final = ("ok", "error", "timeout", "injected", "violation")
ERROR_CLASSES: Final = ("rejected", "timeout", "io", "missing", "corrupt", "injected", "other")
CLASSES: Final = (  # an operation and where its answer came from: the only legal pairs
    ("generate", "none"),
    ("save", "none"),
    ("read", "cache"),
    ("read", "store"),
    ("scrub", "store"),
)
CHECKS: Final = ("stamps", "cells", "scribble", "confirm")
VIOLATIONS: Final = (
    *("corrupt", "torn", "lost", "stale", "non_monotonic"),
    *("phantom", "fractured", "schema", "aliased"),
)
STATES: Final = ("starting", "warmup", "running", "draining", "stopped")
WORKER_STATES: Final = ("starting", "running", "degraded", "stopping")
RESTART_REASONS: Final = ("exit", "signal", "oom", "hang", "recycle", "injected")
FaultKind = Literal["target_errors", "slow_target", "worker_kill", "pause", "file_limit", "disk_full", "read_only"]
FAULTS: Final = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `series` are the values of the labels before `pool` and `worker`, in the order of `labels`.

    Cells of the table hold counters, nanoseconds (`scale` 1e-9 makes seconds) and gauges; all are unsigned.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    series: tuple[tuple[str, ...], ...] = ((),)
    home: Home = "lane"
    scale: float = 1.0
    exported: bool = True

    @property
    def full_name(self) -> str:
        """The name that Prometheus sees."""
        return PREFIX + self.name


def _each(values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


def _node(name: str, kind: Kind, text: str, labels: tuple[str, ...] = (), values: tuple[str, ...] = ()) -> Metric:
    return Metric(name, kind, text, labels, _each(values) if values else ((),), home="node")


_LANE: Final = (
    Metric(
        "operations_total",
        "counter",
        "Operations ended, by outcome.",
        ("op", "outcome", "pool"),
        tuple((op, outcome) for op in OPS for outcome in OUTCOMES),
    ),
    Metric(
        "operation_errors_total",
        "counter",
        "Operations that raised, by class of error.",
        ("op", "error"),
        tuple((op, error) for op in OPS for error in ERROR_CLASSES),
    ),
    Metric(
        "operation_latency_seconds",
        "histogram",
        "Time of an operation from its intended start.",
        ("op", "pool"),
        _each(OPS),
    ),
    Metric(
        "operation_service_seconds",
        "histogram",
        "Time of an operation from its actual start.",
        ("op", "source", "pool"),
        CLASSES,
    ),
    Metric(
        "operations_dropped_total",
        "counter",
        "Intended starts that were given up: too late, no process to run them, or no key left to save.",
        ("pool",),
    ),
    Metric("operations_late_total", "counter", "Operations started late.", ("pool",)),
    Metric("rows_total", "counter", "Rows generated, saved or read.", ("op",), _each(OPS)),
    Metric("bytes_total", "counter", "Payload bytes generated, saved or read, as in memory.", ("op",), _each(OPS)),
    Metric("movies_total", "counter", "Movies whose features were generated.", ("op",), _each(("generate",))),
    Metric("reads_verified_total", "counter", "Reads that were checked."),
    Metric(
        "violations_total",
        "counter",
        "Data violations found: something acknowledged was lost, or a read was wrong.",
        ("kind",),
        _each(VIOLATIONS),
    ),
    Metric(
        "verification_seconds_total",
        "counter",
        "Time spent on checking, by check.",
        ("check",),
        _each(CHECKS),
        scale=1e-9,
    ),
    Metric("cache_hits_total", "counter", "Reads that were answered by the target's cache."),
    Metric("cache_misses_total", "counter", "Reads that its cache could not answer."),
)

_LANE_ONLY_INSIDE: Final = (
    Metric("inflight", "gauge", "Operation under way: its place in OPS plus one, or 0.", exported=False),
    Metric("heartbeat_ns", "gauge", "Monotonic time of the lane's last sign of life.", exported=False),
    Metric("last_good_ns", "gauge", "Monotonic start of the last good operation.", ("op",), _each(OPS), exported=False),
    Metric("next_start", "gauge", "Number of the next intended start this process takes.", exported=False),
    Metric("starts_missed", "counter", "Intended starts that fell due while no process was there.", exported=False),
    Metric("arrow_bytes", "gauge", "Bytes Arrow holds in this process.", exported=False),
    Metric("cache_bytes_held", "gauge", "Bytes the target's cache holds in this process.", exported=False),
    Metric("cache_evictions_seen", "counter", "Evictions of this process's cache.", exported=False),
    Metric("commits_seen", "counter", "Commits of this process's store.", exported=False),
    Metric("conflicts_seen", "counter", "Commits another writer was faster with.", exported=False),
    Metric("cells_checked", "counter", "Cells compared.", exported=False),
    Metric("cells_cpu_ns", "counter", "Processor time of comparing them.", exported=False),
    Metric("bytes_from_store", "counter", "Payload bytes of reads that the store itself answered.", exported=False),
    Metric("reads_foreign", "counter", "Checked reads of keys that another process wrote.", exported=False),
    Metric("reads_from_store", "counter", "Checked reads that came from the store.", exported=False),
    Metric("reads_expected_cached", "counter", "Reads a cache should have answered.", exported=False),
    Metric("reads_expected_cached_hit", "counter", "Those that it did answer.", exported=False),
    Metric("writes_acknowledged", "counter", "Saves that were acknowledged.", exported=False),
    Metric("writes_verified", "counter", "Acknowledged saves that were read back and right.", exported=False),
    Metric("content_ns", "counter", "Time spent on making frames to save.", exported=False),
    Metric("busy_ns", "counter", "Time the lane spent on operations, checks included.", exported=False),
    Metric("protected_cells", "counter", "Cells of a returned frame that refused an edit.", exported=False),
)

_NODE: Final = (
    Metric("build_info", "gauge", "Version of stressd.", ("version", "python", "commit"), home="node"),
    Metric("run_info", "gauge", "The run.", ("run_id", "scenario", "target", "hash"), home="node"),
    _node("state", "stateset", "What the daemon is doing.", ("stressd_state",), STATES),
    _node("operations_inflight", "gauge", "Operations under way.", ("op",), OPS),
    _node("offered_rate", "gauge", "Operations a second that the pool is asked for; 0 if closed.", ("pool",)),
    _node("cache_evictions_total", "counter", "Entries that the target's caches gave up."),
    _node("cache_bytes", "gauge", "Bytes the target's caches hold, all processes."),
    _node("store_bytes", "gauge", "Bytes of the target's files."),
    _node("store_files", "gauge", "Files of the target."),
    _node("store_features", "gauge", "Features the target serves."),
    _node("store_commits_total", "counter", "Commits of the target."),
    _node("store_conflicts_total", "counter", "Commits that another writer was faster with, and were redone."),
    _node("workers", "gauge", "Worker processes, by state.", ("pool", "state")),
    _node("workers_desired", "gauge", "Worker processes that should run.", ("pool",)),
    _node("worker_restarts_total", "counter", "Worker processes replaced, by reason.", ("pool", "reason")),
    _node(
        "worker_heartbeat_timestamp_seconds",
        "gauge",
        "When the worker last gave a sign of life: its oldest lane.",
        ("pool", "worker"),
    ),
    _node("worker_start_time_seconds", "gauge", "When the worker process started.", ("pool", "worker")),
    _node("worker_resident_memory_bytes", "gauge", "Resident memory of the worker.", ("pool", "worker")),
    _node("worker_open_fds", "gauge", "Open file descriptors of the worker.", ("pool", "worker")),
    _node("pool_cpu_seconds_total", "counter", "Processor time of the pool's workers, dead ones too.", ("pool",)),
    _node("tree_resident_memory_bytes", "gauge", "Resident memory of the daemon and all its workers."),
    _node("tree_proportional_memory_bytes", "gauge", "The same, shared pages counted once (PSS)."),
    _node("memory_limit_bytes", "gauge", "Memory the process tree may use."),
    _node("cpu_limit_cores", "gauge", "Processor cores the process tree may use."),
    _node("disk_free_bytes", "gauge", "Bytes free on the file system of the state folder."),
    _node("arrow_allocated_bytes", "gauge", "Bytes Arrow holds, all processes."),
    _node("faults_injected_total", "counter", "Faults injected on schedule.", ("fault",), FAULTS),
    _node("recovery_seconds", "histogram", "From the end of a fault to good service.", ("fault",), FAULTS),
    _node(
        "criterion_status",
        "gauge",
        "Verdict: 0 pass, 1 warn, 2 fail, 3 inconclusive, 4 not applicable.",
        ("criterion",),
    ),
    _node("criterion_value", "gauge", "What the criterion measured, in its unit.", ("criterion",)),
    _node("reload_success", "gauge", "Whether the last reload of the scenario was taken over; 1 at the start."),
    _node("reload_timestamp_seconds", "gauge", "When the scenario was last read well: at the start, or by a reload."),
    _node("collector_seconds", "gauge", "Time the last scrape took to collect."),
    _node("collector_errors_total", "counter", "Parts of a scrape that failed and were left out."),
    _node("supervisor_tick_seconds", "histogram", "Time of one turn of the supervisor's loop."),
)

METRICS: Final = (*_LANE, *_LANE_ONLY_INSIDE, *_NODE)
BY_NAME: Final = {metric.name: metric for metric in METRICS}
LANE_METRICS: Final = tuple(metric for metric in METRICS if metric.home == "lane")

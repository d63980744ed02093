"""The second dashboard: the worker processes, slot by slot."""

from collections.abc import Iterable, Mapping
from typing import Final

from stressd.render.alerts import Alert
from stressd.render.board import board, query_variable
from stressd.render.panels import (
    BAD,
    DOUBTFUL,
    GOOD,
    UNKNOWN,
    Json,
    Look,
    Query,
    named,
    row,
    stat,
    state_timeline,
    timeseries,
)

UID: Final = "stressd-workers"

_POOL: Final = 'pool=~"$pool"'
_SILENT_S: Final = 10
_AGE: Final = f"(time() - (stressd_worker_heartbeat_timestamp_seconds{{{_POOL}}} > 0))"
_SLOT: Final = (  # 0 no process, 1 beating, 2 silent
    f"(stressd_worker_resident_memory_bytes{{{_POOL}}} > bool 0)"
    f" * on (job, instance, pool, worker) (1 + ({_AGE} > bool {_SILENT_S}))"
)


def workers(alerts: Mapping[str, Alert]) -> Json:
    """Return the dashboard, with the thresholds of these alerts."""
    pool = query_variable(
        "pool", "pool", "The worker pool.", 'stressd_workers_desired{job=~"$job", instance=~"$instance"}'
    )
    return board(
        UID,
        "Workers",
        "The worker processes, slot by slot: what they are doing, what they use, and how they recover.",
        [*_numbers(), *_slots(alerts), *_recovery(alerts)],
        variables=[pool],
    )


def _numbers() -> Iterable[Json]:
    yield row(100, "Now")
    yield stat(
        1,
        "At work",
        "Worker processes that are at work.",
        [Query(f'sum(stressd_workers{{state="running", {_POOL}}})')],
        Look("none", ((None, BAD), (1, GOOD)), decimals=0),
        width=4,
    )
    yield stat(
        2,
        "Wanted",
        "Worker processes that should be at work.",
        [Query(f"sum(stressd_workers_desired{{{_POOL}}})")],
        Look("none", decimals=0),
        width=4,
    )
    yield stat(
        3,
        "Degraded slots",
        "Slots whose workers died so often that they are started again slowly.",
        [Query(f'sum(stressd_workers{{state="degraded", {_POOL}}})')],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=4,
    )
    yield stat(
        4,
        "Unasked deaths",
        "Workers replaced in the time shown that neither the fault schedule nor planned recycling asked for.",
        [Query(f'sum(increase(stressd_worker_restarts_total{{reason!~"recycle|injected", {_POOL}}}[$__range]))')],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=4,
    )
    yield stat(
        5,
        "Faults injected",
        "Faults that the schedule injected in the time shown.",
        [Query("sum(increase(stressd_faults_injected_total[$__range]))")],
        Look("none", decimals=0),
        width=4,
    )
    yield stat(
        6,
        "Longest silence",
        "The worker that has been silent longest.",
        [Query(f"max({_AGE})")],
        Look("s", ((None, GOOD), (_SILENT_S, DOUBTFUL), (60, BAD)), decimals=1),
        width=4,
    )


def _slots(alerts: Mapping[str, Alert]) -> Iterable[Json]:
    silent = alerts["WorkerStalled"].threshold
    yield row(101, "Slots")
    yield state_timeline(
        20,
        "Slots over time",
        f"Each worker's slot: at work, silent for more than {_SILENT_S} seconds, or without a process.",
        [Query(_SLOT, "{{pool}}/{{worker}}")],
        Look("none", mappings=named({0: ("no process", BAD), 1: ("at work", GOOD), 2: ("silent", DOUBTFUL)})),
    )
    yield timeseries(
        10,
        "Processes by state",
        "Worker processes by what they are doing, and how many there should be.",
        [
            Query(f"sum by (state) (stressd_workers{{{_POOL}}})", "{{state}}"),
            Query(f"sum(stressd_workers_desired{{{_POOL}}})", "wanted"),
        ],
        Look("none", decimals=0),
    )
    yield timeseries(
        22,
        "Silence",
        "Time since each worker's last sign of life: its most silent thread counts. Line: the alert WorkerStalled.",
        [Query(_AGE, "{{pool}}/{{worker}}")],
        Look("s", ((None, GOOD), (silent, BAD))),
    )
    yield timeseries(
        23,
        "Resident memory",
        "Resident memory of each worker.",
        [Query(f"stressd_worker_resident_memory_bytes{{{_POOL}}}", "{{pool}}/{{worker}}")],
        Look("bytes"),
    )
    yield timeseries(
        24,
        "Processor",
        "Processor seconds a second of each pool, its dead workers included, and of the daemon itself.",
        [
            Query(f"sum by (pool) (rate(stressd_pool_cpu_seconds_total{{{_POOL}}}[$__rate_interval]))", "{{pool}}"),
            Query("sum(rate(process_cpu_seconds_total[$__rate_interval]))", "daemon"),
        ],
        Look("none", decimals=2),
        stacked=True,
    )
    yield timeseries(
        25,
        "Open file descriptors",
        "Open file descriptors of each worker. A line that only rises is a leak.",
        [Query(f"stressd_worker_open_fds{{{_POOL}}}", "{{pool}}/{{worker}}")],
        Look("none", decimals=0),
    )
    yield timeseries(
        26,
        "Age",
        "How long ago each worker process was started.",
        [
            Query(
                f"time() - (stressd_worker_start_time_seconds{{{_POOL}}} > 0)",
                "{{pool}}/{{worker}}",
            )
        ],
        Look("s"),
    )


def _recovery(alerts: Mapping[str, Alert]) -> Iterable[Json]:
    loop = alerts["CrashLoop"]
    yield row(102, "Faults and recovery")
    yield timeseries(
        30,
        "Restarts in ten minutes, by reason",
        f"Workers replaced. Injected and recycled ones were asked for; more than {loop.threshold:g} others: CrashLoop.",
        [
            Query(
                f"sum by (pool, reason) (increase(stressd_worker_restarts_total{{{_POOL}}}[10m]))",
                "{{pool}}: {{reason}}",
            )
        ],
        Look("none", ((None, UNKNOWN), (loop.threshold, BAD)), decimals=0),
        stacked=True,
    )
    yield timeseries(
        31,
        "Faults injected",
        "Faults of the schedule so far, by kind.",
        [Query("sum by (fault) (stressd_faults_injected_total)", "{{fault}}")],
        Look("none", decimals=0),
    )
    yield timeseries(
        32,
        "Recovery",
        "From the end of a fault until service was good again: the median and the slowest tenth, over an hour.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le, fault) (rate(stressd_recovery_seconds_bucket[1h])))",
                f"{{{{fault}}}} {name}",
            )
            for quantile, name in (("0.5", "p50"), ("0.9", "p90"))
        ],
        Look("s"),
        width=24,
        log=True,
    )

"""The overview's sections on what the daemon uses: memory, processors, descriptors, and the time of a scrape."""

from collections.abc import Iterable, Mapping

from stressd.criteria import Criterion
from stressd.render.alerts import MB, Alert
from stressd.render.panels import (
    BAD,
    GOOD,
    QUANTILES,
    Json,
    Look,
    Query,
    above,
    dashed,
    row,
    steps_of,
    timeseries,
)


def memory(criteria: Mapping[str, Criterion], alerts: Mapping[str, Alert]) -> Iterable[Json]:
    """Yield the section on memory."""
    near = alerts["MemoryNearLimit"].threshold
    yield row(104, "Memory")
    yield timeseries(
        50,
        "All processes against the limit",
        f"Memory of the daemon and its workers. Proportional: shared pages counted once. An alert fires at {near:.0%} "
        "of the limit.",
        [
            Query("sum(stressd:tree_memory_bytes)", "proportional"),
            Query("sum(stressd_tree_proportional_memory_bytes)", "proportional, as the kernel tells"),
            Query("sum(stressd_tree_resident_memory_bytes)", "resident, shared pages counted again"),
            Query("sum(stressd_memory_limit_bytes)", "limit"),
        ],
        Look("bytes"),
        overrides=[dashed("limit")],
    )
    yield timeseries(
        51,
        "Resident by worker",
        "Resident memory of each worker, and of the daemon.",
        [
            Query("stressd_worker_resident_memory_bytes", "{{pool}}/{{worker}}"),
            Query("process_resident_memory_bytes", "daemon"),
        ],
        Look("bytes"),
    )
    yield timeseries(
        52,
        "Growth an hour",
        "Slope of the memory over the last hour; shrinking is shown as 0. The first hour or so is warming up. Line: "
        "criterion memory_growth.",
        [Query("clamp_min(deriv(stressd:tree_memory_bytes[1h]) * 3600, 0)", "{{instance}}")],
        Look("decbytes", steps_of(criteria["memory_growth"], MB)),
    )
    yield timeseries(
        53,
        "Arrow",
        "What Arrow holds, all processes: frames on their way in and out.",
        [Query("sum(stressd_arrow_allocated_bytes)", "Arrow")],
        Look("bytes"),
    )


def saturation(criteria: Mapping[str, Criterion], alerts: Mapping[str, Alert]) -> Iterable[Json]:
    """Yield the section on what may run out: processors, descriptors, time to scrape."""
    yield row(105, "Saturation")
    yield timeseries(
        60,
        "Late and dropped",
        "Operations that started more than 10 ms late, and those given up. If a processor is free, the store is slow; "
        "if none is, the generator is.",
        [
            Query("sum by (pool) (rate(stressd_operations_late_total[$__rate_interval]))", "late: {{pool}}"),
            Query("sum by (pool) (rate(stressd_operations_dropped_total[$__rate_interval]))", "dropped: {{pool}}"),
        ],
        Look("ops"),
        width=8,
    )
    yield timeseries(
        61,
        "Processor",
        "Processor time of the whole process tree over what it may use. Line: criterion cpu_at_rest.",
        [Query("max by (instance) (stressd:cpu:ratio_rate5m)", "{{instance}}")],
        Look("percentunit", steps_of(criteria["cpu_at_rest"], 0.01)),
        width=8,
    )
    yield timeseries(
        62,
        "File descriptors",
        "Open file descriptors over how many a process may have. Line: the alert FdExhaustion.",
        [
            Query(
                "stressd_worker_open_fds / on (job, instance) group_left () process_max_fds",
                "{{pool}}/{{worker}}",
            ),
            Query("process_open_fds / process_max_fds", "daemon"),
        ],
        Look("percentunit", above(alerts["FdExhaustion"].threshold)),
        width=8,
    )
    yield timeseries(
        63,
        "Scrapes",
        "How long Prometheus waited for a scrape, and how long the daemon took to collect it.",
        [
            Query("max by (instance) (scrape_duration_seconds)", "scrape"),
            Query("max by (instance) (stressd_collector_seconds)", "collecting"),
        ],
        Look("s", above(alerts["ScrapeSlow"].threshold)),
        width=8,
        log=True,
    )
    yield timeseries(
        64,
        "Left out of scrapes",
        "Parts of a scrape that failed and were left out; the daemon's log says which.",
        [Query("sum(increase(stressd_collector_errors_total[$__rate_interval]))", "parts")],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=8,
    )
    yield timeseries(
        65,
        "Supervisor's loop",
        "How long one turn of the supervisor took: it sees deaths, starts replacements and injects faults.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le)"
                " (rate(stressd_supervisor_tick_seconds_bucket[$__rate_interval])))",
                name,
            )
            for quantile, name in (QUANTILES[0], QUANTILES[2])
        ],
        Look("s"),
        width=8,
        log=True,
    )

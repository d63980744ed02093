"""Every alert, once. Prometheus's rules, their unit tests, Grafana's alerts and the runbook's sections derive from it.

An alert fires while its value is above its threshold for `hold`. A value is there in health too, so that a threshold
can be compared apart from it (as Grafana does) and a graph can show how near it is; what must hold beside it is
multiplied in as 0 or 1. Injected errors are no errors, restarts that were planned are no crashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from stressd.criteria import BY_NAME, Criterion
from stressd.render.recording import errors_ratio

RUNBOOK: Final = "docs/runbook.md"

Severity = Literal["critical", "warning"]

MB: Final = 1e6
FAST_BURN: Final = 14.4  # times the budget: a month's in two days (SRE workbook, chapter 5)
SLOW_BURN: Final = 3.0  # a month's in ten days
BEHIND_SHARE: Final = 0.05  # with `BUSY_CPU` what the verdict calls a saturated generator
BUSY_CPU: Final = 0.9
_SETTLED_S: Final = 5_400  # from its start until a daemon's slopes mean something: an hour of range after warming up


@dataclass(frozen=True, slots=True)
class Panel:
    """Where an alert's value is shown: a dashboard's uid and a panel's id in it."""

    dashboard: str
    panel: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `hold` is a Prometheus duration; `shown` the template function that makes its value readable.

    In `description`, `{value}` stands for the value and `{{ $labels.pool }}` for a label.
    """

    name: str
    severity: Severity
    value: str
    threshold: float
    hold: str
    summary: str
    description: str
    panel: Panel
    shown: str = "humanize"

    @property
    def expression(self) -> str:
        """The condition as Prometheus takes it."""
        return f"({self.value}) > {self.threshold:.10g}"

    @property
    def runbook(self) -> str:
        """The runbook's section about it."""
        return f"{RUNBOOK}#{self.name.lower()}"


def alerts(criteria: Mapping[str, Criterion] = BY_NAME) -> tuple[Alert, ...]:
    """Return all alerts, with the thresholds of these criteria where they are theirs."""
    error_rate, growth = criteria["error_rate"], criteria["memory_growth"]
    budget, too_many = _share(error_rate.pass_line.bound), _share(error_rate.fail_line.bound)
    return (
        Alert(
            "ViolationDetected",
            "critical",
            "sum by (job, instance, kind) (stressd_violations_total)",
            0,
            "0s",
            "The store lost or changed data",
            "{value} violation(s) on {{ $labels.instance }}: {{ $labels.kind }}. Specimens are in its state folder.",
            Panel("stressd-overview", 2),
        ),
        Alert(
            "HighErrorRatio",
            "warning",
            _with_traffic(errors_ratio("5m")),
            too_many,
            "2m",
            "Too many operations fail",
            "{value} of the operations on {{ $labels.instance }} failed in the last five minutes, injected ones apart.",
            Panel("stressd-overview", 30),
            "humanizePercentage",
        ),
        Alert(
            "VeryHighErrorRatio",
            "critical",
            _with_traffic(errors_ratio("5m")),
            round(4 * too_many, 10),
            "2m",
            "A large part of all operations fails",
            "{value} of the operations on {{ $labels.instance }} failed in the last five minutes, injected ones apart.",
            Panel("stressd-overview", 30),
            "humanizePercentage",
        ),
        Alert(
            "ErrorBudgetBurnFast",
            "critical",
            _lesser(errors_ratio("5m"), errors_ratio("1h")),
            round(FAST_BURN * budget, 10),
            "2m",
            "A month's error budget would be gone in two days",
            "{value} of the operations on {{ $labels.instance }} fail, in the last hour and still.",
            Panel("stressd-overview", 33),
            "humanizePercentage",
        ),
        Alert(
            "ErrorBudgetBurnSlow",
            "warning",
            _lesser(errors_ratio("2h"), errors_ratio("1d")),
            round(SLOW_BURN * budget, 10),
            "15m",
            "A month's error budget would be gone in ten days",
            "{value} of the operations on {{ $labels.instance }} fail, in the last day and still.",
            Panel("stressd-overview", 33),
            "humanizePercentage",
        ),
        Alert(
            "Down",
            "critical",
            'up{job="stressd"} == bool 0 or absent(up{job="stressd"})',
            0,
            "2m",
            "stressd does not answer",
            "Prometheus has not been able to scrape stressd {{ $labels.instance }} for two minutes.",
            Panel("stressd-overview", 8),
        ),
        Alert(
            "NoProgress",
            "critical",
            '(sum by (job, instance) (rate(stressd_operations_total{outcome!~"error|timeout"}[5m])) == bool 0)'
            f"\n* on (job, instance) {_RUNNING}",
            0,
            "5m",
            "The load runs, and nothing gets done",
            "Not one operation has succeeded on {{ $labels.instance }} for five minutes.",
            Panel("stressd-overview", 20),
        ),
        Alert(
            "WorkerStalled",
            "warning",
            "(time() - (stressd_worker_heartbeat_timestamp_seconds > 0))"
            f"\n* on (job, instance) group_left () {_RUNNING}",
            60,
            "1m",
            "A worker gives no sign of life",
            "Worker {{ $labels.pool }}/{{ $labels.worker }} on {{ $labels.instance }} has been silent for {value}.",
            Panel("stressd-workers", 22),
            "humanizeDuration",
        ),
        Alert(
            "WorkersMissing",
            "warning",
            "(stressd_workers_desired - on (job, instance, pool)"
            ' sum by (job, instance, pool) (stressd_workers{state="running"}))'
            f"\n* on (job, instance) group_left () {_RUNNING}",
            0,
            "5m",
            "Workers are missing",
            "{value} worker(s) of pool {{ $labels.pool }} on {{ $labels.instance }} are not at work.",
            Panel("stressd-workers", 10),
        ),
        Alert(
            "CrashLoop",
            "critical",
            'sum by (job, instance, pool) (increase(stressd_worker_restarts_total{reason!~"recycle|injected"}[10m]))',
            5,
            "0s",
            "Workers die again and again",
            "{value} workers of pool {{ $labels.pool }} on {{ $labels.instance }} died unasked in ten minutes.",
            Panel("stressd-workers", 30),
        ),
        Alert(
            "LatencyHigh",
            "warning",
            'stressd:operation_latency_seconds:p99_5m{op=~"read|save"}',
            1,
            "10m",
            "Operations are slow",
            "The slowest hundredth of {{ $labels.op }} operations on {{ $labels.instance }} takes {value} or longer.",
            Panel("stressd-overview", 40),
            "humanizeDuration",
        ),
        Alert(
            "MemoryGrowth",
            "warning",
            f"deriv(stressd:tree_memory_bytes[1h]) * 3600{_SETTLED}",
            growth.fail_line.bound * MB,
            "30m",
            "Memory grows",
            "The memory of stressd on {{ $labels.instance }} grows by {value}B an hour.",
            Panel("stressd-overview", 52),
        ),
        Alert(
            "MemoryLimitAhead",
            "critical",
            "predict_linear(stressd:tree_memory_bytes[1h], 4 * 3600) / on (job, instance) stressd_memory_limit_bytes"
            + _SETTLED,
            1,
            "15m",
            "Memory will not last for four more hours",
            "If it goes on like this, stressd on {{ $labels.instance }} will need {value} of its limit in four hours.",
            Panel("stressd-overview", 50),
            "humanizePercentage",
        ),
        Alert(
            "MemoryNearLimit",
            "critical",
            "stressd:tree_memory_bytes / on (job, instance) stressd_memory_limit_bytes",
            0.9,
            "5m",
            "Memory is nearly used up",
            "stressd on {{ $labels.instance }} uses {value} of the memory it may use.",
            Panel("stressd-overview", 50),
            "humanizePercentage",
        ),
        Alert(
            "StoreGrowth",
            "warning",
            f"deriv(stressd_store_bytes[1h]) * 259200 / on (job, instance) (stressd_disk_free_bytes > 0){_SETTLED}",
            1,
            "30m",
            "The store will fill its disk within three days",
            "In three days the store on {{ $labels.instance }} will have grown by {value} of what is free on its disk.",
            Panel("stressd-store-and-soak", 10),
            "humanizePercentage",
        ),
        Alert(
            "FdExhaustion",
            "warning",
            'max by (job, instance) (stressd_worker_open_fds or process_open_fds{job="stressd"})'
            '\n/ on (job, instance) process_max_fds{job="stressd"}',
            0.8,
            "5m",
            "File descriptors are nearly used up",
            "A process of stressd on {{ $labels.instance }} has {value} of the file descriptors open that it may have.",
            Panel("stressd-overview", 62),
            "humanizePercentage",
        ),
        Alert(
            "GeneratorSaturated",
            "warning",
            "stressd:operations_behind:ratio_rate5m\n"
            f"* on (job, instance) (stressd:cpu:ratio_rate5m > bool {BUSY_CPU})",
            BEHIND_SHARE,
            "10m",
            "The generator sets the pace, not the store",
            "{value} of the starts on {{ $labels.instance }} came late or never, and no processor is left for more.",
            Panel("stressd-overview", 60),
            "humanizePercentage",
        ),
        Alert(
            "CriterionFailed",
            "warning",
            # The integrity of data has an alert of its own, a critical one.
            'stressd_criterion_status{criterion!="data_integrity"} == bool 2',
            0,
            "5m",
            "A success criterion fails",
            "Criterion {{ $labels.criterion }} fails on {{ $labels.instance }}.",
            Panel("stressd-overview", 10),
        ),
        Alert(
            "CriterionInconclusive",
            "warning",
            "stressd_criterion_status == bool 3",
            0,
            "1h",
            "A success criterion cannot be decided",
            "Criterion {{ $labels.criterion }} has been inconclusive on {{ $labels.instance }} for an hour.",
            Panel("stressd-overview", 10),
        ),
        Alert(
            "ReloadFailed",
            "warning",
            "1 - stressd_reload_success",
            0,
            "0s",
            "A reload was refused",
            "The scenario that {{ $labels.instance }} was to take over is wrong, so the old one goes on.",
            Panel("stressd-overview", 14),
        ),
        Alert(
            "ScrapeSlow",
            "warning",
            'scrape_duration_seconds{job="stressd"}',
            1,
            "5m",
            "A scrape takes long",
            "A scrape of stressd {{ $labels.instance }} takes {value}.",
            Panel("stressd-overview", 63),
            "humanizeDuration",
        ),
    )


_RUNNING: Final = 'stressd_state{stressd_state="running"}'
_SETTLED: Final = f'\n* on (job, instance) (time() - process_start_time_seconds{{job="stressd"}} > bool {_SETTLED_S})'


def _share(percent: float) -> float:
    return round(percent / 100, 10)


def _with_traffic(ratio: str) -> str:
    """Return the share, and 0 where there is so little to do that one error would be a large share."""
    return f"{ratio} * on (job, instance) (stressd:operation_attempts:rate5m > bool 0.2)"


def _lesser(short: str, long: str) -> str:
    """Return the lesser of two shares: it burns, and has burned for a while."""
    return f"({short} < {long}) or {long}"

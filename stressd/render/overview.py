"""The first dashboard: whether the store is right, fast and steady."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from stressd.criteria import STATUS_CODE, Criterion, Outcome
from stressd.objectives import Objective
from stressd.render.alerts import FAST_BURN, SLOW_BURN, Alert
from stressd.render.board import board
from stressd.render.objectives import objective_panels
from stressd.render.panels import (
    BAD,
    DOUBTFUL,
    GOOD,
    NEUTRAL,
    QUANTILES,
    UNKNOWN,
    Json,
    Look,
    Query,
    above,
    dashed,
    heatmap,
    named,
    row,
    stat,
    state_timeline,
    steps_of,
    table,
    timeseries,
)
from stressd.render.resources import memory, saturation

UID: Final = "stressd-overview"

_COLORS: Final = {
    Outcome.PASS: GOOD,
    Outcome.WARN: DOUBTFUL,
    Outcome.FAIL: BAD,
    Outcome.INCONCLUSIVE: NEUTRAL,
    Outcome.NOT_APPLICABLE: UNKNOWN,
}
_OUTCOMES: Final = named({STATUS_CODE[each]: (each.replace("_", " "), color) for each, color in _COLORS.items()})
_RATIO: Final = (
    'sum(rate(stressd_operations_total{outcome=~"error|timeout"}[$__rate_interval]))'
    ' / sum(rate(stressd_operations_total{outcome!="injected"}[$__rate_interval]))'
)


def overview(
    criteria: Mapping[str, Criterion], alerts: Mapping[str, Alert], objectives: Sequence[Objective] = ()
) -> Json:
    """Return the dashboard, with the thresholds of these criteria and alerts, and a row of objectives if there are."""
    return board(
        UID,
        "Overview",
        "Is the store right, is it fast, is it steady? Begin here; every alert links to one of these panels.",
        [
            *_status(criteria),
            *_traffic(),
            *_errors(criteria),
            *_latency(alerts),
            *memory(criteria, alerts),
            *saturation(criteria, alerts),
            *objective_panels(objectives),
        ],
    )


def _status(criteria: Mapping[str, Criterion]) -> Iterable[Json]:
    yield row(100, "Status")
    yield stat(
        1,
        "State",
        "What the daemon is doing: starting (probes included), warming up, running, draining, stopped.",
        [Query("stressd_state == 1", "{{stressd_state}}")],
        Look("none"),
        names=True,
    )
    yield stat(
        2,
        "Violations",
        "Data that was lost, or read wrongly, since the daemon started. Anything but 0 is why this project exists.",
        [Query("sum(stressd_violations_total)")],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=2,
    )
    yield stat(
        3,
        "Criteria failing",
        "Success criteria that fail now; the bars below say which.",
        [Query("sum(stressd_criterion_status == bool 2)")],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=2,
    )
    yield stat(
        4,
        "Error ratio",
        "Share of operations that failed, injected errors apart. Colours: criterion error_rate.",
        [Query(_RATIO)],
        Look("percentunit", steps_of(criteria["error_rate"], 0.01), decimals=2),
        graph=True,
    )
    yield stat(
        5,
        "Operations",
        "Operations that went well, each second.",
        [Query('sum(rate(stressd_operations_total{outcome="ok"}[$__rate_interval]))')],
        Look("ops", decimals=1),
        graph=True,
    )
    yield stat(
        6,
        "Slowest reads",
        "The slowest hundredth of reads takes this long or longer, counted from when each was meant to start.",
        [
            Query(
                "histogram_quantile(0.99, sum by (le)"
                ' (rate(stressd_operation_latency_seconds_bucket{op="read"}[$__rate_interval])))'
            )
        ],
        Look("s"),
        graph=True,
    )
    yield stat(
        7,
        "Workers",
        "Worker processes at work, and how many there should be.",
        [
            Query('sum(stressd_workers{state="running"})', "at work"),
            Query("sum(stressd_workers_desired)", "wanted"),
        ],
        Look("none", decimals=0),
    )
    yield stat(
        8,
        "Uptime",
        "How long the daemon has been running; nothing here while Prometheus cannot reach it.",
        [Query("(time() - process_start_time_seconds) and on (job, instance) (up == 1)", "{{instance}}")],
        Look("s", decimals=0),
    )
    yield stat(
        9,
        "Version",
        "The version of stressd.",
        [Query("stressd_build_info", "{{version}}")],
        Look("none"),
        width=2,
        names=True,
    )
    yield stat(
        14,
        "Reload",
        "Whether the last reload of the scenario was taken over, and when one was, or the start. See docs/reload.md.",
        [
            Query("min(stressd_reload_success)", "taken over"),
            Query("time() - max(stressd_reload_timestamp_seconds)", "age"),
        ],
        Look("none", ((None, BAD), (1, GOOD)), decimals=0),
        width=3,
    )
    yield state_timeline(
        10,
        "Criteria",
        "Each success criterion as it stood. Inconclusive: too little was measured to tell, which is never a pass.",
        [Query("stressd_criterion_status", "{{criterion}}")],
        Look("none", mappings=_OUTCOMES),
        width=15,
        height=12,
    )
    yield table(
        11,
        "Criteria now",
        "What each criterion measured, in its own unit; docs/criteria.md has units, thresholds and reasons.",
        [
            Query("max by (criterion) (stressd_criterion_status)"),
            Query("max by (criterion) (stressd_criterion_value)"),
        ],
        Look("none", mappings=_OUTCOMES, decimals=2),
        columns={"criterion": "Criterion", "Value #A": "Verdict", "Value #B": "Measured"},
        coloured="Verdict",
        width=9,
    )
    yield table(
        13,
        "Firing alerts",
        "Prometheus's rules that fire now; whom they reach is Grafana's or Alertmanager's business. docs/runbook.md "
        "has a section for each.",
        [Query('max by (alertname, severity, instance) (ALERTS{alertstate="firing"})')],
        Look("none"),
        columns={"alertname": "Alert", "severity": "Severity", "instance": "Instance"},
        height=5,
    )
    yield table(
        12,
        "Run",
        "What runs: `stressd run` prints the same, and run.json in the state folder has all of it.",
        [Query("max by (instance, run_id, scenario, target, hash) (stressd_run_info)")],
        Look("none"),
        columns={
            "instance": "Instance",
            "run_id": "Run",
            "scenario": "Scenario",
            "target": "Target",
            "hash": "Movies (SHA-256)",
        },
        height=5,
    )


def _traffic() -> Iterable[Json]:
    yield row(101, "Traffic")
    yield timeseries(
        20,
        "Operations by kind",
        "Operations that went well, each second, and how many the pools are asked for (closed pools ask for none).",
        [
            Query('sum by (op) (rate(stressd_operations_total{outcome="ok"}[$__rate_interval]))', "{{op}}"),
            Query("sum(stressd_offered_rate)", "offered"),
        ],
        Look("ops"),
        stacked=True,
        overrides=[dashed("offered")],
    )
    yield timeseries(
        21,
        "Payload",
        "Bytes generated, saved and read each second, as they are in memory.",
        [Query("sum by (op) (rate(stressd_bytes_total[$__rate_interval]))", "{{op}}")],
        Look("Bps"),
    )
    yield timeseries(
        22,
        "Rows, movies and checked reads",
        "Rows of frames and movies turned into features each second, and reads whose content was checked.",
        [
            Query("sum by (op) (rate(stressd_rows_total[$__rate_interval]))", "rows: {{op}}"),
            Query("sum(rate(stressd_movies_total[$__rate_interval]))", "movies: generate"),
            Query("sum(rate(stressd_reads_verified_total[$__rate_interval]))", "reads checked"),
        ],
        Look("cps"),
        log=True,
    )
    yield timeseries(
        23,
        "Under way",
        "Operations that have begun and not ended.",
        [Query("sum by (op) (stressd_operations_inflight)", "{{op}}")],
        Look("none", decimals=0),
        stacked=True,
    )


def _errors(criteria: Mapping[str, Criterion]) -> Iterable[Json]:
    budget = criteria["error_rate"].pass_line.bound / 100
    yield row(102, "Errors")
    yield timeseries(
        30,
        "Error ratio",
        "Share of operations that failed, injected errors apart; now, and over five minutes as alerts see it. Lines: "
        "where criterion error_rate warns and fails.",
        [Query(_RATIO, "now"), Query("max(stressd:operation_errors:ratio_rate5m)", "five minutes")],
        Look("percentunit", steps_of(criteria["error_rate"], 0.01)),
    )
    yield timeseries(
        31,
        "Errors by class",
        "What the operations that raised, raised, each second.",
        [
            Query(
                "sum by (op, error) (rate(stressd_operation_errors_total[$__rate_interval])) > 0",
                "{{op}}: {{error}}",
            ),
            Query("sum(rate(stressd_operation_errors_total[$__rate_interval]))", "all"),
        ],
        Look("ops"),
    )
    yield timeseries(
        32,
        "What did not go well",
        "Operations a second by outcome. Injected: a fault of the schedule was on. Violation: a wrong answer.",
        [
            Query(
                'sum by (outcome) (rate(stressd_operations_total{outcome!="ok"}[$__rate_interval]))',
                "{{outcome}}",
            )
        ],
        Look("ops"),
    )
    yield timeseries(
        33,
        "Budget burn",
        f"How many times faster than allowed errors come, where {budget:.2%} is allowed. Lines: a month's budget is "
        "gone in ten days, in two.",
        [
            Query(f"max(stressd:operation_errors:ratio_rate{over}) / {budget:g}", over)
            for over in ("5m", "1h", "2h", "1d")
        ],
        Look("none", ((None, GOOD), (SLOW_BURN, DOUBTFUL), (FAST_BURN, BAD)), decimals=1),
    )
    yield timeseries(
        34,
        "Violations by kind",
        "Data violations since the daemon started. docs/runbook.md says what each kind means.",
        [Query("sum by (kind) (stressd_violations_total)", "{{kind}}")],
        Look("none", ((None, GOOD), (1, BAD)), decimals=0),
        width=24,
    )


def _latency(alerts: Mapping[str, Alert]) -> Iterable[Json]:
    yield row(103, "Latency")
    yield timeseries(
        40,
        "Slowest hundredth by operation",
        "p99 over five minutes, counted from when each operation was meant to start: waiting for a slow one before it "
        "counts too. Line: the alert LatencyHigh.",
        [Query("max by (op) (stressd:operation_latency_seconds:p99_5m)", "{{op}}")],
        Look("s", above(alerts["LatencyHigh"].threshold)),
        log=True,
    )
    yield heatmap(
        43,
        "Reads, all of them",
        "How many reads took how long, from their actual start. Two bands are the cache and the store.",
        Query(
            'sum by (le) (increase(stressd_operation_service_seconds_bucket{op="read"}[$__rate_interval]))',
            "{{le}}",
        ),
    )
    for number, op in ((41, "read"), (42, "save")):
        yield timeseries(
            number,
            f"Latency of {op}s",
            "Half, nine tenths, 99 % and 99.9 % take at most this long, counted from the intended start.",
            [
                Query(
                    f"histogram_quantile({quantile}, sum by (le)"
                    f' (rate(stressd_operation_latency_seconds_bucket{{op="{op}"}}[$__rate_interval])))',
                    name,
                )
                for quantile, name in QUANTILES
            ],
            Look("s"),
            width=8,
            log=True,
        )
    yield timeseries(
        44,
        "Cache against store",
        "Reads that the cache answered beside those that the store itself did, from their actual start.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le, source)"
                ' (rate(stressd_operation_service_seconds_bucket{op="read"}[$__rate_interval])))',
                f"{{{{source}}}} {name}",
            )
            for quantile, name in (QUANTILES[0], QUANTILES[2])
        ],
        Look("s"),
        width=8,
        log=True,
    )

"""The reference pages: docs/criteria.md and docs/metrics.md."""

from collections.abc import Iterable, Sequence
from typing import Final

from stressd.criteria import STATUS_CODE, Criterion, Line
from stressd.metrics import METRICS, RESTART_REASONS, WORKER_STATES, Metric
from stressd.render.markdown import page, paragraph, table

_OF_THE_RUN: Final = {
    "pool": "the scenario's pools",
    "worker": "the pool's slots, from 0",
    "criterion": "[the criteria](criteria.md) that are judged",
}
_OF_THE_NODE: Final = {"state": WORKER_STATES, "reason": RESTART_REASONS}


def criteria_page(criteria: Sequence[Criterion]) -> str:
    """Return docs/criteria.md."""
    codes = ", ".join(f"{code} {outcome.replace('_', ' ')}" for outcome, code in STATUS_CODE.items())
    coded = f"`stressd_criterion_status` is {codes}; `stressd_criterion_value` is the value, in the criterion's unit."
    rows = (
        (
            f"[`{each.name}`](#{each.name})",
            _line(each.pass_line, each.unit),
            _line(each.fail_line, each.unit),
            each.subject,
            each.measures,
            each.window,
        )
        for each in criteria
    )
    return page(
        "stressd/criteria.py",
        "The success criteria",
        [_CRITERIA_ARE, coded],
        table(("criterion", "pass", "fail", "about", "measures", "over"), rows),
        *map(_criterion, criteria),
    )


def metrics_page(metrics: Sequence[Metric] = METRICS) -> str:
    """Return docs/metrics.md."""
    exported = [metric for metric in metrics if metric.exported]
    rows = ((f"`{each.full_name}`", each.kind, _labels(each), each.help) for each in exported)
    return page(
        "stressd/metrics.py",
        "The metrics",
        [_METRICS_ARE, _THE_CLIENTS_OWN],
        "## The ten to know",
        table(("question", "ask Prometheus"), ((question, f"`{expression}`") for question, expression in THE_TEN)),
        "## All of them",
        table(("metric", "type", "labels", "meaning"), rows),
        "## Label values",
        table(("label", "values"), _label_values(exported)),
    )


THE_TEN: Final = (
    ("Is the data right?", "sum by (kind) (stressd_violations_total)"),
    ("Does it pass?", "stressd_criterion_status"),
    (
        "What share of operations fails?",
        (
            'sum(rate(stressd_operations_total{outcome=~"error|timeout"}[5m]))'
            ' / sum(rate(stressd_operations_total{outcome!="injected"}[5m]))'
        ),
    ),
    ("Why?", "sum by (op, error) (rate(stressd_operation_errors_total[5m]))"),
    (
        "How slow is the slowest hundredth, waiting included?",
        "histogram_quantile(0.99, sum by (op, le) (rate(stressd_operation_latency_seconds_bucket[5m])))",
    ),
    (
        "What does the store itself take, what the cache?",
        "histogram_quantile(0.5, sum by (source, le) (rate(stressd_operation_service_seconds_bucket[5m])))",
    ),
    ("Does memory grow?", "deriv(stressd_tree_proportional_memory_bytes[1h]) * 3600"),
    ("Do workers die?", "sum by (reason) (increase(stressd_worker_restarts_total[1h]))"),
    (
        "Is the generator keeping up?",
        "sum(rate(stressd_operations_late_total[5m])) + sum(rate(stressd_operations_dropped_total[5m]))",
    ),
    ("How soon was service good again after a fault?", "stressd_recovery_seconds_sum / stressd_recovery_seconds_count"),
)
_CRITERIA_ARE: Final = (
    "Each compares one value with two lines; what lies between is a warning. No data is never a pass: too little is "
    "`inconclusive`, and what the target cannot do is `not_applicable`. A scenario may move a line or leave a "
    "criterion out. The verdict, the alerts, the dashboards' thresholds and this page are made from one table."
)
_METRICS_ARE: Final = (
    "What `/metrics` shows, in Prometheus's text format or as OpenMetrics, whichever is asked for. Label values are "
    "closed sets and every series is there, at 0, from the first scrape; counters never go backwards while it "
    'runs, also when workers are killed. Names, types and labels are an interface. `pool="probe"` is what probes did.'
)
_THE_CLIENTS_OWN: Final = (
    "Beside these there are `process_*` and `python_info` of the client library, about the daemon's own process alone."
)


def _criterion(criterion: Criterion) -> str:
    needs = ", ".join(ability.replace("_", " ") for ability in criterion.needs) or "nothing"
    probe = f", or the `{criterion.probe}` probe where the scenario runs it" if criterion.probe else ""
    text = f"{criterion.why} It measures {criterion.measures}, over: {criterion.window}{probe}. It needs {needs}."
    return f"## {criterion.name}\n\n{paragraph(text)}"


def _line(line: Line, unit: str) -> str:
    return ("yes" if line.bound else "no") if unit == "yes" else f"{line} {unit}"


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels)


def _label_values(metrics: Iterable[Metric]) -> Iterable[tuple[str, str]]:
    closed: dict[str, dict[str, None]] = {}
    for metric in metrics:
        for place, label in enumerate(metric.labels):
            values = closed.setdefault(label, dict.fromkeys(_OF_THE_NODE.get(label, ())))
            values.update(dict.fromkeys(series[place] for series in metric.series if place < len(series)))
    for label, values in closed.items():
        told = ", ".join(f"`{value}`" for value in values) or _OF_THE_RUN.get(label, "one, of the run")
        yield f"`{label}`", told

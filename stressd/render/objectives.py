"""The scenario's own objectives: an alert and a panel of each, from histograms and counters that are there anyway."""

from collections.abc import Iterable, Sequence
from typing import Final

from stressd import durations
from stressd.objectives import QUANTILES, Objective
from stressd.render.alerts import Alert, Panel
from stressd.render.panels import Json, Look, Query, row, steps_of, timeseries

FIRST_PANEL: Final = 200
_LEAST_HOLD: Final = "1m"
_LOOKS: Final = {"s": ("s", 1.0), "%": ("percentunit", 0.01), "ops/s": ("ops", 1.0)}


def objective_alerts(objectives: Sequence[Objective]) -> tuple[Alert, ...]:
    """Return the alert of each: it fires while the last window is beyond the line of failure."""
    return tuple(_alert(objective, FIRST_PANEL + 1 + place) for place, objective in enumerate(objectives))


def objective_panels(objectives: Sequence[Objective]) -> Iterable[Json]:
    """Return a row with a panel of each; nothing where there is none."""
    if objectives:
        yield row(FIRST_PANEL, "Objectives")
    for place, objective in enumerate(objectives):
        unit, scale = _LOOKS[objective.unit]
        yield timeseries(
            FIRST_PANEL + 1 + place,
            objective.name,
            f"{objective.criterion.measures.capitalize()}; the objective is about windows of "
            f"{durations.text(objective.window)}. Lines: where it warns and fails.",
            [Query(_value(objective, "$__rate_interval"), objective.subject)],
            Look(unit, steps_of(objective.criterion, scale)),
        )


def _alert(objective: Objective, panel: int) -> Alert:
    _, scale = _LOOKS[objective.unit]
    more_is_better = objective.stat == "rate"
    window = durations.text(max(objective.window, 60.0))  # a shorter one holds too few scrapes to say anything
    value = _value(objective, window, by="job, instance")
    hold = objective.abort_after
    return Alert(
        f"Objective{''.join(part.capitalize() for part in objective.name.split('_'))}",
        "warning",
        f"{objective.fail:g} - {value}" if more_is_better else value,
        0 if more_is_better else round(objective.fail * scale, 10),
        _LEAST_HOLD if hold is None else durations.text(hold),
        f"Objective {objective.name} is missed",
        f"{objective.criterion.measures} on {{{{ $labels.instance }}}}: "
        + ("{value} operations a second too few." if more_is_better else "{value}."),
        Panel("stressd-overview", panel),
        {"s": "humanizeDuration", "%": "humanizePercentage", "ops/s": "humanize"}[objective.unit],
    )


def _value(objective: Objective, window: str, by: str = "") -> str:
    """Return what the last window came to, as PromQL."""
    sums = f"sum by ({by})" if by else "sum"
    op = f'op="{objective.op}"'
    if objective.stat == "error_ratio":
        failed = f'stressd_operations_total{{{op}, outcome=~"error|timeout"}}'
        ended = f'stressd_operations_total{{{op}, outcome!="injected"}}'
        return f"{sums} (rate({failed}[{window}])) / ({sums} (rate({ended}[{window}])) > 0)"
    source = f', source="{objective.source}"' if objective.source else ""
    series = f"stressd_operation_service_seconds_%s{{{op}{source}}}"
    if objective.stat == "rate":
        return f"{sums} (rate({series % 'count'}[{window}]))"
    grouped = f"sum by ({', '.join(filter(None, [by, 'le']))})"
    return f"histogram_quantile({QUANTILES[objective.stat]}, {grouped} (rate({series % 'bucket'}[{window}])))"

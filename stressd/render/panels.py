"""Panels of a Grafana dashboard as plain dicts, in the shape that Grafana itself saves.

Each builder fixes what its kind of panel looks like; what differs from panel to panel is said where it is built. Every
query is narrowed to the dashboard's `$job` and `$instance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stressd.criteria import Criterion
from stressd.render.promql import scoped

Json = dict[str, Any]
Step = tuple[float | None, str]  # from this value on, this colour; None: from the lowest

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GOOD: Final = "green"
DOUBTFUL: Final = "yellow"
BAD: Final = "red"
NEUTRAL: Final = "blue"
UNKNOWN: Final = "#8e8e8e"
COLUMNS: Final = 24
QUANTILES: Final = (("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99"), ("0.999", "p99.9"))


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the name its series get. `instant`: only the newest value."""

    expression: str
    legend: str = ""
    instant: bool = False
    form: str = "time_series"

    def target(self, ref: str) -> Json:
        """Return it as the panel's query called `ref`."""
        return {
            "refId": ref,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": scoped(self.expression),
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": self.form,
        }


@dataclass(frozen=True, slots=True)
class Look:
    """What a panel's values are: their unit (of Grafana's list), least and greatest value, and where colours change."""

    unit: str
    steps: Sequence[Step] = ((None, NEUTRAL),)
    least: float = 0
    most: float | None = None
    decimals: int | None = None
    mappings: Sequence[Json] = ()

    def defaults(self, custom: Json, color: Json | None = None) -> Json:
        """Return the defaults of the panel's fields."""
        optional = {"max": self.most, "decimals": self.decimals}
        return {
            "unit": self.unit,
            "min": self.least,
            **{name: value for name, value in optional.items() if value is not None},
            "color": color or {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": name} for at, name in self.steps]},
            "mappings": list(self.mappings),
            "custom": custom,
        }


def steps_of(criterion: Criterion, scale: float = 1.0) -> tuple[Step, ...]:
    """Return a criterion's colours: green where it passes, red where it fails; `scale` turns its unit into ours."""
    passing, failing = (round(line.bound * scale, 10) for line in (criterion.pass_line, criterion.fail_line))
    if criterion.pass_line.comparison in ("<", "<="):
        return ((None, GOOD), *(((passing, DOUBTFUL),) if failing > passing else ()), (failing, BAD))
    return ((None, BAD), *(((failing, DOUBTFUL),) if passing > failing else ()), (passing, GOOD))


def above(threshold: float) -> tuple[Step, ...]:
    """Return the colours of a value that an alert watches: red from where it fires."""
    return (None, GOOD), (threshold, BAD)


def named(values: Mapping[float, tuple[str, str]]) -> list[Json]:
    """Return the mapping of values to a text and a colour."""
    options = {
        f"{value:g}": {"text": text, "color": color, "index": place}
        for place, (value, (text, color)) in enumerate(values.items())
    }
    return [{"type": "value", "options": options}]


def stat(
    number: int,
    title: str,
    text: str,
    queries: Sequence[Query],
    look: Look,
    *,
    width: int = 3,
    names: bool = False,
    graph: bool = False,
) -> Json:
    """Return single values, with `names` the series' names instead, with `graph` their course behind them."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto",
        "textMode": "name" if names else "value_and_name" if len(queries) > 1 else "value",
        "colorMode": "background_solid" if len(look.steps) > 1 else "value",
        "graphMode": "area" if graph else "none",
        "justifyMode": "center",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return _panel("stat", number, title, text, queries, look.defaults({}), options, (width, 4))


def timeseries(
    number: int,
    title: str,
    text: str,
    queries: Sequence[Query],
    look: Look,
    *,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    log: bool = False,
    **more: Any,
) -> Json:
    """Return lines over time; thresholds, where the look has any, are drawn as lines."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "thresholdsStyle": {"mode": "dashed" if len(look.steps) > 1 else "off"},
    }
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["mean", "max", "lastNotNull"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = look.defaults(custom, {"mode": "palette-classic"})
    return _panel("timeseries", number, title, text, queries, defaults, options, (width, height), **more)


def heatmap(number: int, title: str, text: str, query: Query, *, width: int = 12, height: int = 8) -> Json:
    """Return a heat map of a histogram's buckets."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "exponent": 0.5,
            "fill": "dark-orange",
            "reverse": False,
            "scale": "exponential",
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
    }
    custom = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}
    defaults = Look("s").defaults(custom)
    buckets = Query(query.expression, query.legend, form="heatmap")
    return _panel("heatmap", number, title, text, [buckets], defaults, options, (width, height))


def state_timeline(
    number: int, title: str, text: str, queries: Sequence[Query], look: Look, *, width: int = 24, height: int = 10
) -> Json:
    """Return one bar a series, coloured by its value."""
    custom = {"fillOpacity": 80, "lineWidth": 0}
    options = {
        "alignValue": "center",
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = look.defaults(custom)
    return _panel("state-timeline", number, title, text, queries, defaults, options, (width, height))


def table(
    number: int,
    title: str,
    text: str,
    queries: Sequence[Query],
    look: Look,
    *,
    columns: Mapping[str, str],
    coloured: str = "",
    height: int = 12,
    width: int = 12,
) -> Json:
    """Return a table of the newest values, a row for each set of labels.

    `columns` are the fields shown, in order, with their titles; the cells of the one titled `coloured`, if any, take
    the look's colours and texts.
    """
    rows = [Query(query.expression, query.legend, instant=True, form="table") for query in queries]
    transformations = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "includeByName": dict.fromkeys(columns, True),
                "indexByName": {name: place for place, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        },
    ]
    cells = {"type": "color-background", "mode": "basic"}
    in_colour = [
        {
            "matcher": {"id": "byName", "options": coloured},
            "properties": [
                {"id": "mappings", "value": list(look.mappings)},
                {"id": "custom.cellOptions", "value": cells},
            ],
        }
    ]
    plain = Look(look.unit, look.steps, look.least, look.most, look.decimals)
    return _panel(
        "table",
        number,
        title,
        text,
        rows,
        plain.defaults({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": False}),
        {"showHeader": True, "cellHeight": "sm", "frameIndex": 0},
        (width, height),
        transformations=transformations,
        overrides=in_colour if coloured else (),
    )


def row(number: int, title: str, *, collapsed_panels: Sequence[Json] = ()) -> Json:
    """Return the heading of a section."""
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": list(collapsed_panels),
        "gridPos": {"x": 0, "y": 0, "w": COLUMNS, "h": 1},
    }


def dashed(legend: str) -> Json:
    """Return the override that draws one series as a dashed grey line: a limit, a wish."""
    return {
        "matcher": {"id": "byName", "options": legend},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": UNKNOWN}},
        ],
    }


def _panel(
    kind: str,
    number: int,
    title: str,
    text: str,
    queries: Sequence[Query],
    defaults: Json,
    options: Json,
    size: tuple[int, int],
    *,
    overrides: Sequence[Json] = (),
    **more: Any,
) -> Json:
    width, height = size
    return {
        "id": number,
        "type": kind,
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "gridPos": {"x": 0, "y": 0, "w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "targets": [query.target(chr(ord("A") + place)) for place, query in enumerate(queries)],
        **more,
    }

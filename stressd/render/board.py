"""What all dashboards have in common: variables, annotations, links, and panels laid out in rows."""

from collections.abc import Sequence
from typing import Any, Final

from stressd.render.panels import COLUMNS, DATASOURCE, Json
from stressd.render.promql import scoped

SCHEMA_VERSION: Final = 42
TAG: Final = "stressd"

_FAULT: Final = "increase(stressd_faults_injected_total[$__rate_interval]) > 0"
_DEATHS: Final = 'sum by (job, instance, pool, reason) (increase(stressd_worker_restarts_total{reason!="recycle"}[$__rate_interval])) > 0'  # noqa: E501 - one expression
_VERSION: Final = "stressd_build_info unless stressd_build_info offset 2m"


def board(uid: str, title: str, description: str, panels: Sequence[Json], *, variables: Sequence[Json] = ()) -> Json:
    """Return a dashboard; the panels are laid out in the order given, left to right and down."""
    return {
        "id": None,
        "uid": uid,
        "title": f"stressd / {title}",
        "description": description,
        "tags": [TAG],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,  # one crosshair for all panels
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {"refresh_intervals": ["10s", "30s", "1m", "5m", "15m"]},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "links": [_to_the_others()],
        "templating": {"list": [_datasource(), *_source_variables(), *variables]},
        "annotations": {"list": _annotations()},
        "panels": _laid_out(panels),
    }


def query_variable(name: str, label: str, text: str, metric: str) -> Json:
    """Return a variable whose choices are the values that the label `name` has in a metric; all, at first."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "label": label,
        "description": text,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"variable-{name}", "qryType": 1},
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "refresh": 2,  # when the time range changes
        "regex": "",
        "sort": 1,
        "hide": 0,
    }


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes stressd.",
        "type": "datasource",
        "query": "prometheus",
        "multi": False,
        "includeAll": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "hide": 0,
    }


def _source_variables() -> list[Json]:
    return [
        query_variable("job", "job", "The scrape job.", "stressd_build_info"),
        query_variable("instance", "instance", "The daemon.", 'stressd_build_info{job=~"$job"}'),
    ]


def _annotations() -> list[Json]:
    builtin = {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }
    return [
        builtin,
        _annotation("Faults injected", "orange", _FAULT, "Fault injected: {{fault}}"),
        _annotation("Worker restarts", "purple", _DEATHS, "Worker of {{pool}} replaced: {{reason}}"),
        _annotation(
            "Daemon restarts",
            "blue",
            "changes(process_start_time_seconds[$__rate_interval]) > 0",
            "stressd {{instance}} started",
        ),
        _annotation("Version changes", "green", _VERSION, "stressd {{version}}"),
        _annotation("Firing alerts", "red", 'ALERTS{alertstate="firing"}', "{{alertname}}"),
    ]


def _annotation(name: str, color: str, expression: str, title: str) -> Json:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "datasource": DATASOURCE,
        "expr": scoped(expression),
        "step": "30s",
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": "instance",
        "useValueForTime": False,
        # The current form of the query; `expr` and `step` above are what older versions read.
        "target": {"expr": scoped(expression), "refId": "Anno", "interval": "30s", "legendFormat": title},
    }


def _to_the_others() -> Json:
    return {
        "title": "stressd",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "The other dashboards of stressd",
        "url": "",
    }


def _laid_out(panels: Sequence[Json]) -> list[Json]:
    """Return the panels with their places: as many beside each other as fit, the next line below the tallest."""
    placed: list[Json] = []
    x = y = tallest = 0
    for panel in panels:
        size: dict[str, Any] = panel["gridPos"]
        if x + size["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed.append({**panel, "gridPos": {**size, "x": x, "y": y}})
        x, tallest = x + size["w"], max(tallest, size["h"])
    return placed

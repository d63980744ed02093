"""Grafana's side of alerting: the same alerts as Grafana-managed rules, whom they reach, and how they are grouped.

Query A is the value, expression B compares it: an expression that compared by itself would give no data in health.
"""

from collections.abc import Sequence
from typing import Final

from stressd.render.alerts import Alert
from stressd.render.panels import Json
from stressd.render.prometheus import SCRAPE_INTERVAL, annotations
from stressd.render.yaml_text import to_yaml

DATASOURCE_UID: Final = "stressd-prometheus"
FOLDER: Final = "stressd"
RECEIVER: Final = "stressd"
_LOOK_BACK_S: Final = 600
_EXPRESSION: Final = "__expr__"


def rules(alerts: Sequence[Alert]) -> str:
    """Return rules.yml of the folder `alerting`."""
    group = {
        "orgId": 1,
        "name": "stressd",
        "folder": FOLDER,
        "interval": SCRAPE_INTERVAL,
        "rules": [_rule(alert) for alert in alerts],
    }
    return to_yaml(
        {"apiVersion": 1, "groups": [group]}, "The recording rules it reads are config/prometheus/rules.yml."
    )


def contact_points() -> str:
    """Return contact_points.yml: a webhook and a mail address from Grafana's environment."""
    receivers = [
        {
            "uid": "stressd-webhook",
            "type": "webhook",
            "settings": {"url": "$STRESSD_ALERT_WEBHOOK_URL", "httpMethod": "POST"},
        },
        {"uid": "stressd-email", "type": "email", "settings": {"addresses": "$STRESSD_ALERT_EMAIL"}},
    ]
    document = {"apiVersion": 1, "contactPoints": [{"orgId": 1, "name": RECEIVER, "receivers": receivers}]}
    return to_yaml(document, "Both variables have to be set: Grafana does not start with an empty address.")


def policies() -> str:
    """Return policies.yml: all to one contact point, what is critical sooner and again and again."""
    policy = {
        "orgId": 1,
        "receiver": RECEIVER,
        "group_by": ["grafana_folder", "alertname", "instance"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "routes": [
            {
                "receiver": RECEIVER,
                "object_matchers": [["severity", "=", "critical"]],
                "group_wait": "10s",
                "repeat_interval": "1h",
            }
        ],
    }
    warning = (
        "This replaces the organisation's whole tree of notification policies. In a Grafana that others use too,\n"
        "leave this file out and route the label severity in the tree that is there."
    )
    return to_yaml({"apiVersion": 1, "policies": [policy]}, warning)


def uid(alert: Alert) -> str:
    """Return the rule's uid: of at most 40 characters, the most that Grafana takes."""
    return f"stressd-{alert.name.lower()}"


def _rule(alert: Alert) -> Json:
    return {
        "uid": uid(alert),
        "title": alert.name,
        "condition": "B",
        "data": [_value(alert), _comparison(alert)],
        "dashboardUid": alert.panel.dashboard,
        "panelId": alert.panel.panel,
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.hold,
        "annotations": annotations(alert, f"{{{{ $values.A.Value | {alert.shown} }}}}"),
        "labels": {"severity": alert.severity},
        "isPaused": False,
    }


def _value(alert: Alert) -> Json:
    return {
        "refId": "A",
        "relativeTimeRange": {"from": _LOOK_BACK_S, "to": 0},
        "datasourceUid": DATASOURCE_UID,
        "model": {
            "refId": "A",
            "datasource": {"type": "prometheus", "uid": DATASOURCE_UID},
            "editorMode": "code",
            "expr": alert.value,
            "instant": True,
            "range": False,
            "intervalMs": 1000,
            "maxDataPoints": 43200,
        },
    }


def _comparison(alert: Alert) -> Json:
    return {
        "refId": "B",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": _EXPRESSION,
        "model": {
            "refId": "B",
            "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION},
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [alert.threshold]}}],
        },
    }

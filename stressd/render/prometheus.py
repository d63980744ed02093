"""Prometheus's side: what it scrapes, its recording and alerting rules."""

from collections.abc import Sequence
from typing import Final

from stressd.render.alerts import Alert
from stressd.render.recording import Recording
from stressd.render.yaml_text import to_yaml

SCRAPE_INTERVAL: Final = "15s"

_CONFIG: Final = {
    "global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": "10s", "evaluation_interval": SCRAPE_INTERVAL},
    "rule_files": ["rules.yml"],
    # Found by name only while the compose profile `alertmanager` runs it; otherwise Grafana alone notifies.
    "alerting": {
        "alertmanagers": [
            {"dns_sd_configs": [{"names": ["alertmanager"], "type": "A", "port": 9093, "refresh_interval": "1m"}]}
        ]
    },
    "scrape_configs": [
        {"job_name": "stressd", "static_configs": [{"targets": ["stressd:9464"]}]},
        {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
    ],
}


def config() -> str:
    """Return prometheus.yml; paths in it are relative to its own folder."""
    return to_yaml(_CONFIG, "The job's name, stressd, is what the rules and dashboards look for.")


def rules(recordings: Sequence[Recording], alerts: Sequence[Alert]) -> str:
    """Return rules.yml."""
    recorded = [{"record": each.name, "expr": each.expression} for each in recordings]
    alerting = [_alert(alert) for alert in alerts]
    return to_yaml(
        {"groups": [{"name": "stressd-recording", "rules": recorded}, {"name": "stressd-alerts", "rules": alerting}]}
    )


def annotations(alert: Alert, shown_value: str) -> dict[str, str]:
    """Return what a notification says; `shown_value` is the value, or the template that becomes it."""
    return {
        "summary": alert.summary,
        "description": alert.description.replace("{value}", shown_value),
        "runbook_url": alert.runbook,
        "dashboard": f"/d/{alert.panel.dashboard}?viewPanel={alert.panel.panel}",
    }


def _alert(alert: Alert) -> dict[str, object]:
    hold = {"for": alert.hold} if alert.hold != "0s" else {}
    return {
        "alert": alert.name,
        "expr": alert.expression,
        **hold,
        "labels": {"severity": alert.severity},
        "annotations": annotations(alert, f"{{{{ $value | {alert.shown} }}}}"),
    }

"""All files that are made, by their path in the project."""

import json
from collections.abc import Sequence

from stressd.criteria import CRITERIA, Criterion
from stressd.render import grafana_alerts, overview, prometheus, soak, workers
from stressd.render.alerts import alerts
from stressd.render.panels import Json
from stressd.render.recording import RECORDINGS
from stressd.render.reference import criteria_page, metrics_page
from stressd.render.rule_tests import rule_tests
from stressd.render.yaml_text import to_yaml


def rendered(criteria: Sequence[Criterion] = CRITERIA) -> dict[str, str]:
    """Return the text of each file, with the thresholds of these criteria."""
    by_name = {criterion.name: criterion for criterion in criteria}
    table = alerts(by_name)
    return {
        "config/prometheus/prometheus.yml": prometheus.config(),
        "config/prometheus/rules.yml": prometheus.rules(RECORDINGS, table),
        "config/prometheus/rules_test.yml": rule_tests(table),
        **{
            f"grafana/dashboards/{file}.json": json.dumps(board, indent=2, ensure_ascii=False) + "\n"
            for file, board in dashboards(criteria).items()
        },
        "grafana/provisioning/datasources/prometheus.yml": _datasources(),
        "grafana/provisioning/dashboards/stressd.yml": _providers(),
        "grafana/provisioning/alerting/rules.yml": grafana_alerts.rules(table),
        "grafana/provisioning/alerting/contact_points.yml": grafana_alerts.contact_points(),
        "grafana/provisioning/alerting/policies.yml": grafana_alerts.policies(),
        "docs/criteria.md": criteria_page(criteria),
        "docs/metrics.md": metrics_page(),
    }


def dashboards(criteria: Sequence[Criterion] = CRITERIA) -> dict[str, Json]:
    """Return the dashboards by the name of their file."""
    by_name = {criterion.name: criterion for criterion in criteria}
    watched = {alert.name: alert for alert in alerts(by_name)}
    return {
        "overview": overview.overview(by_name, watched),
        "workers": workers.workers(watched),
        "store-and-soak": soak.store_and_soak(by_name),
    }


def _datasources() -> str:
    datasource = {
        "name": "Prometheus",
        "uid": grafana_alerts.DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": "$STRESSD_PROMETHEUS_URL",
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": prometheus.SCRAPE_INTERVAL, "httpMethod": "POST"},
    }
    return to_yaml({"apiVersion": 1, "datasources": [datasource]})


def _providers() -> str:
    provider = {
        "name": "stressd",
        "orgId": 1,
        "folder": grafana_alerts.FOLDER,
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": "/etc/grafana/dashboards", "foldersFromFilesStructure": False},
    }
    return to_yaml({"apiVersion": 1, "providers": [provider]})

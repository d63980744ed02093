"""All files that are made, by their path in the project."""

import json
from collections.abc import Sequence

from stressd.criteria import CRITERIA, Criterion
from stressd.objectives import Objective
from stressd.render import grafana_alerts, overview, prometheus, soak, workers
from stressd.render.alerts import alerts
from stressd.render.command_reference import command_line_page
from stressd.render.objectives import objective_alerts
from stressd.render.panels import Json
from stressd.render.recording import RECORDINGS
from stressd.render.reference import criteria_page, metrics_page
from stressd.render.rule_tests import rule_tests
from stressd.render.scenario_reference import scenario_page
from stressd.render.yaml_text import to_yaml
from stressd.scenario import Scenario
from stressd.scenario_file.schema import schema_text
from stressd.verdict.verdict import moved


def rendered(criteria: Sequence[Criterion] = CRITERIA) -> dict[str, str]:
    """Return the text of each file of the project, with the thresholds of these criteria."""
    by_name = {criterion.name: criterion for criterion in criteria}
    return {
        **watching(criteria),
        "config/prometheus/rules_test.yml": rule_tests(alerts(by_name)),
        "config/scenarios/scenario.schema.json": schema_text(),
        "docs/criteria.md": criteria_page(criteria),
        "docs/metrics.md": metrics_page(),
        "docs/reference/command-line.md": command_line_page(),
        "docs/reference/scenario.md": scenario_page(),
    }


def rendered_for(scenario: Scenario) -> dict[str, str]:
    """Return what watches a scenario of the user's own: with its thresholds, and its objectives beside the criteria."""
    return watching([moved(criterion, scenario.criteria) for criterion in CRITERIA], scenario.slo)


def watching(criteria: Sequence[Criterion], objectives: Sequence[Objective] = ()) -> dict[str, str]:
    """Return the files that Prometheus and Grafana read."""
    table = (*alerts({criterion.name: criterion for criterion in criteria}), *objective_alerts(objectives))
    return {
        "config/prometheus/prometheus.yml": prometheus.config(),
        "config/prometheus/rules.yml": prometheus.rules(RECORDINGS, table),
        **{
            f"grafana/dashboards/{file}.json": json.dumps(board, indent=2, ensure_ascii=False) + "\n"
            for file, board in dashboards(criteria, objectives).items()
        },
        "grafana/provisioning/datasources/prometheus.yml": _datasources(),
        "grafana/provisioning/dashboards/stressd.yml": _providers(),
        "grafana/provisioning/alerting/rules.yml": grafana_alerts.rules(table),
        "grafana/provisioning/alerting/contact_points.yml": grafana_alerts.contact_points(),
        "grafana/provisioning/alerting/policies.yml": grafana_alerts.policies(),
    }


def dashboards(criteria: Sequence[Criterion] = CRITERIA, objectives: Sequence[Objective] = ()) -> dict[str, Json]:
    """Return the dashboards by the name of their file."""
    by_name = {criterion.name: criterion for criterion in criteria}
    watched = {alert.name: alert for alert in alerts(by_name)}
    return {
        "overview": overview.overview(by_name, watched, objectives),
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

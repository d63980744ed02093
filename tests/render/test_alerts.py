"""The alerts' table, and what is made of it for Prometheus and for Grafana."""

import re

import pytest
import yaml

from stressd.metrics import METRICS
from stressd.render import alerts as table
from stressd.render.alerts import alerts
from stressd.render.files import rendered
from stressd.render.promql import names_in, selectors_in
from stressd.render.recording import RECORDINGS
from stressd.render.rule_tests import CASES
from stressd.verdict import saturation

ALERTS = alerts()
FILES = rendered()
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
GRAFANA = {
    rule["title"]: rule
    for rule in yaml.safe_load(FILES["grafana/provisioning/alerting/rules.yml"])["groups"][0]["rules"]
}
# Names that exist without us, and the client library's own.
FOREIGN = re.compile(r"up|scrape_duration_seconds|process_(cpu_seconds_total|open_fds|max_fds|start_time_seconds)")


def test_names_are_unique():
    assert len({alert.name for alert in ALERTS}) == len(ALERTS) == len(GRAFANA)


@each_alert
def test_an_alert_has_a_case_that_fires_and_one_that_is_silent(alert):
    assert {case.fires for case in CASES if case.alert == alert.name} == {True, False}


@each_alert
def test_an_alert_says_what_it_is_and_where(alert):
    assert re.fullmatch(r"[A-Z][A-Za-z]+", alert.name)
    assert not alert.summary.endswith(".")
    assert alert.description.endswith(".")
    assert "{{ $labels.instance }}" in alert.description
    assert re.fullmatch(r"\d+[smh]", alert.hold)


@each_alert
def test_its_section_of_the_runbook_is_there(project_root, alert):
    runbook = (project_root / table.RUNBOOK).read_text(encoding="utf-8")
    section = runbook.split(f"\n## {alert.name}\n")
    assert len(section) == 2, f"no section {alert.name}"
    text = section[1].split("\n## ")[0]
    assert text.strip().startswith(f"*{alert.severity.capitalize()}")
    has_its_own = "**Look at**" in text and "**Do**" in text
    assert has_its_own or "Look and do as for\n[" in text or "Look and do as for [" in text


def test_the_runbook_has_no_section_of_an_alert_that_is_gone(project_root):
    runbook = (project_root / table.RUNBOOK).read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", runbook, re.MULTILINE) == [alert.name for alert in ALERTS]


@pytest.mark.parametrize("expression", [*(alert.value for alert in ALERTS), *(rule.expression for rule in RECORDINGS)])
def test_every_series_that_a_rule_reads_is_ours_or_narrowed_to_our_job(expression):
    recorded = {rule.name for rule in RECORDINGS}
    exported = {metric.full_name for metric in METRICS if metric.exported}
    for name in names_in(expression):
        known = name in recorded or re.sub("_(bucket|count|sum)$", "", name) in exported or name in exported
        assert known or FOREIGN.fullmatch(name), name
    for selector in selectors_in(expression):
        if FOREIGN.match(selector):
            assert 'job="stressd"' in selector


@pytest.mark.parametrize("expression", [*(a.value for a in ALERTS), *(r.expression for r in RECORDINGS)])
def test_what_is_injected_or_recycled_is_left_out(expression):
    for selector in selectors_in(expression):
        if selector.startswith("stressd_worker_restarts_total"):
            assert 'reason!~"recycle|injected"' in selector
        if selector.startswith("stressd_operations_total") and "[1h]" not in expression:
            assert "outcome" in selector


def test_a_saturated_generator_is_what_the_verdict_calls_one():
    assert (table.BEHIND_SHARE, table.BUSY_CPU) == (saturation.SHARE, saturation.CPU)


@each_alert
def test_grafana_compares_the_same_value_with_the_same_threshold(alert):
    rule = GRAFANA[alert.name]
    value, comparison = rule["data"]
    assert (rule["condition"], value["refId"], comparison["refId"]) == ("B", "A", "B")
    assert value["model"]["expr"] == alert.value
    (condition,) = comparison["model"]["conditions"]
    assert condition["evaluator"] == {"type": "gt", "params": [alert.threshold]}
    assert (comparison["datasourceUid"], comparison["model"]["type"]) == ("__expr__", "threshold")
    assert comparison["model"]["expression"] == "A"


@each_alert
def test_grafana_is_told_what_no_data_means_and_where_the_panel_is(alert):
    rule = GRAFANA[alert.name]
    assert (rule["noDataState"], rule["execErrState"], rule["for"]) == ("OK", "Error", alert.hold)
    assert (rule["dashboardUid"], rule["panelId"]) == (alert.panel.dashboard, alert.panel.panel)
    assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"])
    assert rule["labels"] == {"severity": alert.severity}
    assert "$" not in rule["data"][0]["model"]["expr"]  # variables and intervals of dashboards mean nothing here


@each_alert
def test_an_alerts_value_is_a_number_in_health_too(alert):
    # One that compared by itself would return nothing then; `bool` makes 0 and 1 of it, `> 0` leaves out what is unset.
    bare = re.sub(r"[<>]=?|[!=]=", lambda found: found[0], alert.value)
    comparisons = re.findall(r"(?:==|!=|>=|<=|(?<![=!])>|<)\s*(?:bool\s+)?\S+", re.sub(r"\{[^}]*\}", "", bare))
    allowed = [each for each in comparisons if " bool " in each or each.startswith("> 0")]
    lesser = [each for each in comparisons if each.startswith("< stressd:operation_errors")]  # (a < b) or b
    assert sorted(allowed + lesser) == sorted(comparisons)


def test_notifications_have_addresses_from_the_environment_and_a_policy():
    (point,) = yaml.safe_load(FILES["grafana/provisioning/alerting/contact_points.yml"])["contactPoints"]
    assert [each["settings"] for each in point["receivers"]] == [
        {"url": "$STRESSD_ALERT_WEBHOOK_URL", "httpMethod": "POST"},
        {"addresses": "$STRESSD_ALERT_EMAIL"},
    ]
    (policy,) = yaml.safe_load(FILES["grafana/provisioning/alerting/policies.yml"])["policies"]
    assert {policy["receiver"], *(route["receiver"] for route in policy["routes"])} == {point["name"]}

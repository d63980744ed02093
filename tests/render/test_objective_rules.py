"""A scenario's own objectives as rules, alerts and panels."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_dashboards import faults_of

from stressd.objectives import Objective
from stressd.render.__main__ import main
from stressd.render.files import dashboards
from stressd.render.objectives import objective_alerts
from stressd.render.promql import names_in

SLO = [
    {"name": "online_read", "op": "read", "source": "store", "stat": "p99", "window": "1m", "pass": "10ms",
     "fail": "50ms", "abort_after": "30s"},
    {"name": "save_errors", "op": "save", "stat": "error_ratio", "window": "5m", "pass": "1%", "fail": "5%"},
    {"name": "read_rate", "op": "read", "stat": "rate", "pass": 40, "fail": 30},
]  # fmt: skip
FIRING = 'ALERTS{alertname="ObjectiveOnlineRead", alertstate="firing", instance="a", job="stressd", severity="warning"}'
OBJECTIVES = [Objective.model_validate(each) for each in SLO]
SCENARIO = {
    "name": "mine",
    "pools": [{"name": "a", "rate": 50, "mix": {"save": 1, "read": 4}}],
    "slo": SLO,
    "criteria": {"thresholds": {"error_rate": {"pass": 0.5, "fail": 2}}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.yaml").write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    assert main([str(folder / "mine.yaml"), "--into", str(folder)]) == 0
    return folder


def promtool():
    beside = Path(sys.executable).parent.parent / "tools" / "promtool"
    return shutil.which("promtool") or (str(beside) if beside.is_file() else None)


def test_each_has_an_alert_with_its_line_and_a_link_to_its_panel(folder):
    rules = yaml.safe_load((folder / "config/prometheus/rules.yml").read_text())
    alerts = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    read = alerts["ObjectiveOnlineRead"]
    assert read["expr"].endswith("> 0.05")
    assert 'source="store"' in read["expr"]
    assert "histogram_quantile(0.99" in read["expr"]
    assert read["for"] == "30s"
    assert alerts["ObjectiveSaveErrors"]["expr"].endswith("> 0.05")
    assert alerts["ObjectiveReadRate"]["expr"].startswith("(30 - ")
    assert read["annotations"]["dashboard"] == "/d/stressd-overview?viewPanel=201"
    assert alerts["HighErrorRatio"]["expr"].endswith("> 0.02"), "the scenario's own threshold"


def test_panels_keep_the_rules_of_dashboards():
    board = dashboards(objectives=OBJECTIVES)["overview"]
    assert faults_of(board) == []
    titles = {panel["id"]: panel["title"] for panel in board["panels"]}
    assert [titles[200 + place] for place in range(4)] == ["Objectives", "online_read", "save_errors", "read_rate"]


def test_only_series_that_there_are_are_asked_for():
    names = set().union(*(names_in(alert.value) for alert in objective_alerts(OBJECTIVES)))
    assert names == {"stressd_operation_service_seconds_bucket", "stressd_operation_service_seconds_count",
                     "stressd_operations_total"}  # fmt: skip


def test_promtool_takes_the_rules(folder):
    tool = promtool()
    if tool is None:
        pytest.skip("no promtool: neither on the PATH nor fetched by `make tools`")
    rules = folder / "config/prometheus/rules.yml"
    checked = subprocess.run([tool, "check", "rules", rules], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    cases = "\n".join([
        "rule_files: [rules.yml]", "tests:", "- interval: 15s", "  input_series:",
        *(f"  - {{series: 'stressd_operation_service_seconds_bucket{{job=\"stressd\", instance=\"a\", op=\"read\", "
          f"source=\"store\", le=\"{le}\"}}', values: '{values}'}}"
          for le, values in (("0.05", "0+90x40"), ("0.1", "0+100x40"), ("+Inf", "0+100x40"))),
        "  alert_rule_test:", "  - {alertname: ObjectiveReadRate, eval_time: 5m, exp_alerts: []}",
        "  promql_expr_test:", "  - expr: ALERTS{alertname=\"ObjectiveOnlineRead\", alertstate=\"firing\"}",
        "    eval_time: 5m", "    exp_samples:",
        f"    - {{labels: '{FIRING}', value: 1}}",
    ])  # fmt: skip
    path = rules.with_name("own_test.yml")
    path.write_text(cases, encoding="utf-8")
    tested = subprocess.run([tool, "test", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_scenario_that_is_none_is_refused(tmp_path, capsys):
    assert main(["sokk", "--into", str(tmp_path)]) == 2
    assert "there is no scenario 'sokk'" in capsys.readouterr().err

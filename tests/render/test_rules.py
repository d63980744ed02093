"""What promtool says of the shipped configuration and rules, and that their unit tests notice a rule that is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stressd.render.alerts import alerts
from stressd.render.rule_tests import CASES, rule_tests

SHIPPED = Path(__file__).resolve().parent.parent.parent / "config/prometheus"
pytestmark = pytest.mark.timeout(400)  # sixty-odd little histories, days of them: seconds, but not on a busy machine


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")],
    ids=" ".join,
)
def test_promtool_agrees_with_the_shipped_files(arguments):
    assert promtool(*arguments, cwd=SHIPPED) == 0


@pytest.mark.parametrize(
    ("alert", "change", "to"),
    [
        ("HighErrorRatio", "> 0.05", "> 0.5"),  # an alert that no longer fires
        ("HighErrorRatio", "> 0.05", "> 0.01"),  # one that fires too early
        ("CrashLoop", 'reason!~"recycle|injected"', 'reason!~"recycle"'),  # one that a fault of our own sets off
        ("HighErrorRatio", 'outcome=~"error|timeout"', 'outcome=~"error|timeout|injected"'),
        ("Down", "for: 2m", "for: 20m"),
        ("ScrapeSlow", "severity: warning", "severity: critical"),
    ],
)
def test_the_unit_tests_of_the_rules_notice_a_rule_that_is_wrong(tmp_path, alert, change, to):
    rules = (SHIPPED / "rules.yml").read_text(encoding="utf-8")
    assert change in rules
    (tmp_path / "rules.yml").write_text(rules.replace(change, to), encoding="utf-8")
    cases = [case for case in CASES if case.alert == alert]
    (tmp_path / "rules_test.yml").write_text(rule_tests(alerts(), cases), encoding="utf-8")
    assert promtool("test", "rules", "rules_test.yml", cwd=tmp_path) == 1


def promtool(*arguments, cwd):
    beside = Path(sys.executable).parent.parent / "tools" / "promtool"
    program = shutil.which("promtool") or (str(beside) if beside.is_file() else None)
    if program is None:
        pytest.skip("no promtool: neither on the PATH nor fetched by `make tools`")
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=380, check=False)
    print(done.stdout, done.stderr)
    return done.returncode

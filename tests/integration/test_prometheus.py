"""The shipped rules and dashboards against real daemons and a real Prometheus: every expression is run.

Two daemons are scraped side by side: a quiet one, and one with everything that can go wrong short of a violation.
"""

import math
import os
import signal
import time

import pytest
from daemon import Daemon, until, write_scenario
from prometheus_server import Prometheus

from stressd.metrics import METRICS
from stressd.render.alerts import alerts
from stressd.render.files import dashboards
from stressd.render.promql import names_in, scoped
from stressd.render.recording import RECORDINGS
from stressd.render.reference import THE_TEN

pytestmark = pytest.mark.timeout(300)

# What a dashboard's variables stand for. Ten seconds are ten scrapes here: the shipped interval is 15 s.
VARIABLES = {
    "$__rate_interval": "10s",
    "$__range": "1m",
    "$__interval": "5s",
    "$job": "stressd",
    "$instance": ".+",
    "$pool": ".+",
}
SUFFIXES = ("_bucket", "_count", "_sum")

# Expressions that need not return data in either run; at most eight.
WITHOUT_DATA = {
    "annotation Daemon restarts": "no daemon is restarted here under the address that it had before",
}

# Exported and used by no expression.
UNUSED = {}

# One operation in ten fails, saves and reads alike: an error of the store, not one that the schedule injects.
FAILING = """
import random
from stressd.targets.embedded import EmbeddedSession, EmbeddedTarget

class Session(EmbeddedSession):
    draw = random.Random(7)

    def save(self, group, features):
        self.fail_now_and_then()
        return super().save(group, features)

    def read_detail(self, group, names, *, bypass_cache):
        self.fail_now_and_then()
        return super().read_detail(group, names, bypass_cache=bypass_cache)

    def fail_now_and_then(self):
        if self.draw.random() < 0.1:
            raise OSError("one in ten fails")

class Failing(EmbeddedTarget):
    def open(self):
        return Session(self._store)
"""
FAULTS = [{"kind": "target_errors", "at": 4, "every_s": 12, "duration_s": 1}]


def expressions_of_dashboards():
    """Yield (where it stands, expression) of every panel and annotation."""
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name} {panel['id']}{target['refId']}: {panel['title']}", target["expr"]
        for annotation in board["annotations"]["list"]:
            if "expr" in annotation:
                yield f"annotation {annotation['name']}", annotation["expr"]  # the same on all


def every_expression():
    recorded = [(f"rule {rule.name}", rule.expression) for rule in RECORDINGS]
    values = [(f"alert {alert.name}", alert.value) for alert in alerts()]
    told = [(f"docs/metrics.md: {question}", expression) for question, expression in THE_TEN]
    return [*expressions_of_dashboards(), *recorded, *values, *told]


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """(Prometheus, when it began, {series names seen}), after both daemons have lived through what they are to."""
    quiet_folder, faulty_folder, own = (tmp_path_factory.mktemp(name) for name in ("quiet", "faulty", "prometheus"))
    (faulty_folder / "failing.py").write_text(FAILING, encoding="utf-8")
    pool = {"processes": 2, "threads": 1, "rate": 40}
    quiet = write_scenario(quiet_folder, duration_s=None, pool=pool)
    faulty = write_scenario(faulty_folder, duration_s=None, pool=pool, faults=FAULTS)
    backoff = ("--set", "supervision.backoff_most_s=0.5")
    with (
        Daemon(quiet_folder, quiet) as first,
        Daemon(faulty_folder, faulty, "--target", "failing:Failing", *backoff) as second,
        Prometheus(
            own, [each.address.removeprefix("http://") for each in (first, second)], {"HighErrorRatio": "4s"}
        ) as server,
    ):
        began_s = time.time()
        server.until_scraped(2)
        states = _states_of_the_error_alert(server, second)
        yield server, began_s, states, (first, second)


def _states_of_the_error_alert(server, faulty):
    """Let things happen for a while; return the states that the error alert went through, oldest first."""
    faulty.until_at_work()
    states, killed_at_s = [], time.monotonic() + 6

    def look():
        nonlocal killed_at_s
        if time.monotonic() > killed_at_s:
            os.kill(faulty.worker_pids()[0], signal.SIGKILL)
            killed_at_s = math.inf
        for name, labels, state in server.alerts():
            if name == "HighErrorRatio" and labels["instance"] == faulty.address.removeprefix("http://"):
                states.extend([state] if states[-1:] != [state] else [])
        return (
            "firing" in states
            and killed_at_s == math.inf
            and faulty.metric("stressd_recovery_seconds_count") >= 1
            and faulty.metric("stressd_worker_restarts_total") >= 1
        )

    until(look, lambda: f"firing; states so far: {states}", timeout_s=90, every_s=0.2)
    time.sleep(12)  # a window of rates after the last of it
    return states


@pytest.fixture(scope="module")
def answers(watched):
    """{where: values} of every expression, over all the time."""
    server, began_s, _, _ = watched
    end_s = time.time()
    every = dict(every_expression())
    assert set(every.items()) == set(every_expression())  # no two of them under one name
    return {where: server.query_range(filled_in(expression), began_s, end_s, 2) for where, expression in every.items()}


def test_every_expression_of_dashboards_rules_and_alerts_returns_data(answers):
    empty = {where for where, values in answers.items() if not any(math.isfinite(value) for value in values)}
    assert empty == set(WITHOUT_DATA)
    assert len(WITHOUT_DATA) <= 8
    assert all(len(reason) > 20 for reason in WITHOUT_DATA.values())


def test_an_expression_that_prometheus_refuses_or_that_finds_nothing_is_seen(watched):
    server, began_s, _, _ = watched
    with pytest.raises(AssertionError, match="parse error"):
        server.query_range("sum(stressd_operations_total", began_s, time.time())
    assert server.query_range(scoped("stressd_no_such_metric", 'job="stressd"'), began_s, time.time()) == []


def test_each_series_named_exists_and_each_exported_is_used(watched):
    server, began_s, _, _ = watched
    used = set().union(*(names_in(expression) for _, expression in every_expression()))
    missing = {name for name in used if not server.query_range(f"count({name})", began_s, time.time())}
    assert not missing
    bases = used | {name.removesuffix(suffix) for name in used for suffix in SUFFIXES}
    assert {metric.full_name for metric in METRICS if metric.exported} - bases == set(UNUSED)


def test_the_error_alert_goes_from_pending_to_firing_when_one_operation_in_ten_fails(watched):
    server, _, states, (_, faulty) = watched
    assert states == ["pending", "firing"]
    (ratio,) = [
        value
        for labels, value in server.query("stressd:operation_errors:ratio_rate5m")
        if faulty.address.endswith(labels["instance"])
    ]
    assert 0.05 < ratio < 0.2


def test_a_quiet_daemon_is_accused_of_nothing(watched):
    server, _, _, (quiet, _) = watched
    of_a_busy_machine = {"LatencyHigh", "GeneratorSaturated", "ScrapeSlow", "NoProgress"}  # not pending for long
    about_it = {name for name, labels, _ in server.alerts() if quiet.address.endswith(labels.get("instance", "-"))}
    assert not about_it - of_a_busy_machine


def test_prometheus_finds_every_rule_healthy(watched):
    server = watched[0]
    rules = {rule["name"]: rule for rule in server.rules()}
    assert rules.keys() == {rule.name for rule in RECORDINGS} | {alert.name for alert in alerts()}
    assert {name for name, rule in rules.items() if rule["health"] != "ok"} == set()

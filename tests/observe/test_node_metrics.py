import math
from dataclasses import replace

import pytest

from stressd import metrics
from stressd.metrics import STATES, Metric
from stressd.observe import node_metrics
from stressd.observe.derived import DERIVED
from stressd.observe.node_metrics import NODE_METRICS, NodeMetrics

INFO = dict.fromkeys(("version", "python", "commit", "run_id", "scenario", "target", "hash"), "x")


@pytest.fixture
def node():
    return NodeMetrics(pools={"ingest": 2, "serving": 1}, criteria=["error_rate"], info=INFO)


def test_every_series_is_there_from_the_start(node):
    for metric in NODE_METRICS:
        series = node.histograms(metric.name) if metric.kind == "histogram" else node.values(metric.name)
        assert series, metric.name
        assert all(len(values) == len(metric.labels) for values in series)
    assert set(node.values("worker_open_fds")) == {("ingest", "0"), ("ingest", "1"), ("serving", "0")}
    assert len(node.values("worker_restarts_total")) == 2 * len(metrics.RESTART_REASONS)


def test_all_begin_at_zero_but_those_that_cannot(node):
    assert node.values("run_info") == {("x",) * 4: 1.0}
    assert node.values("criterion_status") == {("error_rate",): 3.0}
    assert math.isnan(node.values("criterion_value")["error_rate",])
    assert node.values("state") == {(state,): float(state == "starting") for state in STATES}
    others = {"run_info", "build_info", "criterion_status", "criterion_value", "state"}
    for metric in NODE_METRICS:
        if metric.kind != "histogram" and metric.name not in others:
            assert set(node.values(metric.name).values()) == {0.0}, metric.name


def test_what_is_set_added_and_observed_is_read_back(node):
    node.set("offered_rate", 40, "serving")
    node.add("worker_restarts_total", 2, "ingest", "oom")
    node.add("worker_restarts_total", 1, "ingest", "oom")
    node.observe("recovery_seconds", 0.4, "target_errors")
    node.set_state("state", "draining")
    assert node.values("offered_rate") == {("ingest",): 0.0, ("serving",): 40.0}
    assert node.values("worker_restarts_total")["ingest", "oom"] == 3.0
    counts, sum_s = node.histograms("recovery_seconds")["target_errors",]
    assert (counts[-1], sum_s) == (1, 0.4)
    assert [state for (state,), on in node.values("state").items() if on] == ["draining"]


def test_a_counter_that_is_set_never_goes_back(node):
    node.set("pool_cpu_seconds_total", 12.5, "ingest")
    node.set("pool_cpu_seconds_total", 11.0, "ingest")
    assert node.values("pool_cpu_seconds_total")["ingest",] == 12.5


@pytest.mark.parametrize(
    ("call", "name", "arguments", "says"),
    [
        ("set", "offered_rat", (1,), "no metric of the node"),
        ("set", "rows_total", (1, "save"), "no metric of the node"),
        ("set", "offered_rate", (1, "nowhere"), "'nowhere' is none of its series: ingest, serving"),
        ("set", "worker_open_fds", (1, "serving", "1"), "none of its series"),
        ("set", "store_bytes", (1, "extra"), "none of its series"),
        ("set", "recovery_seconds", (1, "target_errors"), "is a histogram"),
        ("set", "cache_bytes", (1,), "computed from the lanes"),
        ("add", "offered_rate", (1, "ingest"), "is a gauge"),
        ("add", "collector_errors_total", (-1,), "0 or more"),
        ("add", "collector_errors_total", (math.nan,), "0 or more"),
        ("observe", "tree_resident_memory_bytes", (1,), "is a gauge"),
        ("set_state", "state", ("asleep",), "'asleep' is none"),
    ],
)
def test_a_mistake_is_refused_loudly(node, call, name, arguments, says):
    with pytest.raises(ValueError, match=says):
        getattr(node, call)(name, *arguments)


def test_a_new_metric_appears_by_itself_and_one_with_an_open_label_is_refused(monkeypatch):
    new = Metric("novelty", "gauge", "New.", ("pool",), home="node")
    monkeypatch.setattr(node_metrics, "NODE_METRICS", (*NODE_METRICS, new))
    assert NodeMetrics(pools={"a": 1}, criteria=[], info=INFO).values("novelty") == {("a",): 0.0}
    monkeypatch.setattr(node_metrics, "NODE_METRICS", (*NODE_METRICS, replace(new, labels=("path",))))
    with pytest.raises(ValueError, match="stressd_novelty: label 'path' has no closed set"):
        NodeMetrics(pools={"a": 1}, criteria=[], info=INFO)


def test_what_is_derived_is_a_metric_of_the_node():
    assert set(DERIVED) <= {metric.name for metric in NODE_METRICS}

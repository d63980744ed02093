"""The declaration of all metrics keeps what Prometheus, and the table, expect of it."""

import re

import pytest

from stressd.metrics import BY_NAME, CLASSES, LANE_METRICS, METRICS, OPS

each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_no_name_is_used_twice():
    assert len(BY_NAME) == len(METRICS)


@each_metric
def test_a_name_says_what_it_is(metric):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    if metric.exported:
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", LANE_METRICS, ids=lambda metric: metric.name)
def test_the_values_of_a_lanes_labels_fit_them_and_are_all_different(metric):
    closed = tuple(label for label in metric.labels if label != "pool")
    assert closed == metric.labels[: len(closed)]  # the pool is added at the end
    assert len(set(metric.series)) == len(metric.series)
    assert {len(values) for values in metric.series} == {len(closed)}


def test_every_operation_has_a_class():
    assert {op for op, _ in CLASSES} == set(OPS)


def test_what_lanes_count_is_no_state():
    assert {metric.kind for metric in LANE_METRICS} <= {"counter", "gauge", "histogram"}

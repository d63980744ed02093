"""What a running soak takes over from a scenario that was read anew, and what it refuses: all of it, or nothing."""

import pytest

from stressd.scenario import Scenario
from stressd.scenario_file import load, reload_of, resolve

POOLS = [
    {"name": "open", "processes": 2, "rate": 50, "mix": {"save": 1, "read": 4}},
    {"name": "closed", "threads": 4, "think_time_s": 1, "mix": {"read": 1}},
]
SLO = [{"name": "fast", "op": "read", "stat": "p99", "pass": 1, "fail": 2}]
BASE = {"name": "base", "pools": POOLS, "slo": SLO, "criteria": {"thresholds": {"degradation": {"pass": 5, "fail": 8}}}}


def changed(*places_and_value):
    """Return BASE with a value set at a place."""
    *places, last, value = places_and_value
    made = Scenario.model_validate(BASE).model_dump(mode="json", by_alias=True)
    part = made
    for place in places:
        part = part[place]
    part[last] = value
    return Scenario.model_validate(made)


@pytest.fixture
def base():
    return Scenario.model_validate(BASE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("pools", 0, "rate", 80), "pools.open.rate: 50 -> 80"),
        (("pools", 0, "mix", "read", 9), "pools.open.mix.read: 4 -> 9"),
        (("pools", 1, "think_time_s", 0), "pools.closed.think_time_s: 1 -> 0"),
        (("pools", 1, "stages", [{"duration_s": 5, "target": 2}]), "pools.closed.stages: [] -> "),
        (
            ("criteria", "thresholds", "degradation", {"pass": 6, "fail": 8}),
            "criteria.thresholds.degradation: {pass: 5, ",
        ),
        (("criteria", "thresholds", "error_rate", {"pass": 6, "fail": 8}), "criteria.thresholds.error_rate: none -> {"),
        (("slo", 0, "fail", 3), "slo.fast.fail: 2 -> 3"),
        (("description", "better"), "description:  -> better"),
    ],
)
def test_what_may_change_is_told_a_line_each(base, change, told):
    step = reload_of(base, changed(*change))
    assert step.mistakes == ()
    (line,) = step.changes
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("pools", 0, "processes", 1), "pools.open.processes: 2 -> 1: a pool has the lanes that it was started with"),
        (("pools", 1, "threads", 8), "pools.closed.threads: 4 -> 8: a pool has the lanes"),
        (("pools", 0, "rate", None), "pools.open.rate: 50 -> none: the model, open or closed"),
        (("pools", 0, "arrival", "poisson"), "pools.open.arrival: constant -> poisson: is fixed at the start"),
        (("pools", POOLS[:1]), "pools.closed: {"),
        (("content", "rows", 7), "content.rows: [500, 500] -> [7, 7]: is fixed at the start"),
        (("target", "name", "memory"), "target.name: embedded -> memory: is fixed"),
        (("keys_per_lane", 3), "keys_per_lane: 2 -> 3: is fixed"),
        (("criteria", "omit", ["degradation"]), "criteria.omit: [] -> ['degradation']: is fixed"),
        (("slo", 0, "window", 120), "slo.fast.window: 60 -> 120: is fixed"),
        (("slo", []), "slo.fast: {"),
        (("duration_s", 60), "duration_s: none -> 60: is fixed"),
    ],
)
def test_what_is_fixed_at_the_start_is_refused_with_the_way_out(base, change, told):
    step = reload_of(base, changed(*change))
    assert [mistake.startswith(told) for mistake in step.mistakes] == [True], step
    assert step.mistakes[0].endswith("stop stressd and start it again to have that")


def test_phases_have_begun(base):
    made = base.model_dump(mode="json", by_alias=True) | {"phases": [{"name": "one"}]}
    old = Scenario.model_validate(made)
    made["pools"][0]["rate"] = 80
    (mistake,) = reload_of(old, Scenario.model_validate(made)).mistakes
    assert "phases say what the pools do when" in mistake


def test_every_key_of_a_scenario_is_either_allowed_or_refused_and_the_same_is_no_change():
    for name in ("soak", "chaos", "max", "stability"):
        scenario = resolve(load(name))
        assert reload_of(scenario, scenario) == ((), ())

"""The user's own objectives over windows: what they come to, when they cannot tell, and when they end a run."""

from dataclasses import replace

import pytest

from stressd.objectives import Objective
from stressd.verdict.measured import Inconclusive
from stressd.verdict.objectives import STEPS, Objectives
from stressd.verdict.verdict import exit_code, judge

LATENCY = {"name": "online_read", "op": "read", "source": "store", "stat": "p99", "window": "1m", "pass": "10ms",
           "fail": "50ms"}  # fmt: skip
TOLD_MOST = 5_000


def objective(**changes):
    return Objective.model_validate({**LATENCY, **changes})


@pytest.fixture
def second(counters):
    """Return what a second's load counted: so many reads from the store, each of so long."""

    def made(time_s=0.005, count=20, errors=0):
        counted = counters()
        counted.serve("read", "store", [time_s] * count)
        counted.serve("read", "cache", [0.0001] * count)
        counted.add("operations_total", "read", "error", count=errors)
        return counted.snapshot()

    return made


def run(objectives, seconds, counted, *, start=0):
    """Feed so many seconds; `counted` takes the second and returns what was counted in it."""
    for at_s in range(start, start + seconds):
        objectives.take(at_s + 1.0, 1.0, counted(at_s), counts=True)


def test_the_worst_window_counts_and_says_when(second):
    fast, slow = second(), second(0.04)
    objectives = Objectives([objective()])
    run(objectives, 300, lambda at_s: slow if 120 <= at_s < 150 else fast)
    found = objectives.findings()["online_read"]
    assert found.value == pytest.approx(0.04, rel=0.03)
    assert 120 < found.worst_at_s < 215
    assert "worst of 49 windows of 60 s" in found.note


def test_a_source_and_an_op_are_told_apart(second):
    cached = objective(name="cached", source="cache", **{"pass": "1ms", "fail": "2ms"})
    both = objective(name="both", source=None, stat="p50")
    objectives = Objectives([cached, both, objective()])
    run(objectives, 90, lambda _: second())
    values = {name: found.value for name, found in objectives.findings().items()}
    assert values["cached"] == pytest.approx(0.0001, rel=0.03)
    assert values["online_read"] == pytest.approx(0.005, rel=0.03)
    assert values["cached"] <= values["both"] <= values["online_read"]


def test_errors_and_rates_are_windows_too(second):
    errors = objective(name="read_errors", source=None, stat="error_ratio", **{"pass": "1%", "fail": "5%"})
    rate = objective(name="read_rate", source=None, stat="rate", **{"pass": 30, "fail": 20})
    objectives = Objectives([errors, rate])
    run(objectives, 120, lambda at_s: second(count=5 if at_s >= 100 else 20, errors=at_s >= 100))
    found = objectives.findings()
    assert found["read_errors"].value == pytest.approx(100 * 20 / (40 * 40 + 20 * 11))
    assert found["read_rate"].value == pytest.approx((40 * 40 + 20 * 10) / 60)


@pytest.mark.parametrize(
    ("seconds", "count", "says"),
    [(0, 20, "no whole window of 60 s"), (59, 20, "59 s of load"), (300, 3, "180 operations in 60 s; 200 are needed")],
)
def test_too_little_is_never_a_pass(second, healthy, made, seconds, count, says):
    objectives = Objectives([objective()])
    run(objectives, seconds, lambda _: second(count=count))
    found = objectives.findings()["online_read"]
    assert isinstance(found, Inconclusive)
    assert says in found.reason
    verdict = judge(replace(healthy, scenario=made.scenario(slo=[LATENCY]), objectives=objectives.findings()))
    assert verdict.criteria[-1].outcome == "inconclusive"
    assert verdict.outcome == "inconclusive"


def test_what_is_not_to_count_does_not(second):
    objectives = Objectives([objective()])
    fast, slow = second(), second(0.2)
    for at_s in range(200):
        fault = 80 <= at_s < 100
        objectives.take(at_s + 1.0, 1.0, slow if fault else fast, counts=not fault)
    assert objectives.findings()["online_read"].value < 0.01


@pytest.mark.parametrize(("time_s", "outcome", "code"), [(0.005, "pass", 0), (0.02, "warn", 0), (0.08, "fail", 1)])
def test_it_reaches_the_verdict_like_a_criterion(second, healthy, made, report_of, time_s, outcome, code):
    objectives = Objectives([objective()])
    run(objectives, 90, lambda _: second(time_s))
    evidence = replace(healthy, scenario=made.scenario(slo=[LATENCY]), objectives=objectives.findings())
    verdict = judge(evidence)
    assert (verdict.criteria[-1].criterion.name, verdict.criteria[-1].outcome) == ("online_read", outcome)
    assert exit_code(verdict, interrupted_by=None, strict=False, timed=True) == code
    told = report_of(evidence)["criteria"][-1]
    assert (told["unit"], told["pass"], told["fail"]) == ("s", "< 0.01", ">= 0.05")


def test_beyond_the_line_for_long_enough_it_ends_the_run(second):
    objectives = Objectives([objective(abort_after="30s")])
    fast, slow = second(), second(0.2)
    run(objectives, 100, lambda _: fast)
    assert objectives.broken is None
    run(objectives, 30, lambda _: slow, start=100)
    assert objectives.broken is None, "it has been beyond it for less than that"
    run(objectives, 10, lambda _: slow, start=130)
    broken = objectives.broken
    assert broken.value == pytest.approx(0.2, rel=0.03)
    assert 100 < broken.since_s <= 110


def test_a_window_within_the_line_begins_the_wait_anew(second):
    objectives = Objectives([objective(abort_after="30s", window="12s")])
    fast, slow = second(), second(0.2)
    for turn in range(10):
        run(objectives, 40, lambda at_s: slow if at_s % 40 < 15 else fast, start=40 * turn)
        assert objectives.broken is None, turn


def test_an_endless_run_forgets_a_bad_minute_after_its_hour_and_holds_no_more_than_a_short_one(second):
    objectives = Objectives([objective(window="12s")], rolling_s=600.0)
    fast, slow = second(), second(0.2)
    run(objectives, 30, lambda _: slow)
    run(objectives, 300, lambda _: fast, start=30)
    assert objectives.findings()["online_read"].value > 0.1
    run(objectives, TOLD_MOST, lambda _: fast, start=330)
    assert objectives.findings()["online_read"].value < 0.01
    (watched,) = objectives._watched
    assert len(watched._steps) == STEPS
    assert len(watched._values) <= watched._values.maxlen

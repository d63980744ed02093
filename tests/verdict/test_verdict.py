import signal
from dataclasses import replace

import numpy as np
import pytest

from stressd.criteria import CRITERIA, Outcome
from stressd.targets.protocol import Abilities
from stressd.verdict.evidence import ProbeResult, Reach
from stressd.verdict.verdict import Verdict, exit_code, judge


def result_of(verdict, name):
    (result,) = (result for result in verdict.criteria if result.criterion.name == name)
    return result


def test_a_healthy_run_passes_on_every_criterion(healthy):
    verdict = judge(healthy)
    assert verdict.outcome == "pass"
    assert [result.criterion.name for result in verdict.criteria] == [criterion.name for criterion in CRITERIA]


def test_violation_outranks_error_outranks_failure_outranks_inconclusive(healthy, counters):
    slow = ProbeResult("storage", 1.0, {"save_throughput": 12})
    unsure = replace(healthy, probes={**healthy.probes, "storage": slow})
    failing = replace(unsure, deaths=1)
    counted = counters()
    counted.add("violations_total", "torn")
    wrong = replace(failing, total=counted.snapshot())
    assert judge(unsure).outcome == "inconclusive"
    assert judge(failing).outcome == "fail"
    assert judge(failing, failed=True).outcome == "error"
    assert judge(wrong, failed=True).outcome == "violated"


def test_a_violation_counts_even_where_the_criterion_is_left_out(healthy, made, counters):
    counted = counters()
    counted.add("violations_total", "stale")
    scenario = made.scenario(criteria={"omit": ["data_integrity"]})
    assert judge(replace(healthy, total=counted.snapshot(), scenario=scenario)).outcome == "violated"


def test_a_worker_that_could_not_be_reaped_is_an_error(healthy):
    assert judge(replace(healthy, unresolved_workers=1)).outcome == "error"


def test_a_saturated_generator_makes_a_pass_inconclusive_and_a_failure_stay(healthy):
    assert judge(replace(healthy, reach=Reach(200.0, 98.7, "target"))).outcome == "inconclusive"
    assert judge(replace(healthy, reach=Reach(200.0, 98.7, "target"), deaths=1)).outcome == "fail"


def test_no_data_is_never_a_pass(healthy, made, counters):
    nothing = counters().snapshot()
    timed = made.scenario(duration_s=180)  # of an endless run a probe after the load does not apply
    empty = replace(
        healthy, scenario=timed, measured=nothing, total=nothing, ticks=[], probes={}, faults=[], load_s=0.0
    )
    outcomes = {result.criterion.name: result.outcome for result in judge(empty).criteria}
    assert outcomes.pop("worker_deaths") is Outcome.PASS
    assert set(outcomes.values()) == {Outcome.INCONCLUSIVE}
    assert judge(empty).outcome == "inconclusive"


def test_nothing_that_applies_is_inconclusive(healthy, made):
    only_cache = [criterion.name for criterion in CRITERIA if criterion.name != "cache_ttl_refresh"]
    evidence = replace(healthy, abilities=Abilities(), scenario=made.scenario(criteria={"omit": only_cache}))
    assert [result.outcome for result in judge(evidence).criteria] == [Outcome.NOT_APPLICABLE]
    assert judge(evidence).outcome == "inconclusive"


def test_a_scenario_moves_lines_and_leaves_criteria_out(healthy, made):
    scenario = made.scenario(
        criteria={"omit": ["recovery"], "thresholds": {"save_throughput": {"pass": 100, "fail": 90}}}
    )
    verdict = judge(replace(healthy, scenario=scenario))
    moved = result_of(verdict, "save_throughput")
    assert (moved.outcome, str(moved.criterion.pass_line)) == (Outcome.FAIL, ">= 100")
    assert "recovery" not in {result.criterion.name for result in verdict.criteria}


def test_an_interval_on_both_sides_says_how_long_it_would_take(healthy, made):
    noise_mb = np.random.default_rng(3).normal(0, 30, 180)
    ticks = [made.tick(i + 1.0, rss_bytes=round((300 + 0.05 * i + noise_mb[i]) * made.mb)) for i in range(180)]
    result = result_of(judge(replace(healthy, ticks=ticks)), "memory_growth")
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.low < 20 < result.high
    assert "cannot tell; a run of" in result.why


@pytest.mark.parametrize(
    ("outcome", "codes"),  # plain, strict, SIGINT, SIGTERM, a daemon told to stop
    [
        ("pass", (0, 0, 130, 143, 0)),
        ("warn", (0, 1, 130, 143, 0)),
        ("fail", (1, 1, 130, 143, 0)),
        ("inconclusive", (4, 4, 130, 143, 0)),
        ("error", (5, 5, 5, 5, 5)),
        ("violated", (3, 3, 3, 3, 3)),
    ],
)
def test_exit_codes(outcome, codes):
    verdict = Verdict((), outcome)

    def code(interrupted_by=None, strict=False, timed=True):
        return exit_code(verdict, interrupted_by=interrupted_by, strict=strict, timed=timed)

    interrupted = (code(signal.SIGINT), code(signal.SIGTERM))
    assert (code(), code(strict=True), *interrupted, code(signal.SIGTERM, timed=False)) == codes

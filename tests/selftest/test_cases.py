"""What the selftest tells, and what it expects: all that is there, under thresholds as shipped."""

import pytest

from stressd.criteria import BY_NAME
from stressd.errors import UsageError
from stressd.metrics import VIOLATIONS
from stressd.scenario import Scenario
from stressd.selftest.cases import CLEAN, cases
from stressd.targets.faults import Liar
from stressd.targets.faults.lies import LIES

SEEDS = range(20)


def by_lie(seed=1, **options):
    return {case.lie: case for case in cases(seed, **options)}


def test_every_lie_there_is_is_told_and_so_is_the_truth():
    assert set(by_lie()) == set(LIES)
    assert [case.lie for case in cases(1) if case.caught_by is None] == [CLEAN]


def test_every_kind_of_violation_is_expected_of_some_lie():
    assert {case.caught_by for case in cases(1)} - {None} - set(BY_NAME) == set(VIOLATIONS)
    for case in cases(1):
        assert case.also <= set(VIOLATIONS)


def test_no_threshold_is_moved_and_no_criterion_that_must_fail_is_left_out():
    for long in (False, True):
        for case in cases(1, long=long):
            scenario = Scenario.model_validate(case.scenario)
            assert not scenario.criteria.thresholds, case.lie
            assert case.caught_by not in scenario.criteria.omit, case.lie
            assert "data_integrity" not in scenario.criteria.omit
            assert scenario.supervision == Scenario.model_validate({**case.scenario, "supervision": {}}).supervision
            assert scenario.verification.cache_every == 1
    clean = Scenario.model_validate(by_lie()[CLEAN].scenario)
    for drift in ("memory_growth", "degradation", "error_rate", "worker_deaths"):
        assert drift not in clean.criteria.omit, "what accuses a liar may accuse the one that is none"


def test_the_liar_takes_the_options_and_a_content_lie_is_told_once_below_ten_thousand(tmp_path):
    for seed in SEEDS:
        for case in cases(seed):
            Liar(folder=str(tmp_path), **case.options)
            if case.stop_on_violation:
                assert 0 < case.options["at"] < 10_000
                assert "rate" not in case.options


def test_what_is_drawn_is_drawn_from_the_seed():
    assert cases(5) == cases(5)
    ats = {case.options["at"] for seed in SEEDS for case in cases(seed) if case.lie == "flip_bit"}
    assert len(ats) > 15
    forms = {case.options["on"] for seed in SEEDS for case in cases(seed) if case.lie == "flip_bit"}
    assert forms == {"save", "read"}


def test_long_is_for_the_drifts_alone():
    short, long = by_lie(), by_lie(long=True)
    slower = {lie for lie, case in long.items() if case.scenario["duration_s"] > short[lie].scenario["duration_s"]}
    assert slower == {CLEAN, "leak", "slow_down"}
    assert long["leak"].options["mb_per_s"] < short["leak"].options["mb_per_s"]
    assert long["slow_down"].options["over_s"] == long["slow_down"].scenario["duration_s"]


def test_one_lie_can_be_asked_for_and_one_that_is_none_is_refused():
    assert [case.lie for case in cases(1, only=("leak", "flip_bit"))] == ["leak", "flip_bit"]
    with pytest.raises(UsageError, match="--only flip_bits: there is no such lie; did you mean flip_bit"):
        cases(1, only=("flip_bits",))

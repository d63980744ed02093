import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.criteria import BY_NAME, CRITERIA, STATUS_CODE, Outcome

PASS, WARN, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.INCONCLUSIVE
each_criterion = pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.name)


@pytest.mark.parametrize(
    ("name", "low", "high", "outcome"),
    [
        ("generation_rate", 10, 10, PASS),
        ("generation_rate", 9.999, 9.999, FAIL),
        ("concurrent_success_rate", 95, 95, PASS),
        ("concurrent_success_rate", 94.9, 94.9, WARN),
        ("concurrent_success_rate", 90, 90, WARN),
        ("concurrent_success_rate", 89.9, 89.9, FAIL),
        ("generation_memory", 299.9, 299.9, PASS),
        ("generation_memory", 300, 300, FAIL),
        ("error_rate", 0.99, 0.99, PASS),
        ("error_rate", 1, 1, WARN),
        ("error_rate", 5, 5, FAIL),
        ("memory_released", 20, 20, PASS),
        ("memory_released", 20.1, 20.1, FAIL),
        ("cache_speedup", 5, 5, PASS),
        ("cache_speedup", 2, 2, WARN),
        ("cache_speedup", 1.9, 1.9, FAIL),
        ("cache_hit_rate", 80, 80, FAIL),
        ("cache_hit_rate", 80.1, 80.1, PASS),
        ("recovery", 1, 1, PASS),
        ("recovery", 0, 0, FAIL),
        ("data_integrity", 0, 0, PASS),
        ("data_integrity", 1, 1, FAIL),
        ("degradation", -5, 9.9, PASS),
        ("memory_growth", 19, 21, INCONCLUSIVE),  # the interval lies on both sides
        ("memory_growth", 20, 90, FAIL),
        ("error_rate", 0.5, 3, WARN),  # some of it may be past the first line, none past the second
        ("error_rate", 0.5, 7, INCONCLUSIVE),
        ("error_rate", 3, 7, INCONCLUSIVE),
        ("memory_growth", -math.inf, math.inf, INCONCLUSIVE),
        ("memory_growth", math.nan, math.nan, INCONCLUSIVE),  # no data is never a pass, and no warning either
        ("memory_growth", 1, math.nan, INCONCLUSIVE),
    ],
)
def test_a_value_or_an_interval_is_judged_by_the_two_lines(name, low, high, outcome):
    assert BY_NAME[name].decide(low, high) is outcome


@each_criterion
@given(value=st.floats(-1e6, 1e6))
def test_no_exact_value_passes_and_fails_at_once(criterion, value):
    assert not (criterion.pass_line.holds(value) and criterion.fail_line.holds(value))
    assert criterion.decide(value, value) is not INCONCLUSIVE


@each_criterion
@given(ends=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)).map(sorted), inside=st.floats(0, 1))
def test_what_an_interval_decides_holds_for_everything_in_it(criterion, ends, inside):
    low, high = ends
    decided = criterion.decide(low, high)
    if decided in (PASS, FAIL) and criterion.unit != "yes":
        value = min(high, max(low, low + inside * (high - low)))
        assert criterion.decide(value, value) is decided


@each_criterion
def test_each_says_what_it_measures_and_why(criterion):
    assert all((criterion.measures, criterion.why, criterion.window))
    assert BY_NAME[criterion.name] is criterion


def test_the_codes_of_outcomes_are_an_interface():
    assert {str(outcome): code for outcome, code in STATUS_CODE.items()} == {
        "pass": 0,
        "warn": 1,
        "fail": 2,
        "inconclusive": 3,
        "not_applicable": 4,
    }

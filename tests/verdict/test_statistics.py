import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.verdict.statistics import (
    batch_medians,
    bootstrap_difference,
    interquartile_mean,
    lag1_autocorrelation,
    theil_sen,
    weighted_median,
    wilson,
)

AT = np.arange(60.0)


def test_the_slope_of_a_line_is_exact():
    assert theil_sen(AT, 3 * AT + 7) == pytest.approx((3, 3, 3))


def test_a_flat_series_has_no_slope():
    assert theil_sen(AT, np.full(60, 5.0)) == (0, 0, 0)


def test_a_third_of_wild_outliers_does_not_turn_the_slope():
    values = 3 * AT
    values[::4] += 10_000
    assert theil_sen(AT, values).value == pytest.approx(3, abs=0.5)


def test_the_interval_holds_the_true_slope_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = sum(
        low <= 0.1 <= high for _, low, high in (theil_sen(AT, 0.1 * AT + rng.normal(0, 3, 60)) for _ in range(300))
    )
    assert 0.92 <= held / 300 <= 0.99


def test_a_series_that_wanders_gets_a_wider_interval_than_the_same_values_shuffled():
    rng = np.random.default_rng(5)
    steps = rng.normal(0, 1, 60)
    wandering = np.convolve(steps, np.ones(8), "same")
    _, low, high = theil_sen(AT, wandering)
    _, shuffled_low, shuffled_high = theil_sen(AT, rng.permutation(wandering))
    assert high - low > 1.5 * (shuffled_high - shuffled_low)


def test_two_values_have_no_slope_with_an_interval():
    with pytest.raises(ValueError, match="3 are needed"):
        theil_sen([0, 1], [0, 1])


def test_autocorrelation_tells_a_saw_from_a_wave():
    assert lag1_autocorrelation([1, -1] * 20) < -0.9
    assert lag1_autocorrelation(np.sin(AT / 5)) > 0.9
    assert lag1_autocorrelation([4] * 20) == 0


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_wilsons_interval_holds_the_share_and_stays_a_share(hits, trials):
    share, low, high = wilson(min(hits, trials), trials)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_wilsons_interval_is_the_published_one():
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson(81, 263) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0, 0.1611), abs=5e-5)


def test_no_trials_say_nothing():
    assert wilson(0, 0) == (0, 0, 1)


def test_the_bootstrap_finds_a_difference_and_repeats_itself():
    rng = np.random.default_rng(5)
    before, after = rng.normal(10, 1, 80), rng.normal(12, 1, 80)
    found = bootstrap_difference(before, after)
    assert found.low < 2 < found.high
    assert found.low > 1
    assert bootstrap_difference(before, after) == found


def test_the_interquartile_mean_does_not_see_the_outer_quarters():
    assert interquartile_mean(np.array([[-1e9, 1.0, 3.0, 1e9], [4.0, 4.0, 4.0, 4.0]])).tolist() == [2, 4]


def test_the_weighted_median_goes_by_weight():
    assert weighted_median(np.array([5.0, 1.0, 3.0]), np.array([1.0, 10.0, 1.0])) == 1


def test_batches_keep_the_trend_and_drop_the_spikes():
    values = 2 * AT
    values[7] = 1e9
    at, medians = batch_medians(AT, values, 12)
    assert len(at) == 12
    assert medians.tolist() == pytest.approx((2 * at).tolist(), abs=2)

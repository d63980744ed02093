import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.workload.pacer import EvenSpacing, Pacer, PoissonSpacing
from stressd.workload.ramp import NEVER_NS, SECOND_NS, Ramp, Way

RATES = st.floats(0.001, 1_000_000, allow_nan=False)
ELAPSED = st.integers(0, 90 * 24 * 3600 * SECOND_NS)
WAYS = st.lists(st.builds(Way, st.floats(0, 1_000), st.floats(0, 1_000), st.floats(0, 1_000)), min_size=1, max_size=5)
KS_ONCE_IN_A_MILLION = 2.7  # 2·exp(-2·2.7²) = 9e-7


def evenly(rate, stripe=0, stripes=1):
    return Pacer(Ramp.steady(rate), EvenSpacing(), stripe, stripes)


def at_random(rate, seed, stripe=0, stripes=1):
    return Pacer(Ramp.steady(rate), PoissonSpacing(seed, "main"), stripe, stripes)


def offsets_s(pacers, count):
    """The starts of several processes of a pool together, as one stream."""
    return np.sort([pacer.offset_ns(start) for pacer in pacers for start in range(count)]) / SECOND_NS


def ks(samples, cumulative):
    """Return Kolmogorov and Smirnov's distance times the root of the number of samples."""
    expected, steps = cumulative(np.sort(samples)), np.arange(len(samples) + 1) / len(samples)
    return max((expected - steps[:-1]).max(), (steps[1:] - expected).max()) * len(samples) ** 0.5


# --- Any pacer -------------------------------------------------------------------------------------


@given(RATES, st.integers(1, 64), st.data(), ELAPSED)
def test_due_are_exactly_the_starts_whose_offset_has_come(rate, stripes, data, elapsed_ns):
    pacer = evenly(rate, data.draw(st.integers(0, stripes - 1)), stripes)
    due = pacer.due(elapsed_ns)
    assert due >= 0
    assert due == 0 or pacer.offset_ns(due - 1) <= elapsed_ns
    assert pacer.offset_ns(due) > elapsed_ns


@given(WAYS, st.booleans(), st.integers(1, 5), st.integers(0, 10_000 * SECOND_NS), st.integers(0, 2**64))
def test_on_a_ramp_no_start_is_early_lost_or_doubled(ways, random, stripes, elapsed_ns, seed):
    spacing = PoissonSpacing(seed, "main") if random else EvenSpacing()
    ramp = Ramp(ways)
    processes = [Pacer(ramp, spacing, stripe, stripes) for stripe in range(stripes)]
    for pacer in processes:
        due = pacer.due(elapsed_ns)
        assert due == 0 or pacer.offset_ns(due - 1) <= elapsed_ns
        assert pacer.offset_ns(due) > elapsed_ns
    pool = Pacer(ramp, spacing).due(elapsed_ns)
    assert sum(pacer.due(elapsed_ns) for pacer in processes) == pool
    if not random:
        assert abs(pool - ramp.area(elapsed_ns)) <= 1 + 1e-6


@given(WAYS, st.integers(0, 100_000))
def test_starts_never_go_backwards(ways, start):
    pacer = Pacer(Ramp([*ways, Way(3, 3, 0)]), EvenSpacing())
    assert pacer.offset_ns(start) <= pacer.offset_ns(start + 1) < NEVER_NS


def test_a_rate_of_0_is_a_pause():
    for pacer in (evenly(0.0), at_random(0.0, 1)):
        assert pacer.due(10**18) == 0
        assert pacer.offset_ns(0) == NEVER_NS


def test_after_a_pause_the_starts_go_on():
    pacer = Pacer(Ramp([Way(2, 2, 1), Way(0, 0, 10), Way(4, 4, 0)]), EvenSpacing())
    assert [pacer.offset_ns(start) / SECOND_NS for start in range(5)] == [0, 0.5, 11, 11.25, 11.5]
    assert pacer.due(5 * SECOND_NS) == 2


@pytest.mark.parametrize(("stripe", "stripes"), [(1, 1), (-1, 2)])
def test_a_pacer_that_cannot_be_is_refused(stripe, stripes):
    with pytest.raises(ValueError, match="no pacer"):
        evenly(1.0, stripe, stripes)


# --- Constant arrivals -----------------------------------------------------------------------------


def test_stripes_share_out_an_even_spacing():
    starts = offsets_s([evenly(100.0, stripe, 4) for stripe in range(4)], 25)
    assert starts.tolist() == [i / 100 for i in range(100)]


# --- Poisson arrivals ------------------------------------------------------------------------------


def test_the_starts_of_all_processes_together_are_a_poisson_process(run_seed):
    """Gaps as an exponential distribution has them, and counts as independent as they should be."""
    starts = offsets_s([at_random(200.0, run_seed, stripe, 3) for stripe in range(3)], 10_000)
    gaps = np.diff(starts[:29_000])  # of the last, some belong to a process that was asked for no more
    assert ks(gaps, lambda x: 1 - np.exp(-200.0 * x)) < KS_ONCE_IN_A_MILLION
    for width_s in (0.05, 1.0, 1024 / 200):
        counts = np.histogram(starts[:29_000], np.arange(0, starts[28_999], width_s))[0]
        spread = counts.var() / counts.mean()
        assert abs(spread - 1) < 5 * (2 / len(counts)) ** 0.5


def test_long_stretches_of_poisson_starts_spread_as_they_should_and_do_not_follow_one_another(run_seed):
    """The lengths of 1024 gaps, which the tree of halves decides: a gamma distribution, each for itself."""
    spacing = PoissonSpacing(run_seed, "main")
    ends = np.array([spacing.position(1024 * leaf - 1) for leaf in range(1, 1_026)])
    lengths = (np.diff(ends) - 1024) / 1024**0.5
    assert abs(lengths.var() - 1) < 5 * (2 / len(lengths)) ** 0.5
    for apart in (1, 2, 4):
        assert abs(np.mean(lengths[apart:] * lengths[:-apart])) < 5 / len(lengths) ** 0.5


def test_the_test_for_poisson_fires_on_what_is_none(run_seed):
    random = np.random.default_rng(run_seed)
    assert ks(np.diff(offsets_s([evenly(200.0)], 20_000)), lambda x: 1 - np.exp(-200.0 * x)) > 10
    jittered = np.diff(np.sort(np.arange(20_000) + random.uniform(0, 1, 20_000)))
    assert ks(jittered, lambda x: 1 - np.exp(-x)) > 10


def test_poisson_on_a_ramp_is_poisson_in_the_ramps_own_time(run_seed):
    ramp = Ramp([Way(0, 400, 60), Way(400, 100, 20), Way(100, 100, 0)])
    pacer = Pacer(ramp, PoissonSpacing(run_seed, "main"))
    areas = [ramp.area(pacer.offset_ns(start)) for start in range(20_000)]
    assert ks(np.diff(areas), lambda x: 1 - np.exp(-x)) < KS_ONCE_IN_A_MILLION


def test_poisson_starts_are_the_same_for_who_asks_in_order_and_who_asks_once(run_seed):
    spacing = PoissonSpacing(run_seed, "main")
    in_order = [spacing.position(number) for number in range(10_000)]
    assert in_order == sorted(in_order)
    for number in (0, 1023, 1024, 2047, 2048, 4096, 9_999):
        assert PoissonSpacing(run_seed, "main").position(number) == in_order[number]
        assert PoissonSpacing(run_seed, "main").count(in_order[number]) == number + 1
    assert PoissonSpacing(run_seed, "main").count(0.0) == 0


def test_poisson_differs_by_seed_and_by_pool():
    assert len({PoissonSpacing(seed, pool).position(5) for seed in (1, 2) for pool in ("a", "b")}) == 4


@given(st.integers(0, 2**64), st.integers(0, 10**13))
def test_poisson_starts_keep_the_rate_however_far(seed, number):
    spacing = PoissonSpacing(seed, "main")
    position = spacing.position(number)
    assert abs(position - number) < 10 + 8 * number**0.5
    assert spacing.position(number + 1) >= position
    assert spacing.count(position) >= number + 1
    assert number == 0 or spacing.count(np.nextafter(spacing.position(number - 1), 0)) <= number

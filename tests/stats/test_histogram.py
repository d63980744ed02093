import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.stats.histogram import (
    BOUNDS_NS,
    BUCKETS,
    FIRST_OCTAVE,
    LADDER_S,
    Histogram,
    bucket,
    ladder,
    quantile_s,
    quantiles_s,
)

FROM_NS, TO_NS = 2**FIRST_OCTAVE + 1, BOUNDS_NS[-1]  # below it, all is one bucket
durations_ns = st.integers(FROM_NS, TO_NS)
samples = st.lists(durations_ns, min_size=1, max_size=200)


def counted(values_ns):
    counts = np.zeros(BUCKETS, dtype=np.uint64)
    for value_ns in values_ns:
        counts[bucket(value_ns)] += 1
    return counts


@given(samples, st.floats(0, 1))
def test_a_quantile_is_within_three_percent_of_the_exact_one(values_ns, q):
    exact_s = sorted(values_ns)[max(1, int(np.ceil(q * len(values_ns)))) - 1] / 1e9
    assert quantile_s(counted(values_ns), q) == pytest.approx(exact_s, rel=0.03)


@given(samples, samples)
def test_adding_two_histograms_is_counting_both(ones, others):
    assert (counted(ones) + counted(others) == counted(ones + others)).all()


@given(st.lists(st.integers(0, 2 * TO_NS) | st.sampled_from([round(le * 1e9) for le in LADDER_S]), max_size=200))
def test_the_ladder_is_exact(values_ns):
    *cumulative, total = ladder(counted(values_ns))
    assert cumulative == [sum(value_ns <= round(le * 1e9) for value_ns in values_ns) for le in LADDER_S]
    assert total == len(values_ns)


@given(st.integers(0, 4 * TO_NS))
def test_a_duration_is_in_the_bucket_between_whose_bounds_it_lies(value_ns):
    at = bucket(value_ns)
    assert at == 0 or BOUNDS_NS[at - 1] < value_ns
    assert at == len(BOUNDS_NS) or value_ns <= BOUNDS_NS[at]


@given(samples)
def test_quantiles_never_fall_as_they_rise(values_ns):
    found = quantiles_s(counted(values_ns), (0.0, 0.1, 0.5, 0.9, 0.99, 1.0))
    assert found == sorted(found)


def test_of_nothing_there_is_no_quantile():
    assert quantiles_s(np.zeros(BUCKETS, dtype=np.uint64), (0.5, 1.0)) == [None, None]


def test_a_huge_count_neither_overflows_nor_loses_the_rank():
    counts = counted([])
    counts[bucket(10**6)], counts[bucket(10**9)] = 10**15, 1
    assert quantile_s(counts, 0.999) == pytest.approx(1e-3, rel=0.03)
    assert quantile_s(counts, 1.0) == pytest.approx(1.0, rel=0.03)
    assert ladder(counts)[-1] == 10**15 + 1


def test_longer_than_every_bound_is_still_counted():
    assert bucket(10 * TO_NS) == BUCKETS - 1
    assert quantile_s(counted([10 * TO_NS]), 0.5) >= LADDER_S[-1]


def test_the_daemons_own_histogram_counts_seconds():
    own = Histogram()
    for duration_s in (0.001, 0.5, -0.1):  # a clock that went back counts as nothing, not as a crash
        own.observe_s(duration_s)
    assert own.counts.sum() == 3
    assert own.sum_ns == 501_000_000

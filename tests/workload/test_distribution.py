from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.pools import Keys
from stressd.workload.distribution import KeySpace, key_stream

DRAWS = 200_000
ALL = ("uniform", "zipfian", "latest", "hotspot", "sequential")


def space_of(count, seed=1, lanes=4, saves=lambda key: 1):
    each = count // lanes
    return KeySpace([range(lane * each, (lane + 1) * each) for lane in range(lanes)], seed, saves)


def drawn(keys, space, seed, count=DRAWS, lane=0, lanes=4):
    return list(islice(key_stream(keys, space, seed, lane, lanes), count))


def chi_square(counts, expected):
    """Return how far the sum is from what it would be by chance, in its standard deviations."""
    freedom = len(expected) - 1
    distance = float(((np.array(counts) - expected) ** 2 / expected).sum())
    return (distance - freedom) / (2 * freedom) ** 0.5


def zipf_weights(count, theta):
    weights = 1 / np.arange(1, count + 1) ** theta
    return weights / weights.sum()


def test_uniform_draws_every_key_as_often(run_seed):
    counts = Counter(drawn(Keys(), space_of(40), run_seed))
    assert chi_square([counts[key] for key in range(40)], np.full(40, DRAWS / 40)) < 6


@pytest.mark.parametrize(("count", "theta"), [(1_000, 0.99), (8, 0.99), (100, 0.5), (2, 0.9), (500, 0.9999)])
def test_zipfian_has_the_right_frequencies(count, theta, run_seed):
    space = space_of(count, run_seed, lanes=2)
    counts = Counter(drawn(Keys(distribution="zipfian", theta=theta), space, run_seed))
    in_rank_order = [counts[key] for key in space.scattered.tolist()]
    expected = zipf_weights(count, theta) * DRAWS
    assert chi_square(in_rank_order, expected) < 6
    assert chi_square(in_rank_order[::-1], expected) > 50 or count == 2  # a wrong order is seen


def test_zipfian_hot_keys_are_the_same_for_all_lanes_and_scattered(run_seed):
    space = space_of(1_000, run_seed)
    hottest = [
        [key for key, _ in Counter(drawn(Keys(distribution="zipfian"), space, run_seed, lane=lane)).most_common(3)]
        for lane in range(2)
    ]
    assert hottest[0] == hottest[1] == space.scattered[:3].tolist()
    assert sorted(space.scattered.tolist()) == list(range(1_000))
    assert space_of(1_000, run_seed + 1).scattered.tolist() != space.scattered.tolist()


def test_zipfian_takes_no_longer_where_there_are_more_keys():
    """No table: the stream of a space of a million keys holds as little as that of ten."""
    for count in (10, 1_000_000):
        stream = key_stream(Keys(distribution="zipfian"), space_of(count, lanes=2), 1, 0, 2)
        assert 0 <= next(stream) < count


def test_hotspot_gives_so_many_reads_to_so_many_keys(run_seed):
    space = space_of(100, run_seed)
    counts = Counter(drawn(Keys(distribution="hotspot", hot_keys=0.1, hot_reads=0.7), space, run_seed))
    expected = np.concatenate([np.full(10, 0.7 * DRAWS / 10), np.full(90, 0.3 * DRAWS / 90)])
    assert chi_square([counts[key] for key in space.scattered.tolist()], expected) < 6


def test_sequential_goes_round_and_lanes_begin_elsewhere():
    keys = Keys(distribution="sequential")
    assert drawn(keys, space_of(8), 1, 20) == [*range(8), *range(8), *range(4)]
    assert drawn(keys, space_of(8), 1, 8, lane=3) == [6, 7, 0, 1, 2, 3, 4, 5]
    assert Counter(drawn(keys, space_of(8), 1, 80_000)) == dict.fromkeys(range(8), 10_000)


def test_latest_prefers_what_was_saved_last(run_seed):
    """Two lanes of four keys: in the first, two keys are a round ahead, in the second all are level."""
    saves = [6, 6, 5, 5, 3, 3, 3, 3]
    space = space_of(8, lanes=2, saves=saves.__getitem__)
    counts = Counter(drawn(Keys(distribution="latest"), space, run_seed))
    newest_first = [[1, 0, 3, 2], [7, 6, 5, 4]]
    weights = zipf_weights(8, 0.99).reshape(4, 2).sum(axis=1) / 2
    expected = np.concatenate([weights, weights]) * DRAWS
    assert chi_square([counts[key] for lane in newest_first for key in lane], expected) < 6


def test_latest_follows_the_saves_as_they_go_on():
    saves = [1, 0, 0, 0]
    space = KeySpace([range(4)], 1, saves.__getitem__)
    newest = [space.latest(0, 0)]
    for key in (1, 2, 3, 0):
        saves[key] += 1
        newest.append(space.latest(0, 0))
    assert newest == [0, 1, 2, 3, 0]
    assert [space.latest(rank, 9) for rank in range(4)] == [0, 3, 2, 1]


@pytest.mark.parametrize("distribution", ALL)
@given(count=st.integers(1, 50), lanes=st.integers(1, 5), seed=st.integers(0, 2**64))
def test_every_draw_is_a_key_of_the_space(distribution, count, lanes, seed):
    space = KeySpace(
        [range(10 * lane, 10 * lane + count) for lane in range(0, 5 * lanes, 5)], seed, lambda key: key % 3
    )
    stream = drawn(Keys(distribution=distribution), space, seed, 500, lane=lanes - 1, lanes=lanes)
    assert set(stream) <= set(space.in_order.tolist())


@pytest.mark.parametrize("distribution", ALL)
def test_a_stream_is_the_lanes_own_and_repeats(distribution, run_seed):
    keys, space = Keys(distribution=distribution), space_of(1_000)
    assert drawn(keys, space, run_seed, 300) == drawn(keys, space, run_seed, 300)
    assert drawn(keys, space, run_seed, 300) != drawn(keys, space, run_seed, 300, lane=1)

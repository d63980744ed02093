from collections import Counter

import pytest

from stressd.scenario import Mix
from stressd.workload.operation import Draws, Op, SaveKeys


def test_operations_follow_the_weights(run_seed):
    draws = Draws(Mix(save=1, read=3, scrub=0), 10, run_seed, 0)
    counts = Counter(draws.operation() for _ in range(20_000))
    assert set(counts) == {Op.SAVE, Op.READ}
    assert 4_500 < counts[Op.SAVE] < 5_500


def test_one_operation_alone_is_always_drawn(run_seed):
    draws = Draws(Mix(scrub=0.1), 1, run_seed, 0)
    assert {draws.operation() for _ in range(5_000)} == {Op.SCRUB}


def test_every_operation_of_a_mix_is_one(run_seed):
    assert {op.name.lower() for op in Op} == set(Mix.model_fields)


def test_the_stream_is_the_lanes_own_and_repeats(run_seed):
    def stream(seed, lane):
        draws = Draws(Mix(save=1, read=1), 1000, seed, lane)
        return [(draws.operation(), draws.read_key()) for _ in range(200)]

    assert stream(run_seed, 1) == stream(run_seed, 1)
    assert stream(run_seed, 1) != stream(run_seed, 2)
    assert stream(run_seed, 1) != stream(run_seed + 1, 1)


def test_keys_to_read_are_uniform_over_all(run_seed):
    draws = Draws(Mix(read=1), 20, run_seed, 0)
    counts = Counter(draws.read_key() for _ in range(20_000))
    assert set(counts) == set(range(20))
    assert min(counts.values()) > 800
    assert max(counts.values()) < 1_200


def test_keys_without_a_save_are_passed_over_while_there_are_others(run_seed):
    draws = Draws(Mix(read=1), 4, run_seed, 0, is_saved=lambda key: key != 2)
    assert Counter(draws.read_key() for _ in range(2_000))[2] < 5
    nothing = Draws(Mix(read=1), 4, run_seed, 0, is_saved=lambda key: False)
    assert 0 <= nothing.read_key() < 4


def test_the_least_saved_key_is_next_and_level_ones_take_turns():
    keys = SaveKeys([(10, 5), (11, 3), (12, 3)])
    assert [keys.take() for _ in range(7)] == [11, 12, 11, 12, 10, 11, 12]


def test_a_retired_key_is_never_taken_again():
    keys = SaveKeys([(1, 0), (2, 0)])
    keys.take()
    keys.retire(1)
    assert len(keys) == 1
    assert [keys.take() for _ in range(3)] == [2, 2, 2]
    keys.retire(2)
    with pytest.raises(IndexError):
        keys.take()

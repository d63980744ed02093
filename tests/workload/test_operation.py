from collections import Counter
from itertools import count

import pytest

from stressd.pools import Mix
from stressd.workload.operation import Draws, Op, SaveKeys


def draws_of(*mixes, seed=1, lane=0, keys=None, is_saved=None):
    draws = Draws(keys or count(), seed, lane, is_saved)
    draws.operations = [draws.operation(number, mix) for number, mix in enumerate(mixes)]
    return draws


def test_operations_follow_the_weights(run_seed):
    operation = draws_of(Mix(save=1, read=3, scrub=0), seed=run_seed).operations[0]
    counts = Counter(operation() for _ in range(20_000))
    assert set(counts) == {Op.SAVE, Op.READ}
    assert 4_500 < counts[Op.SAVE] < 5_500


def test_one_operation_alone_is_always_drawn(run_seed):
    operation = draws_of(Mix(scrub=0.1), seed=run_seed).operations[0]
    assert {operation() for _ in range(5_000)} == {Op.SCRUB}


def test_every_operation_of_a_mix_is_one():
    assert {op.name.lower() for op in Op} == set(Mix.model_fields)


def test_each_mix_and_lane_has_a_stream_of_its_own_that_repeats(run_seed):
    def streams(seed, lane):
        both = draws_of(Mix(save=1, read=1), Mix(save=1, read=1), seed=seed, lane=lane)
        return [[operation() for _ in range(200)] for operation in both.operations]

    first, second = streams(run_seed, 1)
    assert first != second
    assert streams(run_seed, 1) == [first, second]
    assert first not in streams(run_seed, 2) + streams(run_seed + 1, 1)


def test_keys_without_a_save_are_passed_over_while_there_are_others():
    draws = draws_of(Mix(read=1), is_saved=lambda key: key % 4 == 3)
    assert [draws.read_key() for _ in range(3)] == [3, 7, 11]
    nothing = draws_of(Mix(read=1), is_saved=lambda key: False)
    assert nothing.read_key() == 7  # the last of eight tries: the caller saves then


def test_keys_are_taken_as_they_come_where_nobody_asks_for_saved_ones():
    draws = draws_of(Mix(read=1))
    assert [draws.read_key() for _ in range(3)] == [0, 1, 2]


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

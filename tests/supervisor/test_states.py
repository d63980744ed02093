import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.metrics import WORKER_STATES
from stressd.supervisor.states import (
    CRASH_WINDOW_S,
    CRASHES,
    DEGRADED_RETRY_S,
    HEALTHY_S,
    Backoff,
    HangWatch,
    WorkerState,
)


class Highest(random.Random):
    """Chance that always takes the highest."""

    def uniform(self, a, b):
        return b


class Dice(random.Random):
    """Chance, of a seed that hypothesis may print."""


def backoff(rng=None):
    return Backoff(0.1, 30.0, rng or Highest())


def test_waits_double_up_to_the_most():
    slot = backoff()
    waits_s = [slot.failed(now_s=1_000.0 * number, ran_s=1) for number in range(12)]
    assert waits_s[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert waits_s[-1] == 30.0
    assert not slot.degraded


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_jitter_is_full_and_never_above_the_ceiling(seed, failures):
    slot = backoff(Dice(seed))
    for number in range(failures):
        wait_s = slot.failed(1_000.0 * number, 1)
        assert 0 <= wait_s <= min(30.0, 0.1 * 2**number)


def test_a_healthy_run_makes_up_for_earlier_failures():
    slot = backoff()
    for number in range(4):
        slot.failed(number, 1)
    assert slot.failed(100, HEALTHY_S) == 0.1


def test_too_many_deaths_in_a_short_time_degrade_the_slot():
    slot = backoff()
    for number in range(CRASHES):
        slot.failed(number, 0.1)
        assert not slot.degraded
    assert slot.failed(CRASH_WINDOW_S, 0.1) == DEGRADED_RETRY_S
    assert slot.degraded


def test_as_many_deaths_over_a_long_time_do_not():
    slot = backoff()
    for number in range(3 * CRASHES):
        slot.failed(number * (CRASH_WINDOW_S / CRASHES + 1), 1)
    assert not slot.degraded


def test_a_degraded_slot_stays_so_until_a_worker_of_it_stays_healthy():
    slot = backoff()
    for number in range(CRASHES + 1):
        slot.failed(number, 0.1)
    now_s = 100.0
    for _ in range(5):  # each slow retry dies at once: that they are slow does not make them good
        assert slot.failed(now_s, 1.0) == DEGRADED_RETRY_S
        now_s += DEGRADED_RETRY_S + 1
    slot.ran(HEALTHY_S - 1)
    assert slot.degraded
    slot.ran(HEALTHY_S)
    assert not slot.degraded
    assert slot.failed(now_s, 1) == 0.1


def test_silence_for_longer_than_allowed_is_a_hang():
    watch = HangWatch(hang_s=30)
    for now_s in range(100, 141):
        watch.tick(now_s)
    assert not watch.hung(beat_s=110, now_s=140)
    assert watch.hung(beat_s=109.9, now_s=140)


def test_time_in_which_the_supervisor_slept_itself_does_not_count():
    watch = HangWatch(hang_s=30)
    watch.tick(100)
    watch.tick(500)  # a suspended machine: the workers slept too
    assert not watch.hung(beat_s=100, now_s=500)
    for now_s in range(500, 532):
        watch.tick(now_s)
    assert watch.hung(beat_s=100, now_s=531)


def test_a_slot_has_every_state_that_the_metric_shows():
    assert set(WORKER_STATES) <= {str(state) for state in WorkerState}

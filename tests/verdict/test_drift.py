"""Memory growth and degradation, on series of which the truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from simulated import MEMORY_KINDS

from stressd.criteria import BY_NAME, Outcome
from stressd.verdict.degradation import degradation
from stressd.verdict.growth import memory_growth
from stressd.verdict.measured import Inconclusive, Measured

SECONDS = 180
SHARE = np.arange(SECONDS) / SECONDS


def decided(name, found):
    assert isinstance(found, Measured), found
    return BY_NAME[name].decide(found.low, found.high)


# --- Memory ------------------------------------------------------------------------------------------


@pytest.fixture
def growth(made):
    def measured(extra_mb, load_s=float(SECONDS), **changes):
        ticks = [
            made.tick(
                (i + 1) * load_s / SECONDS,
                rss_bytes=round((300 + extra) * made.mb),
                **{name: round(float(values[i])) for name, values in changes.items()},
            )
            for i, extra in enumerate(extra_mb)
        ]
        return memory_growth(ticks, load_s, 10)

    return measured


def noise(sigma_mb, seed=3):
    return np.random.default_rng(seed).normal(0, sigma_mb, SECONDS)


@pytest.mark.parametrize(
    ("series", "outcome"),
    [
        (np.zeros(SECONDS), Outcome.PASS),
        (noise(8), Outcome.PASS),
        (60 * SHARE + noise(8), Outcome.FAIL),
        (30 * SHARE + noise(1), Outcome.FAIL),
        (5 * SHARE + noise(3), Outcome.PASS),
        (20 * (np.arange(SECONDS) % 15) / 15, Outcome.PASS),  # a saw: collected every 15 s
        (150 * np.minimum(1, SHARE / 0.15), Outcome.PASS),  # a cache that fills during the warm-up
        (80 * (1 - np.exp(-SHARE / 0.5)) + noise(1), Outcome.FAIL),  # one that goes on filling
        (np.where(np.arange(SECONDS) % 20 == 0, 500, 0), Outcome.PASS),  # spikes
    ],
    ids=["flat", "noisy", "leak", "slow leak", "slight", "saw", "cache filling", "cache too big", "spikes"],
)
def test_memory_growth_is_told_from_noise(growth, series, outcome):
    assert decided("memory_growth", growth(series)) is outcome


def test_a_slow_leak_is_measured_in_megabytes_over_the_run(growth):
    assert growth(40 * SHARE + noise(2)).value == pytest.approx(40, rel=0.1)


def test_beyond_ten_minutes_growth_counts_per_hour(growth):
    found = growth(40 * SHARE, load_s=7200.0)
    assert found.value == pytest.approx(20, rel=0.01)
    assert "per hour" in found.note


def test_a_wild_series_near_the_line_is_inconclusive(growth):
    outcomes = [decided("memory_growth", growth(20 * SHARE + noise(30, seed))) for seed in range(20)]
    assert outcomes.count(Outcome.INCONCLUSIVE) >= 15  # on the line: some chance for either call is in the nature of it


def test_a_short_run_says_how_long_it_would_take(made):
    found = memory_growth(made.quiet_ticks(25), 25.0, 10)
    assert isinstance(found, Inconclusive)
    assert "a run of 45 s or more can tell" in found.reason


def test_arrow_flat_while_memory_grows_is_said(growth):
    flat = growth(50 * SHARE, arrow_bytes=np.full(SECONDS, 5e7))
    guilty = growth(50 * SHARE, arrow_bytes=5e7 + 45e6 * SHARE)
    assert "Arrow's buffers flat" in flat.note
    assert "Arrow's buffers +45" in guilty.note


def test_only_the_resident_size_counts_since_the_proportional_one_moves_with_the_neighbours(made):
    ticks = [made.tick(i + 1.0, pss_bytes=round((300 + i) * made.mb), rss_bytes=400 * made.mb) for i in range(SECONDS)]
    found = memory_growth(ticks, 180.0, 10)
    assert (found.value, found.note) == (0, "resident, over the run")


# --- Degradation -------------------------------------------------------------------------------------


def test_a_quiet_noisy_run_passes_and_never_fails(made):
    outcomes = [
        decided("degradation", degradation(made.noisy_ticks(seed, lambda share: 1.0), 10)) for seed in range(30)
    ]
    assert outcomes.count(Outcome.PASS) >= 27
    assert Outcome.FAIL not in outcomes


@pytest.mark.parametrize(
    "slower",
    [
        lambda share: 1 + share / 3,
        lambda share: 4 / 3 if share > 0.5 else 1.0,
        lambda share: 1.5 if share > 0.8 else 1.0,
    ],
    ids=["steadily", "half-way", "at the end"],
)
def test_a_quarter_less_work_is_found(made, slower):
    outcomes = [decided("degradation", degradation(made.noisy_ticks(seed, slower), 10)) for seed in range(20)]
    assert outcomes.count(Outcome.FAIL) >= 18
    assert Outcome.PASS not in outcomes


@pytest.mark.parametrize("follows", [1, 0.6, 0], ids=["bound by the processor", "in part", "by a network"])
@pytest.mark.parametrize("fast_at_end", [False, True], ids=["steady", "faster at the end"])
def test_a_host_that_swings_between_two_speeds_is_taken_out(made, follows, fast_at_end):
    swinging = {"depth": 0.4, "follows": follows, "fast_at_end": fast_at_end}
    good = [decided("degradation", degradation(made.noisy_ticks(seed, **swinging), 10)) for seed in range(20)]
    assert good.count(Outcome.PASS) >= 17
    assert Outcome.FAIL not in good
    slower = [
        decided("degradation", degradation(made.noisy_ticks(seed, lambda share: 1 + share / 3, **swinging), 10))
        for seed in range(20)
    ]
    assert slower.count(Outcome.FAIL) >= 16
    assert Outcome.PASS not in slower


def test_what_was_the_hosts_is_said(made):
    noted = degradation(made.noisy_ticks(1, depth=0.4, fast_at_end=True), 10).note
    assert "% of it was the host's own speed, and does not count" in noted
    assert "host" not in degradation(made.noisy_ticks(1), 10).note


def test_a_target_that_slows_down_by_itself_is_not_excused_by_a_steady_host(made):
    found = degradation(made.noisy_ticks(1, lambda share: 4 / 3 if share > 0.5 else 1.0), 10)
    assert found.value == pytest.approx(25, abs=3)


def test_a_run_without_a_cell_checked_is_judged_without_the_host(made):
    ticks = [replace(tick, cells=0, cells_cpu_s=0.0) for tick in made.noisy_ticks(1, depth=0.4, fast_at_end=True)]
    assert degradation(ticks, 10).value < -10


@pytest.mark.parametrize("kind", MEMORY_KINDS)
def test_memory_that_does_not_grow_is_not_accused_and_forty_megabytes_do_not_pass(made, kind):
    def outcomes(growth_mb):
        return [
            decided("memory_growth", memory_growth(made.memory_ticks(seed, kind, growth_mb), 180.0, 10))
            for seed in range(30)
        ]

    assert Outcome.FAIL not in outcomes(0)
    assert Outcome.PASS not in outcomes(40)


def test_degradation_is_the_share_of_work_lost(made):
    ticks = made.quiet_ticks()
    slow = [made.tick(t.at_s, p50_s=tuple(1.25 * s for s in t.p50_s)) if t.at_s > 100 else t for t in ticks]
    found = degradation(slow, 10)
    assert (found.value, found.low, found.high) == pytest.approx((20, 20, 20))
    assert "save +25 %" in found.note


def test_a_target_that_gets_faster_has_lost_nothing(made):
    ticks = made.quiet_ticks()
    fast = [made.tick(t.at_s, p50_s=tuple(s / 2 for s in t.p50_s)) if t.at_s > 100 else t for t in ticks]
    assert degradation(fast, 10).value == pytest.approx(-100)


def test_a_mix_that_shifts_to_slow_operations_is_no_degradation(made):
    """The mean time doubles; each operation takes what it always took."""
    ticks = [made.tick(t.at_s, counts=(9, 36, 5, 4, 6)) if t.at_s > 100 else t for t in made.quiet_ticks()]
    assert degradation(ticks, 10).value == pytest.approx(0)


def test_a_class_that_comes_and_goes_does_no_harm(made):
    ticks = [
        made.tick(t.at_s, counts=(0, 12, 25, 18, 0), p50_s=(None, 0.020, 0.0005, 0.006, None)) if t.at_s % 3 else t
        for t in made.quiet_ticks()
    ]
    assert degradation(ticks, 10).value == pytest.approx(0)


def test_seconds_of_a_fault_and_the_three_after_it_do_not_count(made):
    def slow(at_s):
        return made.tick(at_s, p50_s=(1.0,) * 5, fault=at_s <= 175)

    ticks = [slow(t.at_s) if 150 < t.at_s <= 178 else t for t in made.quiet_ticks()]
    assert degradation(ticks, 10).value == pytest.approx(0)
    for_good = [slow(t.at_s) if t.at_s > 150 else t for t in made.quiet_ticks(220)]
    assert degradation(for_good, 10).value > 90


def test_seconds_in_which_other_programs_had_the_machine_do_not_count(made):
    slow = [made.tick(t.at_s, p50_s=(1.0,) * 5) if t.at_s > 150 else t for t in made.quiet_ticks(220)]
    crowded = [replace(t, idle=0.02, others=0.4) if t.at_s > 150 else t for t in slow]
    found = degradation(crowded, 10)
    assert found.value == pytest.approx(0)
    assert "70 s left out: other programs had the machine" in found.note
    ours = [replace(t, idle=0.02, others=0.1) if t.at_s > 150 else t for t in slow]
    assert degradation(ours, 10).value > 90
    elsewhere = [replace(t, idle=0.5, others=0.4) if t.at_s > 150 else t for t in slow]
    assert degradation(elsewhere, 10).value > 90


def test_a_machine_that_others_had_all_the_time_tells_nothing(made):
    found = degradation([replace(t, idle=0.0, others=0.5) for t in made.quiet_ticks()], 10)
    assert isinstance(found, Inconclusive)
    assert "180 s left out: other programs had the machine" in found.reason


def test_warm_up_does_not_count(made):
    ticks = [made.tick(t.at_s, p50_s=(1.0,) * 5) if t.at_s <= 60 else t for t in made.quiet_ticks()]
    assert degradation(ticks, 60).value == pytest.approx(0)
    assert degradation(ticks, 10).value < -100


def test_stalls_of_a_second_do_not_count(made):
    ticks = [made.tick(t.at_s, p50_s=(0.5,) * 5) if t.at_s in (150, 160, 170, 175) else t for t in made.quiet_ticks()]
    assert degradation(ticks, 10).value == pytest.approx(0)


@pytest.mark.parametrize("seconds", [0, 20, 45])
def test_too_short_a_load_is_inconclusive(made, seconds):
    found = degradation(made.quiet_ticks(seconds), 10)
    assert isinstance(found, Inconclusive)
    assert "it takes 40 s or more" in found.reason


def test_a_long_run_is_bounded_in_windows(made):
    ticks = [made.tick(10.0 * (i + 1), duration_s=10.0) for i in range(8_640)]
    assert degradation(ticks, 10).value == pytest.approx(0)

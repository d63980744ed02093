"""Simulated runs: ticks of a load, and of a process tree's memory, of which the truth is known."""

from dataclasses import replace

import numpy as np

from stressd.verdict.evidence import Tick

MB = 1_000_000
WARMUP_S = 10
RATES = (3, 12, 25, 18, 2)  # per second, of CLASSES: generate, save, read/cache, read/store, scrub
USUAL_S = (0.025, 0.020, 0.0005, 0.006, 0.008)


def tick(at_s, **changes):
    """A quiet second that ended `at_s` after the load began."""
    quiet = Tick(
        at_s=at_s,
        duration_s=1.0,
        counts=RATES,
        busy_s=tuple(rate * usual_s for rate, usual_s in zip(RATES, USUAL_S, strict=True)),
        p50_s=USUAL_S,
        p99_s=tuple(4 * usual_s for usual_s in USUAL_S),
        attempts=sum(RATES),
        errors=0,
        injected=0,
        rss_bytes=400 * MB,
        pss_bytes=300 * MB,
        arrow_bytes=50 * MB,
        cpu_s=0.5,
        workers=2,
        fault=False,
    )
    return replace(quiet, **changes)


def quiet_ticks(seconds=180):
    return [tick(float(second + 1)) for second in range(seconds)]


def noisy_ticks(seed, slower=lambda share: 1.0, seconds=180, *, depth=0.0, follows=1.0, fast_at_end=False):
    """A load on a shared machine: log-normal times, 5 % outliers of 5x, a host that wanders by 5 %.

    `slower` takes the share of the run that is over and returns the factor on all times. With `depth` the host swings
    between two speeds too, that far apart (in logarithms): the control shows it, with noise of its own, and the target
    follows it fully (1) or not at all (0: it waits for a network).
    `fast_at_end`: it is mostly slow in the first third of the run, and mostly fast in the last.
    """
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.3, 0.5)
    host = 1 + np.clip(_wander(rng, seconds), -0.05, 0.05)
    swings = np.exp(depth * _swings(rng, seconds, fast_at_end))
    ticks = []
    for second in range(seconds):
        factor = host[second] * swings[second] ** follows * slower(max(0.0, second - WARMUP_S) / (seconds - WARMUP_S))
        times = [_times(rng, rate, usual_s * factor, sigma) for rate, usual_s in zip(RATES, USUAL_S, strict=True)]
        ticks.append(
            tick(
                float(second + 1),
                counts=tuple(len(each) for each in times),
                busy_s=tuple(float(each.sum()) for each in times),
                p50_s=tuple(float(np.median(each)) if len(each) else None for each in times),
                p99_s=tuple(float(each.max()) if len(each) else None for each in times),
                cells=150_000,
                cells_cpu_s=float(0.0015 * swings[second] * np.exp(rng.normal(0, 0.06))),
            )
        )
    return ticks


def _swings(rng, seconds, fast_at_end):
    """1 while the host is slow, 0 while it is fast: by turns, for 10 to 20 seconds, now and then for a minute."""
    state, values = bool(rng.random() < 0.5), []
    while len(values) < seconds:
        values += [state] * int(rng.uniform(10, 20) if rng.random() < 0.9 else rng.uniform(20, 60))
        state = not state
    found = np.array(values[:seconds], dtype=float)
    if fast_at_end:
        found[: seconds // 3] = 1 - found[: seconds // 3] * 0.3
        found[seconds * 2 // 3 :] *= 0.3
    return found


def _wander(rng, seconds):
    keep = np.exp(-1 / rng.uniform(5, 40))
    kicks = rng.normal(0, 0.025 * np.sqrt(1 - keep**2), seconds)
    values = [rng.normal(0, 0.025)]
    for kick in kicks[1:]:
        values.append(keep * values[-1] + kick)
    return np.array(values)


def _times(rng, rate, usual_s, sigma):
    count = rate if rate >= 5 else rng.poisson(rate)
    times = usual_s * np.exp(rng.normal(0, sigma, count))
    return np.where(rng.random(count) < 0.05, 5 * times, times)


def memory_ticks(seed, kind, growth_mb=0.0, seconds=180):
    """A process tree whose memory grows by `growth_mb` over the run, steadily, beside what its `kind` does anyway.

    Kinds: flat, noisy, saw (collected every 15 s), filling (a cache that fills in the warm-up), step (in the warm-up),
    restart (a worker dies half-way and its replacement has its size again after ten seconds), heap (as real workers'
    heaps: given back every 5 s, wandering for ten).
    """
    rng = np.random.default_rng(seed)
    at = np.arange(seconds)
    size = 300 + growth_mb * at / seconds + rng.normal(0, 0.5, seconds)
    beside = {
        "flat": np.zeros(seconds),
        "noisy": rng.normal(0, 8, seconds),
        "saw": 20 * ((at + rng.integers(15)) % 15) / 15,
        "filling": 150 * np.minimum(1, at / (0.15 * seconds)),
        "step": np.where(at > rng.uniform(0, 0.18) * seconds, 40, 0),
        "restart": _restart(at, rng.uniform(0.3, 0.8) * seconds),
        "heap": _heap(rng, at),
    }[kind]
    return [tick(float(s + 1), rss_bytes=round((size[s] + beside[s]) * MB)) for s in range(seconds)]


MEMORY_KINDS = ("flat", "noisy", "saw", "filling", "step", "restart", "heap")


def _heap(rng, at):
    keep = np.exp(-1 / 10)
    wandering = [rng.normal(0, 2.5)]
    for kick in rng.normal(0, 2.5 * np.sqrt(1 - keep**2), len(at) - 1):
        wandering.append(keep * wandering[-1] + kick)
    return np.array(wandering) + rng.normal(0, 2, len(at)) + 6 * ((at + rng.integers(5)) % 5) / 5


def _restart(at, died_at):
    return np.where(at >= died_at, -80 * np.clip(1 - (at - died_at) / 10, 0, 1), 0)

"""A right store is never accused: many reads, each checked to the last cell, while workers are killed.

`make soak-truth READS=10000000` is the long form: it prints what docs/verification.md has. n reads without a false
accusation bound their rate by 3/n, with 95 % confidence (the rule of three).
"""

import contextlib
import itertools
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from daemon import ROOT, Daemon, stressd, write_scenario

HERE = Path(__file__).resolve().parent
READS = int(os.environ.get("STRESSD_TRUTH_READS") or 0)  # in all; 0: the short form
SHORT_READS = 600  # of each store
ROUND_READS = 100_000  # then another distribution of keys, other shapes, another seed
PROCESSES = 8 if READS else 3
KILL_EVERY_READS = 8_000 if READS else 200  # by what was done, not by time: on a slow machine workers need longer
ROUND_WITHIN_S = 3600 if READS else 90

DISTRIBUTIONS = ("uniform", "zipfian", "latest", "hotspot", "sequential")
SHAPES = (  # of frames, and how many keys a lane has: from all lanes at a few keys to hardly ever the same
    {"content": {"kind": "random", "rows": [1, 4], "columns": 2, "names": 2}, "keys_per_lane": 1},
    {"content": {"kind": "random", "rows": [1, 12], "columns": 3, "names": 1}, "keys_per_lane": 4},
    {"content": {"kind": "movies", "rows": [1, 5], "names": ["basic", "text"]}, "keys_per_lane": 2},
    {"content": {"kind": "random", "rows": 2, "columns": 1, "names": 3}, "keys_per_lane": 40},
)
ENOUGH_TO_ERR = 5_000  # reads, beside which a store that errs now and then surely does
MIX = {"generate": 0, "save": 12, "read": 58, "read_store": 20, "scrub": 10}


@dataclass(frozen=True)
class Right:
    """A right store: its target, the options that it takes in a folder, and whether it outlives its processes.

    `share` of the reads is asked of it: of a quick one more, so that each of them is soaked for about as long.
    """

    target: str
    options: dict = field(default_factory=dict)
    shared: bool = True
    threads: int = 1
    errs: bool = False
    share: int = 1


STORES = {
    "embedded": Right("embedded", {"cache_max_size": 64, "keep_versions": 4, "grace_seconds": 2}),
    "dict": Right("memory", shared=False, share=10),
    "sqlite far away": Right("right_stores:Far", {"path": "{folder}/features.sqlite"}, threads=2, share=2),
    "answers lost": Right(
        "right_stores:LosesAnswers", {"path": "{folder}/features.sqlite"}, threads=2, errs=True, share=2
    ),
    "embedded, answers lost": Right(
        "stressd.targets.faults:Liar",
        {"lie": "raise_error", "rate": "1%", "inner": "embedded", "keep_versions": 4, "grace_seconds": 2},
        errs=True,
    ),
    "late writes": Right("right_stores:LandsLate", {"path": "{folder}/features.sqlite"}, threads=2, errs=True, share=4),
}


@pytest.mark.timeout(0 if READS else 240)
@pytest.mark.parametrize("name", STORES)
def test_a_right_store_is_never_accused(tmp_path, name, run_seed):
    draw = random.Random(f"{run_seed}:{name}")
    store = STORES[name]
    wanted = READS * store.share // sum(each.share for each in STORES.values()) if READS else SHORT_READS
    shapes, distributions = (itertools.cycle(draw.sample(each, len(each))) for each in (SHAPES, DISTRIBUTIONS))
    checked, rounds = 0, itertools.count()
    while checked < wanted:
        folder = tmp_path / f"round-{next(rounds)}"
        folder.mkdir()
        told = soak(folder, store, next(shapes), next(distributions), min(ROUND_READS, wanted - checked), draw)
        checked += told["reads"]
        print(f"{name}: {checked:,} reads checked, {told}", flush=True)
        assert told["violations"] == {}, told
        assert told["code"] == 0, told
    print(f"{name}: {checked:,} reads of a right store, none accused: fewer than {3 / checked:.1e} are", flush=True)


def soak(folder, store, shape, distribution, reads, draw):
    """Run one round until so many reads are checked; return what came of it."""
    seed = draw.randrange(2**32)
    processes, threads = (PROCESSES, store.threads) if store.shared else (1, PROCESSES)
    lanes = {
        "processes": processes,
        "threads": threads,
        "rate": None,
        "mix": MIX,
        "keys": {"distribution": distribution},
    }
    scenario = write_scenario(
        folder, duration_s=None, **shape, pool=lanes, supervision={"backoff_first_s": 0.05, "backoff_most_s": 0.5}
    )
    options = [("--target-option", f"{key}={value}".format(folder=folder)) for key, value in store.options.items()]
    path = f"{HERE}:{ROOT}"
    arguments = ("--target", store.target, "--seed", str(seed), *itertools.chain(*options))
    began_s = time.monotonic()
    with Daemon(folder, scenario, *arguments, PYTHONPATH=path) as daemon:
        daemon.until_at_work(1)
        kills = killing(daemon, store, reads, draw)
        code, report = daemon.stop(), daemon.report()
    verification = report["verification"]
    told = {
        "reads": verification["reads_checked"],
        "across": verification["reads_across_processes_checked"],
        "violations": {kind: count for kind, count in verification["violations"].items() if count},
        "kills": kills,
        "code": code,
        "seed": seed,
        "distribution": distribution,
        "shape": shape,
        "seconds": round(time.monotonic() - began_s),
        "errors": sum(operation["errors"] for operation in report["operations"].values()),
    }
    assert told["reads"] >= reads
    if reads >= ENOUGH_TO_ERR:
        assert (told["errors"] > 0) >= store.errs, told
    if store.shared:
        assert told["across"] > 0
        assert told["kills"] > 0
        verified = stressd("verify", "--state", folder / "state", cwd=folder, timeout_s=600, PYTHONPATH=path)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    return told


def killing(daemon, store, reads, draw):
    """Kill a worker now and then until so many reads are checked; return how many were."""
    deadline_s, kills, checked = time.monotonic() + ROUND_WITHIN_S, 0, 0
    while checked < reads:
        assert time.monotonic() < deadline_s, f"{reads} reads took over {ROUND_WITHIN_S} s; {daemon.stderr}"
        assert daemon.process.poll() is None, daemon.stderr
        checked = daemon.metric("stressd_reads_verified_total")
        if store.shared and checked > (kills + 1) * KILL_EVERY_READS * draw.uniform(0.5, 1.5):
            with contextlib.suppress(IndexError, ProcessLookupError):
                os.kill(draw.choice(daemon.worker_pids()), signal.SIGKILL)
                kills += 1
        time.sleep(0.2)
    return kills

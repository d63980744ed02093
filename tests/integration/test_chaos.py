"""The scenario `chaos`, with its daemon killed in between: nothing lost, nothing left behind, service back each time.

Short here; `make soak-chaos` kills WORKER_KILLS workers and DAEMON_KILLS daemons with the scenario as it is shipped.
"""

import os
import random
import re
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest
from daemon import Daemon, criterion, is_alive, stressd, until

from stressd.scenario_file import load, resolve

LONG = "STRESSD_CHAOS_KILLS" in os.environ
KILLS = int(os.environ.get("STRESSD_CHAOS_KILLS", "8"))
DAEMON_KILLS = int(os.environ.get("STRESSD_CHAOS_DAEMON_KILLS", "1"))
ROUNDS = DAEMON_KILLS + 1  # each but the last ends with a kill of the daemon
KILLS_A_ROUND = -(-KILLS // ROUNDS)
ROUND_TIMEOUT_S = 120 + 6 * KILLS_A_ROUND
LAST_ROUND_S = max(180, 12 + 3.5 * KILLS_A_ROUND) if LONG else 40

# The same faults as in chaos.yaml, in a hurry. A busy machine may take its time.
IN_A_HURRY = (
    "faults=[{kind: worker_kill, at: 2, every_s: 2.5, until: 50%, recover_s: 60},"
    " {kind: pause, at: 1, per_minute: 30, until: 50%, duration_s: [0.5, 2], recover_s: 60},"
    " {kind: target_errors, at: 4, every_s: 9, until: 50%, duration_s: 0.5, recover_s: 60},"
    " {kind: slow_target, at: 6, until: 50%, duration_s: 1, recover_s: 60},"
    " {kind: file_limit, at: 3, every_s: 8, until: 50%, duration_s: [0.5, 1], recover_s: 60},"
    " {kind: disk_full, at: 5, every_s: 10, until: 50%, duration_s: [0.5, 1], recover_s: 60},"
    " {kind: read_only, at: 10, every_s: 10, until: 50%, duration_s: 0.5, recover_s: 60}]"
)


def chaos(folder, seed, *arguments):
    # So few operations decide no rate of errors; they are counted below.
    omitted = (*resolve(load("chaos")).criteria.omit, "error_rate")
    small = ("pools[0].processes=2", "pools[0].rate=30", f"criteria.omit=[{', '.join(omitted)}]")
    changes = () if LONG else [word for setting in (IN_A_HURRY, *small) for word in ("--set", setting)]
    allowed = ("--allow-host-faults",) if may_mount() else ()
    return Daemon(folder, "chaos", "--seed", seed, *changes, *allowed, *arguments)


def may_mount():
    return os.geteuid() == 0 and shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") and os.path.exists("/dev/loop0")


class Figures:
    """What was seen over all rounds."""

    def __init__(self):
        self.recoveries_s = defaultdict(list)
        self.begun = defaultdict(int)
        self.unplanned = 0

    def note(self, log):
        for kind, seconds in re.findall(r"fault (\w+)(?: of \S+)?: good service again after ([\d.]+) s", log):
            self.recoveries_s[kind].append(float(seconds))
        for kind in re.findall(r"fault (\w+)(?: of \S+)? begins", log):
            self.begun[kind] += 1
        self.unplanned += len(re.findall(r"died: ", log))

    def print(self):
        for kind, begun in sorted(self.begun.items()):
            taken = sorted(self.recoveries_s[kind])
            middle, worst = (taken[len(taken) // 2], taken[-1]) if taken else (float("nan"), float("nan"))
            print(f"{kind:<14} {begun:>5} times, service back {len(taken)} times: median {middle:.2f} s, "
                  f"worst {worst:.2f} s")  # fmt: skip


def held(pid):
    """Return how many descriptors the process holds, and how much memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return len(os.listdir(f"/proc/{pid}/fd")), int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def kills(daemon):
    return daemon.metric("stressd_faults_injected_total", fault="worker_kill")


def violations(daemon):
    return daemon.metric("stressd_violations_total")


@pytest.mark.timeout(600 + ROUNDS * (ROUND_TIMEOUT_S + 60) + LAST_ROUND_S)
def test_nothing_is_lost_whatever_is_killed_paused_or_full(tmp_path, run_seed):
    draw, figures = random.Random(run_seed), Figures()
    for number in range(DAEMON_KILLS):
        with chaos(tmp_path, run_seed, "--set", "duration_s=null") as daemon:
            daemon.until_at_work()
            before = held(daemon.pid)
            daemon.until(lambda: kills(daemon) >= KILLS_A_ROUND, "so many workers are killed", ROUND_TIMEOUT_S, 0.1)
            time.sleep(draw.uniform(0, 1))
            assert violations(daemon) == 0
            after = held(daemon.pid)
            kill_at_once(daemon)
        figures.note(daemon.stderr)
        print(f"daemon {number}: {before[0]} -> {after[0]} fds, {before[1]:.0f} -> {after[1]:.0f} MB, "
              f"{len(files(daemon.state))} files")  # fmt: skip
        verified = stressd("verify", "--state", daemon.state, cwd=tmp_path, timeout_s=120)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "0 wrong" in verified.stdout
        assert after[0] <= before[0] + 8, "descriptors of the dead are let go"

    with chaos(tmp_path, run_seed, "--duration", str(LAST_ROUND_S)) as daemon:
        code = daemon.wait(LAST_ROUND_S + 120)
    figures.note(daemon.stderr)
    figures.print()
    report = daemon.report()
    assert "going on with the data of run" in daemon.stderr
    assert code == 0, daemon.stdout + daemon.stderr
    assert sum(report["verification"]["violations"].values()) == 0
    assert sum(each["errors"] for each in report["operations"].values()) == 0
    assert report["workers"]["deaths"] == figures.unplanned == 0
    assert report["verification"]["writes_verified"] > 0
    assert criterion(report, "recovery")["verdict"] == "pass"
    assert figures.begun["worker_kill"] >= KILLS
    wanted = {"worker_kill", "pause", "target_errors", "slow_target", "file_limit"}
    assert figures.begun.keys() >= wanted | ({"disk_full", "read_only"} if may_mount() else set())
    assert len(files(daemon.state)) < 500 + 50 * ROUNDS


def kill_at_once(daemon):
    workers = daemon.worker_pids()
    daemon.process.kill()
    daemon.process.wait(10)
    until(lambda: not any(map(is_alive, workers)), f"workers {workers} end with their daemon, paused ones too")


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]

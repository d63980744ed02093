import os
import subprocess
import sys
import time

import pytest

from stressd.supervisor import resources
from stressd.supervisor.resources import Machine, Tree, cores, environment, memory_limit_bytes, oom_kills

PATIENCE_S = 20
EATER = "held = bytearray(60_000_000)\nprint('held', flush=True)\ninput()"


@pytest.fixture
def eater():
    process = subprocess.Popen([sys.executable, "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_tree_is_this_process_and_all_below_it(eater):
    tree = Tree()
    usage = tree.sample([eater.pid, 999_999_999])
    assert list(usage.by_pid) == [eater.pid]
    one = usage.by_pid[eater.pid]
    assert one.rss_bytes > 60_000_000
    assert 60_000_000 < one.pss_bytes <= one.rss_bytes
    assert one.fds >= 3
    assert usage.rss_bytes > one.rss_bytes
    assert tree.resident_bytes() == pytest.approx(usage.rss_bytes, rel=0.1), "the same, between two samples"
    eater.kill()
    eater.wait(PATIENCE_S)
    assert tree.resident_bytes() < usage.rss_bytes - 50_000_000, "of what has ended nothing is left"
    assert not tree.sample([eater.pid]).by_pid


def test_shares_are_those_of_the_last_time_they_were_looked_at_and_a_new_process_has_its_own(eater, monkeypatch):
    tree, asked = Tree(), []
    monkeypatch.setattr(resources, "_pss_bytes", lambda pid: asked.append(pid) or 1_000 + len(asked))

    def share(process, **how):
        return tree.sample([process.pid], **how).by_pid[process.pid].pss_bytes

    first = share(eater)
    assert share(eater, shares=False) == first
    assert asked.count(eater.pid) == 1
    other = subprocess.Popen([sys.executable, "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    assert share(other, shares=False) > first
    other.communicate(b"\n")
    assert share(eater) > first
    assert asked.count(eater.pid) == 2


def test_processor_time_is_counted():
    tree = Tree()
    before_s = tree.sample([]).cpu_s
    until_s = time.process_time() + 0.1
    while time.process_time() < until_s:
        pass
    assert tree.sample([]).cpu_s >= before_s + 0.05


@pytest.mark.parametrize(
    ("quota", "expected"), [("150000 100000", 1.5), ("max 100000", None), ("99900000 100000", None), (None, None)]
)
def test_a_quota_of_the_control_group_counts_as_fewer_cores(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cores() == (expected or 8.0)


@pytest.mark.parametrize(("limit", "expected"), [("1000000\n", 1_000_000), ("max\n", None), (None, None)])
def test_a_limit_of_the_control_group_is_the_memory_there_is(tmp_path, monkeypatch, limit, expected):
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    everything = memory_limit_bytes()
    assert everything == expected if expected else everything > 10**8


def test_kills_for_want_of_memory_are_read_where_they_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    assert oom_kills() == 0
    (tmp_path / "memory.events").write_text("low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    assert oom_kills() == 3


def test_the_environment_says_what_two_reports_differ_in(tmp_path):
    told = environment(str(tmp_path))
    assert {"kernel", "python", "cores", "memory_bytes", "filesystem", "disk_free_bytes"} <= told.keys()
    assert told["filesystem"] != "unknown"


def test_what_other_programs_use_of_the_machine_is_told_from_what_we_use():
    machine = Machine()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        deadline = time.monotonic() + PATIENCE_S
        while (used := machine.sample(0.0)).others < 0.2 and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        busy.kill()
        busy.wait(PATIENCE_S)
    assert used.others >= 0.2
    time.sleep(0.3)
    assert machine.sample(1e9).others == 0  # it was all ours

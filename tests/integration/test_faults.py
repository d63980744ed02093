"""Faults on a schedule, in a real run: each is seen at work, told of, excused, and recovered from."""

import os
import shutil
import subprocess

import pytest
from daemon import Daemon, criterion, total, write_scenario

from stressd.metrics import FAULTS

DELAY_S = 0.2

PLAN = [
    {"kind": "target_errors", "at": 1.5, "duration_s": 1},
    {"kind": "slow_target", "at": 4, "duration_s": 2, "delay_s": DELAY_S},
    {"kind": "file_limit", "at": 7.5, "duration_s": 1.5},
    {"kind": "disk_full", "at": 11, "duration_s": 1.5},
    {"kind": "read_only", "at": 14.5, "duration_s": 1.5},
    {"kind": "pause", "at": 18, "duration_s": 6},
    {"kind": "worker_kill", "at": 26},
]
EMBEDDED = ("--target", "embedded")


def may_mount():
    return os.geteuid() == 0 and shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") and os.path.exists("/dev/loop0")


@pytest.fixture(scope="module")
def after_all_faults(tmp_path_factory):
    """What was seen of a run with one fault of each kind, one after the other; the disk's where root allows."""
    folder = tmp_path_factory.mktemp("faults")
    scenario = write_scenario(
        folder,
        duration_s=33,
        pool={
            "processes": 2,
            "threads": 4,
            "rate": 30,
            "mix": {"generate": 0, "save": 40, "read": 20, "read_store": 40},
        },
        supervision={"hang_s": 4},  # shorter than the pause
        faults=PLAN,
    )
    allowed = ("--allow-host-faults",) if may_mount() else ()
    with Daemon(folder, scenario, *EMBEDDED, *allowed) as daemon:
        first = daemon.metrics()
        daemon.until(lambda: daemon.metric("stressd_faults_injected_total", fault="pause") == 1, "the pause")
        stopped = daemon.until(lambda: [pid for pid in daemon.worker_pids() if _state(pid) == "T"], "one is stopped")
        code = daemon.wait(60)
    return {"code": code, "report": daemon.report(), "first": first, "stopped": stopped, "log": daemon.stderr}


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _possible():
    return [fault["kind"] for fault in PLAN if may_mount() or fault["kind"] not in ("disk_full", "read_only")]


def test_every_kind_of_fault_has_its_series_from_the_first_scrape(after_all_faults):
    for kind in FAULTS:
        assert total(after_all_faults["first"], "stressd_faults_injected_total", fault=kind) == 0
        assert total(after_all_faults["first"], "stressd_recovery_seconds_count", fault=kind) == 0


def test_the_run_passes_for_what_was_done_on_schedule_is_excused(after_all_faults):
    report = after_all_faults["report"]
    assert after_all_faults["code"] == 0, after_all_faults["log"]
    assert sum(report["verification"]["violations"].values()) == 0
    assert report["workers"]["deaths"] == 0
    assert report["workers"]["restarts_by_reason"] == {"injected": 1}
    assert len(report["workers"]["recovery_seconds"]) == 1
    assert criterion(report, "worker_deaths")["verdict"] == "pass"
    assert sum(each["errors"] for each in report["operations"].values()) == 0
    assert "raised" not in after_all_faults["log"]
    assert "no sign of life" not in after_all_faults["log"]


def test_good_service_came_back_after_each(after_all_faults):
    report = after_all_faults["report"]
    assert [fault["kind"] for fault in report["faults"]] == _possible()
    assert None not in [fault["recovery_seconds"] for fault in report["faults"]]
    assert criterion(report, "recovery")["verdict"] == "pass"
    assert [fault["kind"] for fault in report["faults"] if fault["on"].startswith("main/")] == ["pause", "worker_kill"]


@pytest.mark.parametrize("kind", ["target_errors", "file_limit", "disk_full", "read_only"])
def test_operations_failed_by_it_and_count_apart(after_all_faults, kind):
    if kind not in _possible():
        pytest.skip("the disk's faults take root, mkfs.ext4 and loop devices")
    points = _during(after_all_faults["report"], kind)
    assert sum(point["injected"] for point in points) > 0
    assert sum(point["errors"] for point in points) == 0


def test_a_slow_target_was_slow(after_all_faults):
    points = _during(after_all_faults["report"], "slow_target")
    assert max(point["p50_seconds"]["save"] or 0 for point in points) >= DELAY_S


def test_one_worker_was_paused_and_is_the_same_afterwards(after_all_faults):
    assert len(after_all_faults["stopped"]) == 1


def _during(report, kind):
    (fault,) = [each for each in report["faults"] if each["kind"] == kind]
    assert fault["until_seconds"] > fault["from_seconds"]
    return [
        point
        for point in report["timeline"]
        if fault["from_seconds"] <= point["at_seconds"] <= fault["until_seconds"] + 1.5
    ]


def test_what_cannot_be_done_here_is_said_in_log_and_report(tmp_path):
    faults = [{"kind": kind, "at": 0.5, "duration_s": 0.5} for kind in ("worker_kill", "disk_full", "target_errors")]
    faults.append({"kind": "pause", "at": 500})
    with Daemon(tmp_path, write_scenario(tmp_path, faults=faults), "--target", "memory") as daemon:
        daemon.wait()
    left_out = daemon.report()["faults_left_out"]
    assert "would be lost with it" in left_out["worker_kill"]
    assert "keeps its files elsewhere, or none" in left_out["disk_full"]
    assert "did not come" in left_out["pause"]
    assert "fault worker_kill is left out: " in daemon.stderr
    assert [fault["kind"] for fault in daemon.report()["faults"]] == ["target_errors"]
    assert "without worker_kill" in criterion(daemon.report(), "recovery")["why"]


@pytest.mark.timeout(300)
def test_workers_that_the_kernel_holds_wedge_nothing_and_are_replaced_once_it_lets_go(tmp_path):
    """A frozen file system: who writes to it waits where no signal reaches, SIGKILL neither."""
    if not may_mount() or not all(map(shutil.which, ("nsenter", "fsfreeze"))):
        pytest.skip("a frozen file system takes root, loop devices, nsenter and fsfreeze")
    scenario = write_scenario(
        tmp_path, duration_s=None, supervision={"hang_s": 3}, faults=[{"kind": "disk_full", "at": 9_999}]
    )
    with Daemon(tmp_path, scenario, *EMBEDDED, "--allow-host-faults") as daemon:
        daemon.until_at_work()
        (held,) = daemon.worker_pids()
        _fsfreeze("--freeze", daemon)
        try:
            daemon.until_says(rf"process {held}\) was killed \S+ s ago and the kernel does not let it go", 90)
            assert _state(held) == "D"
            assert daemon.get("/healthz") == (200, "ok\n")
            assert daemon.metric("stressd_workers", state="degraded") == 1
            assert daemon.worker_pids() == [held], "its keys are its own as long as it may still write"
        finally:
            _fsfreeze("--unfreeze", daemon)
        daemon.until(lambda: daemon.metric("stressd_workers", state="running") == 1, "another is at work")
        assert held not in daemon.worker_pids()
        done = daemon.metric("stressd_operations_total", outcome="ok")
        daemon.until(lambda: daemon.metric("stressd_operations_total", outcome="ok") > done, "it works")
        code, report = daemon.stop(), daemon.report()
    assert code == 0
    assert report["workers"]["deaths"] == 1
    assert sum(report["verification"]["violations"].values()) == 0


def _fsfreeze(how, daemon):
    inside = ("nsenter", "--target", str(daemon.pid), "--mount")
    subprocess.run([*inside, "fsfreeze", how, str(daemon.state / "disk")], check=True, timeout=30)


def test_a_run_that_is_stopped_while_a_worker_is_paused_wakes_it_and_drains(tmp_path):
    faults = [{"kind": "pause", "at": 3, "duration_s": 3_600}]
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=600, faults=faults), *EMBEDDED) as daemon:
        daemon.until_at_work(1)
        (worker,) = daemon.worker_pids()
        daemon.until(lambda: _state(worker) == "T", "it is paused")
        assert daemon.stop() == 143
    assert "not drained in time" not in daemon.stderr
    assert daemon.report()["workers"]["deaths"] == 0
    assert daemon.report()["verification"]["writes_verified"] == daemon.report()["verification"]["writes_acknowledged"]

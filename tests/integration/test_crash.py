"""Processes that die: workers killed, the daemon killed, workers that hang or crash again and again."""

import os
import random
import re
import signal
import time

import pytest
from daemon import Daemon, criterion, groups_in, is_alive, stressd, total, until, write_scenario, write_target

NOTICED_WITHIN_S = 0.2  # the promise, on a machine that is not overloaded ...
NOISE_S = 1.0  # ... and what a busy one may add


def violations(report):
    return sum(report["verification"]["violations"].values())


# --- a worker is killed


@pytest.fixture(scope="module")
def after_a_kill(tmp_path_factory):
    """What was seen of a run of two pools with one worker each, of which one was killed while both were at work."""
    folder = tmp_path_factory.mktemp("kill")
    pool = {"processes": 1, "threads": 1, "rate": 40, "mix": {"save": 20, "read": 60, "read_store": 20}}
    scenario = write_scenario(folder, duration_s=8, pools=[{"name": name, **pool} for name in ("one", "two")])
    seen = {}
    with Daemon(folder, scenario) as daemon:
        daemon.until_at_work()
        victim, before = daemon.worker_pids()[0], daemon.metrics()
        killed_s = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        told = rf"worker (\w+)/0 \(process {victim}\) died: signal 9"
        pool = until(lambda: re.search(told, daemon.stderr), "the death is in the log", every_s=0.002)[1]
        seen["noticed_s"] = time.monotonic() - killed_s
        other = {"one": "two", "two": "one"}[pool]
        daemon.until(lambda: daemon.metric("stressd_worker_restarts_total", pool=pool, reason="signal") == 1, "counted")
        seen["counted_s"] = time.monotonic() - killed_s
        daemon.until(lambda: _at_work(daemon, pool) == 1, "another worker is ready")
        seen["back_s"] = time.monotonic() - killed_s
        back = daemon.metrics()
        seen["other_meanwhile"] = _good(back, other) - _good(before, other)
        daemon.until(lambda: _good(daemon.metrics(), pool) > _good(back, pool), "the new worker works")
        seen["code"], seen["report"] = daemon.wait(), daemon.report()
    print({name: round(value, 3) for name, value in seen.items() if name.endswith("_s")})
    return seen


def _good(scrape, pool):
    return total(scrape, "stressd_operations_total", outcome="ok", pool=pool)


def _at_work(daemon, pool):
    """Return how many workers of a pool are at work: as the supervisor knows it, not as of the last sample."""
    return daemon.metric("stressd_workers", pool=pool, state="running")


def test_a_killed_worker_is_noticed_at_once(after_a_kill):
    assert after_a_kill["noticed_s"] < NOTICED_WITHIN_S + NOISE_S


def test_the_others_go_on_while_a_killed_worker_is_replaced(after_a_kill):
    assert after_a_kill["other_meanwhile"] > 5


def test_a_killed_worker_costs_the_verdict_and_no_data(after_a_kill):
    report = after_a_kill["report"]
    assert report["workers"]["deaths"] == 1
    assert report["workers"]["restarts_by_reason"] == {"signal": 1}
    assert criterion(report, "worker_deaths")["verdict"] == "fail"
    assert report["verdict"] == "fail"
    assert after_a_kill["code"] == report["exit_code"] == 1
    assert violations(report) == 0
    assert report["verification"]["writes_verified"] > 0


# --- the daemon is killed


def test_nothing_outlives_a_killed_daemon_and_its_data_is_gone_on_with(tmp_path, run_seed):
    draw = random.Random(run_seed)
    scenario = write_scenario(tmp_path, duration_s=None, pool={"processes": 2, "rate": 200})
    with Daemon(tmp_path, scenario, "--seed", "7") as daemon:
        daemon.until_at_work(200)
        _kill_all_at_once(daemon)
    for delay_s in [draw.uniform(0.0, 4.0) for _ in range(3)]:
        print(f"killed after {delay_s:.3f} s")
        verified = stressd("verify", "--state", tmp_path / "state", cwd=tmp_path)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "0 wrong" in verified.stdout
        with Daemon(tmp_path, scenario) as daemon:
            time.sleep(delay_s)  # any moment: while it checks what is there, starts, or works
            _kill_all_at_once(daemon)
    with Daemon(tmp_path, write_scenario(tmp_path, "last.yaml", pool={"processes": 2, "rate": 200})) as daemon:
        code, report = daemon.wait(), daemon.report()
    assert "going on with the data of run" in daemon.stderr
    assert report["seed"] == 7
    assert violations(report) == 0
    assert code == 0, daemon.stdout


def _kill_all_at_once(daemon):
    workers = daemon.worker_pids()
    daemon.process.kill()
    killed_s = time.monotonic()
    daemon.process.wait(10)
    until(lambda: not any(map(is_alive, workers)), f"workers {workers} end with their daemon", 1.0 + NOISE_S, 0.005)
    print(f"{len(workers)} workers gone after {time.monotonic() - killed_s:.3f} s")


def test_a_killed_daemon_leaves_the_report_of_what_it_had_seen(tmp_path):
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None)) as daemon:
        daemon.until_at_work()
        daemon.until(lambda: list((daemon.state / "reports").glob("*.json")), "there is a report on the way")
        daemon.process.kill()
        daemon.process.wait()
        report = daemon.report()
    assert report["verification"]["reads_checked"] > 0
    assert report["unfinished"] is True
    told = stressd("report", daemon.state / "reports" / f"{report['run_id']}.json", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "PASS (so far: the run had not ended)" in told.stdout


def test_a_run_that_is_killed_while_it_takes_the_place_of_another_leaves_a_folder_to_go_on_with(tmp_path):
    options = write_target(
        tmp_path,
        "def open(self):",
        "    if os.path.exists('hang-open') and sys.argv[0].endswith('process.py'):  # a worker",
        "        os.rename('hang-open', 'hangs')",
        "        time.sleep(60)",
        "    return super().open()",
        "def drop(self, group):",
        "    if os.path.exists('hang-drop') and sys.argv[0].endswith('__main__.py') and group[-1] == '1':",
        "        os.rename('hang-drop', 'hangs')",
        "        time.sleep(60)",
        "    return super().drop(group)",
        base="embedded:EmbeddedTarget",
    )
    scenario = write_scenario(tmp_path, duration_s=1)
    with Daemon(tmp_path, scenario, "--seed", "1", *options) as daemon:
        assert daemon.wait() == 0, daemon.stderr
    old = daemon.record()

    _kill_where_it_hangs(tmp_path, "hang-open", scenario, "--seed", "2", *options)
    verified = stressd("verify", "--state", tmp_path / "state", cwd=tmp_path)  # nothing was touched yet
    assert verified.returncode == 0, verified.stdout + verified.stderr

    _kill_where_it_hangs(tmp_path, "hang-drop", scenario, "--seed", "2", *options)
    with Daemon(tmp_path, scenario, "--seed", "2", *options) as daemon:
        assert daemon.wait() == 0, daemon.stderr
    assert violations(daemon.report()) == 0
    assert groups_in(tmp_path / "state").isdisjoint({old["prefix"]})
    assert (tmp_path / "state" / "archive" / f"ledger-{old['run_id']}").is_file()


def _kill_where_it_hangs(folder, flag, *arguments):
    (folder / flag).touch()
    with Daemon(folder, *arguments) as daemon:
        daemon.until((folder / "hangs").exists, f"it meets {flag}")
        _kill_all_at_once(daemon)
    (folder / "hangs").unlink()


# --- a worker hangs, crashes, or cannot start


def test_a_hung_worker_shows_its_stacks_and_is_replaced(tmp_path):
    options = write_target(
        tmp_path,
        "def open(self):",
        "    session = super().open()",
        "    read = session.read_detail",
        "    def read_or_hang(group, names, **options):",
        "        if os.path.exists('hang'):",
        "            os.rename('hang', 'hung')",
        "            time.sleep(3600)",
        "        return read(group, names, **options)",
        "    session.read_detail = read_or_hang",
        "    return session",
        base="embedded:EmbeddedTarget",
    )
    scenario = write_scenario(tmp_path, duration_s=None, supervision={"hang_s": 2})
    with Daemon(tmp_path, scenario, *options) as daemon:
        daemon.until_at_work()
        (tmp_path / "hang").touch()
        daemon.until((tmp_path / "hung").exists, "a read hangs")
        daemon.until_says(r'own.py", line \d+ in read_or_hang')
        daemon.until_says(r"died: signal (6|9)")
        daemon.until(lambda: daemon.metric("stressd_worker_restarts_total", reason="hang") == 1, "counted")
        daemon.until(lambda: _at_work(daemon, "main") == 1, "another worker is ready")
        at_return = _good(daemon.metrics(), "main")
        daemon.until(lambda: _good(daemon.metrics(), "main") > at_return, "the new worker works")
        code, report = daemon.stop(), daemon.report()
    assert report["workers"]["deaths"] == 1
    assert report["workers"]["restarts_by_reason"] == {"hang": 1}
    assert violations(report) == 0
    assert code == 0  # a daemon that was told to stop: its criteria are in the report
    assert criterion(report, "worker_deaths")["verdict"] == "fail"


def test_a_worker_that_always_crashes_degrades_its_slot_and_the_daemon_stays_responsive(tmp_path):
    options = write_target(
        tmp_path,
        "def open(self):",
        "    session = super().open()",
        "    save = session.save",
        "    session.save = lambda group, frames: save(group, frames) if group.endswith('handshake') else os._exit(9)",
        "    return session",
        base="embedded:EmbeddedTarget",
    )
    scenario = write_scenario(tmp_path, duration_s=None, supervision={"backoff_most_s": 0.05})
    with Daemon(tmp_path, scenario, *options) as daemon:
        daemon.until(lambda: daemon.metric("stressd_workers", state="degraded") == 1, "the slot is degraded")
        assert daemon.get("/healthz") == (200, "ok\n")
        assert daemon.metric("stressd_worker_restarts_total", reason="exit") >= 6
        code, report = daemon.stop(), daemon.report()
    assert (code, report["verdict"]) == (5, "error")  # most of its workers were down when it was stopped
    assert violations(report) == 0
    assert report["workers"]["deaths"] >= 6


def test_a_target_that_lives_in_its_process_ends_the_run_when_that_dies(tmp_path):
    dies = "    group.endswith('handshake') or os._exit(9)"
    options = write_target(tmp_path, "def save(self, group, features):", dies)
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None), *options) as daemon:
        assert daemon.wait() == 5
    assert "all that was saved" in daemon.stderr
    assert violations(daemon.report()) == 0


@pytest.mark.parametrize(
    ("method", "fails"),
    [
        ("def open(self):", "raise ValueError('no licence on this machine')"),
        ("def __init__(self):", "raise ValueError('no such option')"),
        ("def setup(self):", "raise OSError('cannot reach it')"),
    ],
    ids=["open", "init", "setup"],
)
def test_a_target_that_cannot_start_ends_the_run_at_once(tmp_path, method, fails):
    options = write_target(tmp_path, method, f"    {fails}")
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None), *options) as daemon:
        assert daemon.wait() == 2
    assert "own:Own" in daemon.stderr
    assert fails.split("'")[1] in daemon.stderr
    assert "Traceback" not in daemon.stderr


def test_a_bug_of_ours_while_workers_start_shows_its_stack_and_is_no_mistake_of_the_user(tmp_path):
    """Here, a ledger that is damaged between its making and the start of the workers."""
    options = write_target(
        tmp_path,
        "def open(self):",
        "    if sys.argv[0].endswith('process.py') and os.path.exists('state/ledger'):",
        "        os.truncate('state/ledger', 100)",
        "    return super().open()",
        base="embedded:EmbeddedTarget",
    )
    scenario = write_scenario(tmp_path, duration_s=None, pool={"processes": 2}, supervision={"hang_s": 60})
    with Daemon(tmp_path, scenario, *options) as daemon:
        assert daemon.wait() == 5
    assert "failed while it was starting" in daemon.stderr or "died while it was starting" in daemon.stderr
    assert "Traceback" in daemon.stderr or "Fatal Python error" in daemon.stderr

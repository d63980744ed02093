"""`stressd selftest` as people run it: real daemons, real workers, a few of the lies; all of them by hand or in CI."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from daemon import Daemon, command, environment, is_alive, stressd, until, write_scenario

LIES = ("half_save", "flicker", "drop_column", "keep_yours")  # told in a dict or in the store, to readers or writers
PATIENCE_S = 100


def test_lies_are_caught_by_their_right_names_and_nothing_stays_behind(tmp_path, run_seed):
    seed = run_seed % 1000
    only = [word for lie in LIES for word in ("--only", lie)]
    ran = stressd("selftest", "--seed", seed, "--json", *only, cwd=tmp_path, timeout_s=PATIENCE_S, TMPDIR=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert (told["seed"], told["ok"]) == (seed, True)
    assert {lie["lie"]: lie["caught_by"] for lie in told["lies"]} == {
        "half_save": ["fractured"],
        "flicker": ["non_monotonic"],
        "drop_column": ["schema"],
        "keep_yours": ["aliased"],
    }
    for lie in told["lies"]:
        assert lie["told_at"] > 0
        assert 0 <= lie["after_operations"] < 10_000
    assert ran.stderr.count("caught as") == len(LIES), "a line each, where there is no terminal"
    assert not list(tmp_path.glob("stressd-selftest-*"))


def test_each_telling_of_a_lie_is_found_and_nothing_else(tmp_path, run_seed):
    scenario = write_scenario(
        tmp_path,
        duration_s=None,
        content={"kind": "random", "rows": 4, "columns": 3, "names": 2},
        pool={"rate": 300, "mix": {"generate": 0, "save": 20, "read": 50, "read_store": 20, "scrub": 10}},
    )
    liar = {"lie": "other_group", "inner": "memory", "rate": "5%", "seed": run_seed}
    options = [word for name, value in liar.items() for word in ("--target-option", f"{name}={value}")]
    with Daemon(tmp_path, scenario, "--target", "stressd.targets.faults:Liar", *options) as daemon:
        daemon.until(lambda: daemon.metric("stressd_violations_total", kind="phantom") >= 10, "ten lies are found")
        code, report = daemon.stop(), daemon.report()
    told = (daemon.state / "store" / "told").read_text().splitlines()
    found = {kind: count for kind, count in report["verification"]["violations"].items() if count}
    assert (code, found) == (3, {"phantom": len(told)})


def test_a_lie_that_is_misnamed_fails_it_and_what_it_left_is_kept(tmp_path):
    """The same command, with a detector put out of order: the workers take what is corrupt for torn."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'stressd.worker.process' in sys.orig_argv:\n"
        "    from stressd.workload.judge import Judge\n"
        "    after = Judge.after\n"
        "    def confused(self, *arguments, **options):\n"
        "        judged = after(self, *arguments, **options)\n"
        "        return judged._replace(kind='torn') if judged.kind == 'corrupt' else judged\n"
        "    Judge.after = confused\n"
    )
    ran = subprocess.run(
        command("selftest", "--seed", "1", "--only", "flip_bit", "--only", "lose_rows"),
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}", TMPDIR=tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "flip_bit: misnamed: torn; all that it left is in" in ran.stdout
    assert "1 of 2 as expected" in ran.stdout
    (folder,) = tmp_path.glob("stressd-selftest-*")
    assert (folder / "flip_bit" / "report.json").is_file()
    assert (folder / "flip_bit" / "state" / "store" / "told").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_selftest_that_is_stopped_leaves_no_process(tmp_path, number, code):
    with subprocess.Popen(
        command("selftest", "--only", "stall", "--only", "leak"),
        cwd=tmp_path,
        env=environment(TMPDIR=tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: len(daemons(tmp_path)) == 2, "both runs are there", PATIENCE_S)
            pids = daemons(tmp_path)
            time.sleep(0.5)
            process.send_signal(number)
            assert process.wait(PATIENCE_S) == code
        finally:
            process.kill()
    assert not any(map(is_alive, pids))


def daemons(folder):
    """Return the pids of the daemons whose state folders lie below `folder`."""
    return [
        int(path.read_text()) for path in folder.glob("stressd-selftest-*/*/state/lock") if path.read_text().strip()
    ]


def test_a_lie_that_there_is_none_of_is_a_usage_error(tmp_path):
    ran = stressd("selftest", "--only", "nothing", cwd=tmp_path)
    assert ran.returncode == 2
    assert "there is no such lie" in ran.stderr
    assert sys.executable not in ran.stderr

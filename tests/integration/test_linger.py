"""After the verdict: what was measured last can still be scraped, until the time is up or somebody ends it."""

import json
import signal
import time

import pytest
from daemon import Daemon, is_alive, write_scenario


def test_the_last_scrape_sees_the_verdict_and_then_it_ends_by_itself(tmp_path):
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=1), "--linger", "6") as daemon:
        daemon.until(lambda: daemon.stdout, "the verdict is printed")
        printed_s = time.monotonic()
        scrape, status = daemon.metrics(), daemon.status()
        assert scrape["stressd_state", (("stressd_state", "stopped"),)] == 1
        assert scrape["stressd_criterion_status", (("criterion", "data_integrity"),)] == 0
        assert (status["facts"]["state"], status["facts"]["verdict"]) == ("stopped", daemon.report()["verdict"])
        assert {one["name"]: one["outcome"] for one in status["criteria"]} == {
            one["name"]: one["verdict"] for one in daemon.report()["criteria"]
        }
        assert not daemon.worker_pids()
        code = daemon.wait()
        assert time.monotonic() - printed_s > 2.0, "it did not linger"
    assert code == daemon.report()["exit_code"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_changes_no_exit_code(tmp_path, number):
    # Inconclusive: so little load decides nothing about errors.
    scenario = write_scenario(tmp_path, duration_s=1, criteria={"omit": ["memory_growth"]})
    with Daemon(tmp_path, scenario, "--linger", "1h", "--report", tmp_path / "report.json") as daemon:
        daemon.until(lambda: daemon.stdout, "the verdict is printed")
        daemon.metrics()
        assert is_alive(daemon.pid)
        code = daemon.stop(number, timeout_s=10)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert code == report["exit_code"] not in (130, 143)
    assert report["interrupted"] is False

"""A daemon's life: started, told to stop, hurried, refused; what it serves meanwhile, and what it goes on with."""

import re
import signal
import socket
import time

import pytest
from daemon import Daemon, groups_in, is_alive, stressd, until, write_scenario, write_target

NOISE_S = 3.0  # what a busy machine may add to a bound


# --- told to stop


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_timed_run_that_is_interrupted_drains_and_reports(tmp_path, number, code):
    wanted = tmp_path / "wanted.json"
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=600), "--report", wanted) as daemon:
        daemon.until_at_work()
        workers = daemon.worker_pids()
        assert daemon.stop(number) == code
        assert not any(map(is_alive, workers))
    report = daemon.report()
    assert report["interrupted"] is True
    assert report["exit_code"] == code
    assert report["verification"]["writes_verified"] == report["verification"]["writes_acknowledged"] > 0
    assert wanted.is_file()
    assert "signal 9" not in daemon.stderr


def test_an_endless_daemon_that_is_told_to_stop_has_done_its_job(tmp_path):
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None)) as daemon:
        daemon.until_at_work()
        assert daemon.stop() == 0
    assert daemon.report()["exit_code"] == 0
    assert daemon.report()["interrupted"] is False


HANGS = {
    "save": ("def save(self, group, features):", "    group.endswith('handshake') or time.sleep(60)"),
    "setup": ("def setup(self):", "    print('setting up', flush=True)", "    time.sleep(60)"),
    "teardown": ("def teardown(self):", "    time.sleep(60)"),
}


@pytest.mark.parametrize("hanging", HANGS)
def test_a_second_signal_ends_it_soon_whatever_hangs(tmp_path, hanging):
    options = write_target(tmp_path, *HANGS[hanging])
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=600), *options) as daemon:
        if hanging == "save":
            daemon.until(lambda: daemon.metric("stressd_operations_inflight", op="save") > 0, "a save hangs")
        elif hanging == "setup":
            daemon.until(lambda: "setting up" in daemon.stdout, "the setup hangs")
        else:
            daemon.until_at_work()
        workers = daemon.worker_pids()
        daemon.send(signal.SIGTERM)
        if hanging == "save":
            daemon.until_state("draining")
        else:
            time.sleep(0.3)  # nothing shows that it has heard the first
        second_s = time.monotonic()
        daemon.send(signal.SIGTERM)
        code = daemon.wait(2.0 + NOISE_S)
        print(f"ended {time.monotonic() - second_s:.2f} s after the second signal with {code}")
        until(lambda: not any(map(is_alive, workers)), "the workers end with it")
        assert code == 143


# --- refused


def test_a_second_daemon_is_refused_and_told_who_is_there(tmp_path):
    scenario = write_scenario(tmp_path, duration_s=None)
    with Daemon(tmp_path, scenario) as first:
        first.until_at_work()
        with Daemon(tmp_path, scenario) as second:
            assert second.wait() == 2
        assert f"process {first.pid}" in second.stderr
        verified = stressd("verify", "--state", first.state, cwd=tmp_path)
        assert (verified.returncode, f"process {first.pid}" in verified.stderr) == (2, True)
        assert first.stop() == 0


def test_a_taken_port_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # The later --listen wins over the one that the daemon under test is always given.
        with Daemon(tmp_path, write_scenario(tmp_path), "--listen", f"127.0.0.1:{port}") as daemon:
            assert daemon.wait() == 2
    assert f"127.0.0.1:{port} is taken" in daemon.stderr
    assert "Traceback" not in daemon.stderr


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_state_folder_that_cannot_be_used_is_refused(tmp_path, command):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    where = ("--state", tmp_path / "file" / "state")
    more = (write_scenario(tmp_path), "--listen", "127.0.0.1:0") if command == "run" else ()
    ended = stressd(command, *more, *where, cwd=tmp_path)
    assert ended.returncode == 2
    assert str(tmp_path / "file") in ended.stderr
    assert "--state" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- what it serves


def test_every_page_answers_in_every_state(tmp_path):
    scenario = write_scenario(
        tmp_path,
        duration_s=3,
        warmup_s=1,
        probes={"before": ["generation"]},
        probe_settings={"generation_movies": [50]},
    )
    ready = {}
    with Daemon(tmp_path, scenario, "--linger", "60") as daemon:

        def look():
            assert daemon.get("/healthz") == (200, "ok\n")
            for path in ("/", "/api/status", "/metrics"):
                assert daemon.get(path)[0] == 200
            before, answer, after = _state(daemon), daemon.get("/readyz")[0], _state(daemon)
            if before == after:  # else it may have been either
                ready.setdefault(before, set()).add(answer)
            return before == "stopped"

        daemon.until(look, "stopped")
        daemon.until(lambda: daemon.stdout, "the verdict")
        assert _state(daemon) == "stopped"
        assert daemon.get("/readyz")[0] == 503
        assert daemon.stop() == daemon.report()["exit_code"]
    assert ready.keys() >= {"starting", "warmup", "running", "stopped"}
    # The state shown is a second old at most: the answer of the next one may be seen already, none of one before.
    assert 503 in ready["starting"]
    assert 200 in ready["warmup"] | ready["running"]
    assert ready["stopped"] == {503}


def _state(daemon):
    """Return the state that the metrics show."""
    return next(
        dict(labels)["stressd_state"]
        for (name, labels), value in daemon.metrics().items()
        if name == "stressd_state" and value == 1
    )


# --- what it goes on with


def size_of(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def finished(folder, scenario, *arguments):
    with Daemon(folder, scenario, *arguments) as daemon:
        assert daemon.wait() == 0, daemon.stdout + daemon.stderr
    return daemon


def test_the_same_settings_go_on_others_begin_anew_and_the_folder_stays_bounded(tmp_path):
    scenario = write_scenario(tmp_path, duration_s=1)
    first = finished(tmp_path, scenario, "--seed", "11").record()
    assert groups_in(tmp_path / "state") == {first["prefix"]}

    same = finished(tmp_path, scenario)
    assert f"going on with the data of run {first['run_id']}" in same.stderr
    assert (same.record()["seed"], same.record()["prefix"]) == (11, first["prefix"])
    assert same.report()["verification"]["saves_per_key"] > 1

    size, kept = size_of(tmp_path / "state"), same.record()
    other_keys = write_scenario(tmp_path, "keys.yaml", duration_s=1, keys_per_lane=3)
    changes = [(scenario, ("--seed", "12"), "seed"), (other_keys, (), "keys_per_lane")]
    for file, arguments, what in changes:
        daemon = finished(tmp_path, file, *arguments)
        record = daemon.record()
        assert re.search(rf"archiving run {kept['run_id']}: .*\b{what}\b.* changed", daemon.stderr), daemon.stderr
        assert groups_in(daemon.state) == {record["prefix"]} != {kept["prefix"]}
        assert (daemon.state / "archive" / f"ledger-{kept['run_id']}").is_file()
        assert sum(daemon.report()["verification"]["violations"].values()) == 0
        kept = record
    assert size_of(tmp_path / "state") < 2 * size

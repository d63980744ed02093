"""A running daemon that is told to read its scenario anew: all of it takes effect soon, or nothing does."""

import signal
import time
import urllib.error
import urllib.request

import pytest
import yaml
from daemon import Daemon, until

from stressd.scenario import Scenario
from stressd.stats.table import Control, Table
from stressd.workload.plan import Change, plan_along

TOKEN = "a token of 24 characters"
BEFORE, AFTER = 20, 60
WITHIN_S = 2.0
NOISE_S = 5.0  # what a busy machine may add


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reload")
    (folder / "token").write_text(TOKEN)
    write(folder, rate=BEFORE)
    with Daemon(folder, "mine.yaml", "--token-file", "token", "--set", "pools.main.keys=zipfian") as running:
        until(lambda: "metrics at" in running.stderr, "it serves")
        until(lambda: begun(running) > BEFORE, "it works")
        yield running


def write(folder, **pool):
    mix = {"save": 1, "read": 3}
    scenario = {
        "name": "mine",
        "content": {"kind": "random", "rows": 5, "columns": 2, "names": 1},
        "pools": [{"name": "main", "processes": 2, "threads": 2, "mix": mix, **pool}],
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")


def metrics(daemon):
    status, body = daemon.get("/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    return body


def metric(daemon, name):
    return sum(float(line.split()[-1]) for line in metrics(daemon).splitlines() if line.startswith(name))


def begun(daemon):
    return metric(daemon, "stressd_operations_total{") + metric(daemon, "stressd_operations_dropped_total{")


def post(daemon):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(daemon.address + "/-/reload", headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_wrong_one_changes_nothing_and_says_all_that_is_wrong(daemon):
    write(daemon.folder, rate=-5, thredas=2)
    status, told = post(daemon)
    assert status == 422
    assert "pools[0].rate: -5 is below 0" in told
    assert "pools[0].thredas: there is no such key; did you mean threads?" in told
    until(lambda: metric(daemon, "stressd_reload_success") == 0, "the failure is counted")
    write(daemon.folder, rate=BEFORE, threads=3)
    daemon.send(signal.SIGHUP)
    daemon.until_says(r"not reloaded: pools\.main\.threads: 2 -> 3: a pool has the lanes")
    daemon.until_says("not reloaded: what ran goes on unchanged")
    assert metric(daemon, "stressd_offered_rate") == BEFORE
    assert metric(daemon, "stressd_reload_success") == 0


def test_a_right_one_takes_effect_soon_and_loses_and_doubles_no_operation(daemon):
    before = time.time()
    write(daemon.folder, rate=AFTER)
    asked_s = time.monotonic()
    assert post(daemon) == (200, f"pools.main.rate: {BEFORE} -> {AFTER}\n")
    until(lambda: metric(daemon, "stressd_offered_rate") == AFTER, "the rate is the new one")
    took_s = time.monotonic() - asked_s
    print(f"the new rate was in force and shown after {took_s:.1f} s")
    assert took_s < WITHIN_S + NOISE_S
    until(lambda: metric(daemon, "stressd_reload_success") == 1, "the success is counted")
    assert metric(daemon, "stressd_reload_timestamp_seconds") >= before
    first, first_s = begun(daemon), time.monotonic()
    until(lambda: begun(daemon) > first + 3 * AFTER, "the load goes on at the new rate", every_s=0.5)
    rate = (begun(daemon) - first) / (time.monotonic() - first_s)
    assert rate > 1.5 * BEFORE, "well above the old one, whatever the machine"
    write(daemon.folder, rate=AFTER)
    daemon.send(signal.SIGHUP)
    daemon.until_says("reloaded: nothing changed")


def test_after_the_end_every_start_that_was_due_was_taken_once(daemon):
    assert daemon.stop() == 0
    report = daemon.report()
    (reload,) = report["reloads"]
    assert reload["changes"] == [f"pools.main.rate: {BEFORE} -> {AFTER}"]
    assert report["scenario"]["pools"][0]["rate"] == daemon.record()["scenario"]["pools"][0]["rate"] == AFTER

    after = Scenario.model_validate(report["scenario"])
    (pool,) = after.pools
    before = after.model_copy(update={"pools": (pool.model_copy(update={"rate": float(BEFORE)}),)})
    plan = plan_along(0, before, [Change(round(reload["at_seconds"] * 1e9), after)])
    table = Table.open(str(daemon.state / "table"))
    lasted_ns = table.control[Control.DRAIN] - table.control[Control.LOAD_START_NS]
    taken = table.snapshot().rows(slice(0, pool.lanes)).gauge("next_start").reshape(pool.processes, pool.threads)
    due = [plan.pacer(report["seed"], process, pool.processes).due(lasted_ns) for process in range(pool.processes)]
    assert taken.max(axis=1).tolist() == due
    without = plan_along(0, before).pacer(report["seed"]).due(lasted_ns)
    assert sum(due) > without + AFTER, "with the old rate alone there had been far fewer"

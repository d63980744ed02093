"""The load as its files describe it: phases, arrivals, keys, and what is said where it cannot be reached."""

import json

import daemon
import pytest
import yaml

SLOW = (
    "def open(self):",
    "    session = super().open()",
    "    session.read = lambda group, names: time.sleep(0.01) or {}",
    "    return session",
)


def run(folder, *options, timeout_s=60, **scenario):
    """Run a scenario to its end; return the process and the report."""
    (folder / "load.yaml").write_text(yaml.safe_dump(daemon.merge(daemon.SMALL, scenario)), encoding="utf-8")
    report = folder / "report.json"
    ran = daemon.stressd(
        *("run", "load.yaml", "--state", "state", "--listen", "127.0.0.1:0", "--seed", "5", "--quiet"),
        *("--report", report, *options),
        cwd=folder,
        timeout_s=timeout_s,
    )
    assert report.exists(), ran.stderr
    return ran, json.loads(report.read_text(encoding="utf-8"))


def test_a_load_that_the_target_cannot_carry_ends_inconclusive_with_what_was_reached(tmp_path):
    """Two lanes of ten milliseconds do 200 a second at most."""
    target = daemon.write_target(tmp_path, *SLOW, base="noop:NoopTarget")
    ran, report = run(tmp_path, *target, duration_s=8, pool={"rate": 400, "mix": {"save": 1, "read": 999}})
    assert (ran.returncode, report["verdict"]) == (4, "inconclusive")
    harness = report["harness"]
    assert harness["saturated"]
    assert harness["offered_per_second"] == pytest.approx(400, rel=0.01)
    assert 0 < harness["reached_per_second"] <= 205
    assert "The load asked for was not reached" in " ".join(ran.stdout.split())
    # What was not begun is charged: by the end, a start had to wait for seconds.
    assert report["operations"]["read"]["latency_seconds"]["max"] > 2


PHASES = [
    {"name": "fill", "duration_s": 2, "pools": {"main": {"mix": {"save": 1}}}},
    {"name": "spike", "duration_s": 3, "pools": {"main": {"rate": 150, "mix": {"read": 1}}}},
    {"name": "calm", "duration_s": 2, "pools": {"main": {"rate": 0, "mix": {"read": 1}}}},
]


def test_phases_follow_one_another_and_are_told_apart(tmp_path):
    scenario = {"duration_s": None, "warmup_s": 1, "phases": PHASES, "content": {"kind": "random", "names": 2}}
    scenario["verification"] = {"scribble_every": 1_000_000}  # it reads more
    path = daemon.write_scenario(tmp_path, **scenario)
    with daemon.Daemon(tmp_path, path, "--target", "memory") as running:
        seen = set()

        def told_spike():
            facts = running.status()["facts"]
            seen.add(facts["phase"])
            return facts["phase"] == "spike"

        running.until(told_spike, "the spike has come", every_s=0.2)
        offered = lambda: running.metric("stressd_offered_rate", pool="main")  # noqa: E731
        running.until(lambda: offered() == 150, "its rate is told", every_s=0.2)
        assert running.wait() in (0, 4)
        report = running.report()
    assert "fill" in seen
    told = [(phase["name"], phase["warmup"]) for phase in report["phases"]]
    assert told == [("fill", True), ("fill", False), ("spike", False), ("calm", False)]
    borders = [phase["until_seconds"] for phase in report["phases"]]
    assert borders == pytest.approx([1, 2, 5, 7], abs=0.5)
    counts = [
        {op: each["count"] for op, each in phase["pools"]["main"]["operations"].items()} for phase in report["phases"]
    ]
    # Of a start that runs late, the operation is counted where it ran; its kind is that of the phase it was meant for.
    saves, reads = (sum(phase.get(op, 0) for phase in counts) for op in ("save", "read"))
    assert 100 <= saves <= 120
    assert 400 <= reads - saves <= 450  # a save reads its key first, but for the first of each
    assert counts[2]["read"] > counts[3].get("read", 0)
    assert report["pools"]["main"]["operations"]["read"]["sources"]["store"]["service_seconds"]["p99"] > 0
    assert sum(report["verification"]["violations"].values()) == 0


def test_poisson_arrivals_and_hot_keys_on_a_real_store(tmp_path):
    """Two pools of their own shape side by side, on the embedded store; all that they read is right."""
    pools = [
        {"name": "writers", "processes": 2, "threads": 2, "rate": 40, "arrival": "poisson", "mix": {"save": 1}},
        {
            "name": "readers",
            "threads": 2,
            "stages": [{"duration_s": 2, "target": 2}],
            "think_time_s": 0.005,
            "keys": "zipfian",
            "mix": {"read": 3, "read_store": 1},
        },
    ]
    ran, report = run(tmp_path, duration_s=5, pools=pools)
    assert ran.returncode in (0, 4), ran.stderr
    assert sum(report["verification"]["violations"].values()) == 0
    told = {name: set(pool["operations"]) for name, pool in report["pools"].items()}
    assert told == {"writers": {"save", "read"}, "readers": told["readers"]}  # a save reads its key first
    assert told["readers"] <= {"read", "save"}
    assert report["pools"]["writers"]["operations"]["save"]["count"] > 10
    assert report["pools"]["readers"]["operations"]["read"]["count"] > 10


def test_validate_shows_the_load_as_it_would_run(tmp_path):
    path = daemon.write_scenario(tmp_path, duration_s=None, pool={"keys": "zipfian"}, phases=PHASES)
    shown = daemon.stressd("validate", path, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    resolved = yaml.safe_load(shown.stdout)
    assert resolved["duration_s"] == 7
    assert resolved["pools"][0]["keys"] == {
        "distribution": "zipfian",
        "theta": 0.99,
        "hot_keys": None,
        "hot_reads": None,
    }
    assert [phase["name"] for phase in resolved["phases"]] == ["fill", "spike", "calm"]

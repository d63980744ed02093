"""A store of one's own under soak: a right one is never accused, one that lies is caught by the right word."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import daemon
import pandas as pd
import pytest

HERE = Path(__file__).resolve().parent
MODULES = f"{HERE}:{daemon.ROOT}"

# The kinds of violation that each liar is caught by. A second kind is what the same lie is when it meets a save under way.
LIARS = {
    "Forgets": {"lost"},
    "ServesOld": {"stale", "non_monotonic"},
    "FlipsABit": {"corrupt"},
    "HandsOutItsOwn": {"aliased"},
    "KeepsYours": {"aliased"},
    "SavesHalf": {"fractured"},
    "MixesRows": {"torn"},
    "MixesColumns": {"torn"},
    "DropsAColumn": {"schema"},
    "Retypes": {"schema"},
    "ServesAnother": {"phantom"},
    "Resurrects": {"phantom"},
    "SqliteWithStaleCache": {"stale", "non_monotonic"},
}
RANDOM = {"kind": "random", "rows": 20, "columns": 3, "names": 4}
BUSY = {"threads": 2, "rate": 150, "mix": {"save": 25, "read": 60, "scrub": 15}}


def soak(folder, target, *arguments, processes=1, **changes):
    """Soak a store of `own_stores` to the end; return (exit code, report, what it said on stderr)."""
    folder.mkdir(parents=True, exist_ok=True)
    changes = {"content": RANDOM, "pool": BUSY | {"processes": processes}} | changes
    scenario = daemon.write_scenario(folder, **changes)
    report = folder / "report.json"
    ran = daemon.stressd(
        *("run", scenario, "--target", target, "--listen", "127.0.0.1:0", "--quiet", "--report", report, *arguments),
        cwd=folder,
        PYTHONPATH=MODULES,
    )
    assert report.exists(), ran.stderr
    return ran.returncode, json.loads(report.read_text()), ran.stderr


def violations(report):
    return {kind: count for kind, count in report["verification"]["violations"].items() if count}


def outcomes(report):
    return {entry["name"]: entry["verdict"] for entry in report["criteria"]}


# --- Right ones


def test_a_sqlite_store_of_several_processes_passes(tmp_path, run_seed):
    code, report, said = soak(
        tmp_path,
        "own_stores:Sqlite",
        *("--target-option", f"path={tmp_path / 'features.sqlite'}", "--seed", run_seed),
        processes=2,
        duration_s=5,
        content={"rows": [10, 30]},
        probes={"before": ["concurrency", "cache"], "after": ["memory"]},
        probe_settings={"concurrency_rounds": 3, "memory_repeats": 5, "memory_movies": 20},
        criteria={"omit": ["memory_growth", "degradation", "cpu_at_rest", "save_throughput", "read_throughput"]},
    )
    assert (code, violations(report)) == (0, {}), said
    found = outcomes(report)
    assert report["verdict"] in ("pass", "warn")
    cache = {"cache_speedup", "cache_hit_rate", "cache_ttl_refresh"}
    assert {name for name, outcome in found.items() if outcome == "not_applicable"} >= cache
    assert all(entry["why"] for entry in report["criteria"] if entry["name"] in cache)
    assert found["data_integrity"] == found["concurrent_success_rate"] == found["worker_deaths"] == "pass"
    assert report["verification"]["reads_across_processes_checked"] > 20, "the two processes read what the other saved"
    assert "one process" not in said
    assert (tmp_path / "features.sqlite").exists()


def test_a_sqlite_store_can_be_verified_and_gone_on_with(tmp_path):
    options = ("--target-option", f"path={tmp_path / 'features.sqlite'}")
    _, first, _ = soak(tmp_path, "own_stores:Sqlite", *options, processes=2, duration_s=1)
    verified = daemon.stressd("verify", "--state", tmp_path / "stressd-data", cwd=tmp_path, PYTHONPATH=MODULES)
    assert verified.returncode == 0, verified.stderr
    assert "verified" in verified.stdout
    assert first["verification"]["writes_acknowledged"] > 0
    code, second, said = soak(tmp_path, "own_stores:Sqlite", *options, processes=2, duration_s=1)
    assert "going on with the data" in said
    assert second["seed"] == first["seed"]
    assert (code in (0, 4), violations(second)) == (True, {}), said


@pytest.mark.parametrize("target", ["own_stores:Dict", "memory"])
def test_a_dict_is_run_in_one_process_with_as_many_threads(tmp_path, target):
    code, report, said = soak(tmp_path, target, processes=2, duration_s=4, content={"rows": [5, 15]})
    assert (code, violations(report)) == (0, {}), said
    assert f"target {target} lives in one process alone: run in 1 process with 4 threads" in said
    pool = report["scenario"]["pools"][0]
    assert (len(report["scenario"]["pools"]), pool["processes"], pool["threads"], pool["rate"]) == (1, 1, 4, 150)


def test_more_than_one_process_for_a_dict_is_refused_with_the_way_out(tmp_path):
    scenario = daemon.write_scenario(tmp_path)
    ran = daemon.stressd(
        *("run", scenario, "--target", "own_stores:Dict", "--processes", "2", "--listen", "127.0.0.1:0"),
        cwd=tmp_path,
        PYTHONPATH=MODULES,
    )
    assert ran.returncode == 2
    assert "--processes 2" in ran.stderr
    assert "use --threads instead" in ran.stderr
    assert "Traceback" not in ran.stderr
    asked_for_one = daemon.stressd(
        *("run", scenario, "--target", "own_stores:Dict", "--processes", "1", "--threads", "2"),
        *("--duration", "1", "--listen", "127.0.0.1:0"),
        cwd=tmp_path,
        PYTHONPATH=MODULES,
    )
    assert asked_for_one.returncode in (0, 4), asked_for_one.stderr


def test_noop_runs_and_is_not_said_to_have_been_checked(tmp_path):
    code, report, said = soak(tmp_path, "noop", processes=2, duration_s=4, content={"rows": [5, 15]})
    assert (code, violations(report)) == (0, {}), said
    assert report["verification"]["cells_checked"] == 0
    assert report["operations"]["save"]["count"] > 0
    assert report["operations"]["read"]["count"] > 0
    assert daemon.criterion(report, "data_integrity")["why"] == "stores nothing"
    assert "one process" not in said


@pytest.mark.parametrize("target", ["RaisesAfterSaving", "RaisesBeforeSaving"])
def test_a_save_of_unknown_outcome_is_an_error_and_no_violation(tmp_path, target, run_seed):
    print("seed", run_seed)
    code, report, said = soak(tmp_path, f"own_stores:{target}", *("--target-option", f"seed={run_seed}"), duration_s=3)
    assert violations(report) == {}, said
    assert report["operations"]["save"]["errors"] > 0
    assert code == 1
    assert outcomes(report)["error_rate"] == "fail"
    assert said.count("ConnectionError") == 1, "told once, not each time"


# --- Liars


@pytest.fixture(scope="module")
def caught(tmp_path_factory, run_seed):
    """Start a soak of every liar, two at a time; return {liar: future of (folder, exit code, report, stderr)}."""

    def run(liar):
        folder = tmp_path_factory.mktemp(liar)
        options = ["--target-option", f"seed={run_seed}", "--seed", str(run_seed)]
        processes = 1
        if liar.startswith("Sqlite"):
            options, processes = ["--target-option", f"path={folder / 'features.sqlite'}"], 2
        return folder, *soak(folder, f"own_stores:{liar}", "--stop-on-violation", *options, processes=processes, duration_s=20)

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {liar: pool.submit(run, liar) for liar in LIARS}


@pytest.mark.parametrize("liar", LIARS)
def test_a_lie_is_caught_by_its_right_name_and_leaves_a_specimen(caught, liar, run_seed):
    print("seed", run_seed)
    folder, code, report, said = caught[liar].result(timeout=100)
    assert (code, report["verdict"]) == (3, "violated"), said
    assert set(violations(report)) <= LIARS[liar], said
    assert report["duration_seconds"] < 18, "stopped at the first violation"
    assert daemon.criterion(report, "data_integrity")["verdict"] == "fail"
    assert report["verification"]["specimens"]
    for path in report["verification"]["specimens"]:
        told = json.loads((folder / path).read_text())
        assert told["kind"] in LIARS[liar]
        assert told["detail"]
        assert told["seed"] == report["seed"]
        assert told["operations_before"]
        for pair in told["frames"]:
            expected = readable(folder / path, pair["expected_file"])
            actual = readable(folder / path, pair["actual_file"])
            assert len(expected) == len(actual) == 20
            assert "_seq" in expected
            assert "_seq" in actual


def readable(beside, name):
    path = Path(beside).parent / name
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def test_a_violation_does_not_end_a_run_by_itself(tmp_path, run_seed):
    print("seed", run_seed)
    code, report, said = soak(tmp_path, "own_stores:FlipsABit", *("--target-option", f"seed={run_seed}"), duration_s=3)
    assert (code, report["interrupted"]) == (3, False), said
    assert report["load_seconds"] > 2.5
    assert violations(report)["corrupt"] > 3
    assert said.count("VIOLATION corrupt") == 1, "told once, counted each time"

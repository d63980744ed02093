"""A store of one's own under soak: a right one is never accused, one that lies is caught by the right word."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import daemon
import pandas as pd
import pytest

HERE = Path(__file__).resolve().parent
MODULES = f"{HERE}:{daemon.ROOT}"

# The kinds of violation that each liar is caught by. A second kind is what the same lie is while a save is under way.
LIARS = {
    "Forgets": {"lost"},
    "ServesOld": {"stale", "non_monotonic"},
    "FlipsABit": {"corrupt"},
    "HandsOutItsOwn": {"aliased"},
    "KeepsYours": {"aliased"},
    "SavesHalf": {"fractured"},
    "Mixes": {"torn"},
    "ChangesColumns": {"schema"},
    "ServesAnother": {"phantom"},
    "Resurrects": {"phantom"},
    "SqliteWithStaleCache": {"stale", "non_monotonic"},
}
RANDOM = {"kind": "random", "rows": 20, "columns": 3, "names": 4}
JUDGED = {"omit": ["memory_growth", "degradation", "cpu_at_rest", "save_throughput", "read_throughput"]}
TO_THE_END = "FlipsABit"  # the others stop at the first violation
MOVIES = {"rows": [5, 10], "names": ["basic", "text"]}
BUSY = {"threads": 2, "rate": 300, "mix": {"save": 25, "read": 60, "scrub": 15}}


def soak(folder, target, *arguments, processes=1, **changes):
    """Soak a store of `own_stores` to the end; return (exit code, report, what it said on stderr)."""
    folder.mkdir(parents=True, exist_ok=True)
    changes = {"content": RANDOM, "pool": BUSY | {"processes": processes}, "criteria": JUDGED} | changes
    scenario = daemon.write_scenario(folder, **changes)
    report = folder / "report.json"
    ran = daemon.stressd(
        *("run", scenario, "--target", target, "--listen", "127.0.0.1:0", "--quiet", "--report", report, *arguments),
        cwd=folder,
        PYTHONPATH=MODULES,
    )
    assert report.exists(), ran.stderr
    return ran.returncode, json.loads(report.read_text()), ran.stderr + ran.stdout


def violations(report):
    return {kind: count for kind, count in report["verification"]["violations"].items() if count}


def outcomes(report):
    return {entry["name"]: entry["verdict"] for entry in report["criteria"]}


# --- Right ones


def test_a_sqlite_store_of_several_processes_passes_can_be_verified_and_gone_on_with(tmp_path, run_seed):
    options = ("--target-option", f"path={tmp_path / 'features.sqlite'}")
    code, report, said = soak(
        tmp_path,
        "own_stores:Sqlite",
        *(*options, "--seed", run_seed),
        pool=BUSY | {"processes": 2, "rate": 80},  # which a busy machine carries, too
        duration_s=8,
        content=MOVIES,
        probes={"before": ["concurrency", "cache"]},
        probe_settings={"concurrency_rounds": 3, "cache_rounds": 5, "cache_ttl_s": 0.1},
    )
    assert (code, violations(report)) == (0, {}), said
    found = outcomes(report)
    assert report["verdict"] in ("pass", "warn")
    cache = {"cache_speedup", "cache_hit_rate", "cache_ttl_refresh"}
    assert {name for name, outcome in found.items() if outcome == "not_applicable"} >= cache
    assert all(entry["why"] == "target has no cache" for entry in report["criteria"] if entry["name"] in cache)
    assert found["data_integrity"] == found["concurrent_success_rate"] == found["worker_deaths"] == "pass"
    assert report["verification"]["reads_across_processes_checked"] > 20, "the two processes read what the other saved"
    assert "one process" not in said

    verified = daemon.stressd("verify", "--state", tmp_path / "stressd-data", cwd=tmp_path, PYTHONPATH=MODULES)
    assert verified.returncode == 0, verified.stderr
    assert "verified" in verified.stdout

    settings = {"duration_s": 1, "content": MOVIES, "processes": 2}
    _, again, said = soak(tmp_path, "own_stores:Sqlite", *options, **settings)
    assert "going on with the data" in said
    assert (again["seed"], violations(again)) == (report["seed"], {}), said
    assert re.search(r"8 keys: 8 right, 0 never saved, 0 wrong", said), "all that was there was checked first"


def test_a_dict_is_run_in_one_process_with_as_many_threads(tmp_path):
    code, report, said = soak(tmp_path, "own_stores:Dict", processes=2, duration_s=3, content=MOVIES)
    assert (code, violations(report)) == (0, {}), said
    assert "target own_stores:Dict lives in one process alone: run in 1 process with 4 threads" in said
    (pool,) = report["scenario"]["pools"]
    assert (pool["processes"], pool["threads"], pool["rate"]) == (1, 4, 300)


def test_more_than_one_process_for_a_dict_is_refused_with_the_way_out(tmp_path):
    scenario = daemon.write_scenario(tmp_path, pool=BUSY)
    arguments = ("run", scenario, "--target", "memory", "--duration", "3", "--listen", "127.0.0.1:0")
    refused = daemon.stressd(*arguments, "--processes", "2", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--processes 2" in refused.stderr
    assert "use --threads instead" in refused.stderr
    assert "Traceback" not in refused.stderr
    as_told = daemon.stressd(*arguments, "--threads", "2", cwd=tmp_path)
    assert as_told.returncode == 0, as_told.stderr


def test_noop_runs_and_is_not_said_to_have_been_checked(tmp_path):
    code, report, said = soak(tmp_path, "noop", processes=2, duration_s=3, content=MOVIES)
    assert (code, violations(report)) == (0, {}), said
    assert report["verification"]["cells_checked"] == 0
    assert report["operations"]["save"]["count"] > 0
    assert report["operations"]["read"]["count"] > 0
    assert daemon.criterion(report, "data_integrity")["why"] == "stores nothing"
    assert "one process" not in said


def test_a_save_of_unknown_outcome_is_an_error_and_no_violation(tmp_path, run_seed):
    print("seed", run_seed)
    # One in four: of the eight tries that a run begins with, one has to work.
    options = ("--target-option", f"seed={run_seed}", "--target-option", "every=4")
    code, report, said = soak(tmp_path, "own_stores:LosesConnections", *options, duration_s=3)
    assert violations(report) == {}, said
    saves = report["operations"]["save"]
    assert min(saves["errors"], saves["outcomes"]["ok"]) > 20
    assert outcomes(report)["error_rate"] in ("fail", "inconclusive")
    assert code in (1, 4)
    assert said.count("ConnectionError") == 1, "told once, not each time"


# --- Liars


@pytest.fixture(scope="module", autouse=True)  # from the first test on: the right ones are soaked meanwhile
def caught(tmp_path_factory, run_seed):
    """Start a soak of every liar, two at a time; return {liar: future of (folder, exit code, report, stderr)}."""

    def run(liar, folder):
        several = liar.startswith("Sqlite")
        option = f"path={folder / 'features.sqlite'}" if several else f"seed={run_seed}"
        stop, duration_s = ([], 2) if liar == TO_THE_END else (["--stop-on-violation"], 20)
        arguments = ("--seed", str(run_seed), "--target-option", option, *stop)
        return folder, *soak(folder, f"own_stores:{liar}", *arguments, processes=1 + several, duration_s=duration_s)

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {liar: pool.submit(run, liar, tmp_path_factory.mktemp(liar)) for liar in LIARS}


@pytest.mark.parametrize("liar", LIARS)
def test_a_lie_is_caught_by_its_right_name_and_leaves_a_specimen(caught, liar, run_seed):
    print("seed", run_seed)
    folder, code, report, said = caught[liar].result(timeout=100)
    assert (code, report["verdict"]) == (3, "violated"), said
    assert set(violations(report)) <= LIARS[liar], said
    assert report["interrupted"] is False
    assert daemon.criterion(report, "data_integrity")["verdict"] == "fail"
    assert report["verification"]["specimens"]
    for path in report["verification"]["specimens"]:
        told = json.loads((folder / path).read_text())
        assert told["kind"] in LIARS[liar]
        assert told["detail"]
        assert told["seed"] == report["seed"]
        for pair in told["frames"]:
            expected = readable(folder / path, pair["expected_file"])
            actual = readable(folder / path, pair["actual_file"])
            assert len(expected) == len(actual) == 20
            assert "_seq" in expected
            assert "_seq" in actual


def readable(beside, name):
    path = Path(beside).parent / name
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def test_a_violation_does_not_end_a_run_by_itself_and_stop_on_violation_does(caught):
    _, _, report, said = caught[TO_THE_END].result(timeout=100)
    assert report["load_seconds"] >= 2
    assert violations(report)["corrupt"] > 3
    assert said.count("VIOLATION corrupt") == 1, "told once, counted each time"
    _, _, stopped, said = caught["HandsOutItsOwn"].result(timeout=100)
    assert stopped["load_seconds"] < 15
    assert "stopping at the first violation" in said

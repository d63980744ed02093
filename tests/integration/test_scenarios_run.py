"""The scenarios that come with stressd, shortened; and secrets, which reach the target and nothing else."""

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import daemon
import pytest

from stressd.scenario_file import builtins

HERE = Path(__file__).resolve().parent

# All the probes small, so that what is tested is that everything happens, not how fast.
SHORT = {
    "warmup_s": 0,
    "generated_movies": 300,
    "content.rows": 40,
    "probe_settings.generation_movies": "[50,100]",
    "probe_settings.generation_repeats": 2,
    "probe_settings.storage_shapes": "[[200,5],[500,5]]",
    "probe_settings.storage_repeats": 3,
    "probe_settings.concurrency_rounds": 3,
    "probe_settings.memory_repeats": 5,
    "probe_settings.cache_rounds": 8,
    "probe_settings.cache_ttl_s": 0.3,
}
# Seconds cannot show growth or drift, and how busy a shared machine is says nothing of stressd; lanes make up for time.
ACCEPTANCE = {
    "duration_s": 6,
    "pools.stability.threads": 8,
    "pools.stability.think_time_s": "10ms",
    "criteria.omit": "[memory_growth,degradation,cpu_at_rest]",
    "faults[0].duration_s": 0.3,
    "probe_settings.storage_shapes": "[[10000,30]]",
}
NAMES = [builtin.name for builtin in builtins()]


def short(folder, name):
    """Run a built-in scenario, shortened; return (exit code, report, stdout, stderr)."""
    settings = SHORT | (ACCEPTANCE if name == "acceptance" else {"duration_s": 2})
    changes = [word for place, value in settings.items() for word in ("--set", f"{place}={value}")]
    ran = daemon.stressd(
        *("run", name, "--state", folder / "state", "--listen", "127.0.0.1:0", "--quiet"),
        *("--report", folder / "report.json", *changes),
        cwd=folder,
        timeout_s=80,
    )
    assert (folder / "report.json").exists(), ran.stderr
    return ran.returncode, json.loads((folder / "report.json").read_text()), ran.stdout, ran.stderr


@pytest.fixture(scope="module", autouse=True)
def shortened(tmp_path_factory):
    """Start all built-in scenarios, two at a time; return {name: future of (code, report, stdout, stderr)}."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {name: pool.submit(short, tmp_path_factory.mktemp(name), name) for name in NAMES}


def test_secrets_reach_the_target_and_are_found_nowhere_else(tmp_path):
    from_variable, from_file = (f"s3cret-{secrets.token_hex(12)}" for _ in range(2))
    (tmp_path / "key").write_text(from_file + "\n")
    scenario = daemon.write_scenario(tmp_path, duration_s=None)
    options = ("told=told", "password=${MY_SECRET}", "key=file:key")
    arguments = [word for option in options for word in ("--target-option", option)]
    arguments += ["--target", "own_stores:NeedsSecrets", "--log-level", "debug"]
    for ending in ("json", "md", "xml"):
        arguments += ["--report", f"report.{ending}"]
    modules = f"{HERE}:{daemon.ROOT}"
    with daemon.Daemon(tmp_path, scenario, *arguments, MY_SECRET=from_variable, PYTHONPATH=modules) as run:
        run.until_at_work(100)
        pages = {path: run.get(path)[1] for path in ("/metrics", "/api/status", "/")}
        command_lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in (run.pid, *run.worker_pids())]
        assert len(command_lines) > 1
        assert run.stop() in (0, 5)
        printed = run.stdout + run.stderr
    shown = daemon.stressd("report", "report.json", cwd=tmp_path).stdout

    expected = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in
                (("password", from_variable), ("key", from_file))}  # fmt: skip
    told = [json.loads(path.read_text()) for path in tmp_path.glob("told-*")]
    assert len(told) >= 2, "the daemon's target and the worker's"
    assert all(hashes == expected for hashes in told)
    assert "ConnectionError" in printed, "an error with its stack was logged"
    assert json.loads((tmp_path / "report.json").read_text())["target"]["options"] == {
        "told": "told",
        "password": "${MY_SECRET}",
        "key": "file:key",
    }
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "key"}
    assert any(name.endswith("run.json") for name in files)
    for secret in (from_variable, from_file):
        assert not [name for name, content in files.items() if secret.encode() in content]
        assert not [path for path, page in pages.items() if secret in page]
        assert secret not in "".join(command_lines)
        assert secret not in printed + shown


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_scenario_runs_and_says_why_if_it_does_not_pass(shortened, name):
    code, report, shown, said = shortened[name].result(timeout=110)
    assert not any(report["verification"]["violations"].values()), said
    assert "Traceback" not in said
    assert code in (0, 1, 4), said
    judged = {entry["name"]: entry for entry in report["criteria"]}
    short_of_passing = [entry for entry in judged.values() if entry["verdict"] in ("fail", "inconclusive")]
    assert bool(code) == bool(short_of_passing), said
    for entry in short_of_passing:
        assert entry["name"] in shown
        assert entry["why"] or entry["value"] is not None
    for probe, found in report["probes"].items():
        assert found["error"] is None, probe
    assert report["probes"].keys() == {*report["scenario"]["probes"]["before"], *report["scenario"]["probes"]["after"]}
    verification = report["verification"]
    if not report["scenario"].get("contended_keys"):  # such a key may be saved again before anybody read it
        assert verification["writes_verified"] == verification["writes_acknowledged"], "each is read at least once"
    if report["scenario"]["pools"]:
        assert report["operations"]["read"]["count"] > 20


def test_acceptance_passes(shortened):
    code, report, shown, said = shortened["acceptance"].result(timeout=110)
    assert code == 0, shown + said
    measured = {entry["name"] for entry in report["criteria"] if entry["verdict"] in ("pass", "warn")}
    assert measured == {entry["name"] for entry in report["criteria"]}, "none left undecided, none not applicable"
    assert [fault["kind"] for fault in report["faults"]] == ["target_errors"]
    assert report["faults"][0]["recovery_seconds"] is not None

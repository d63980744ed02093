"""What goes wrong before a run: one clear message with place and way out, exit 2, and nothing harmed."""

import json
import logging
import re
import shlex
import subprocess
import sys
from xml.etree import ElementTree as ET

import daemon
import pytest
import yaml

from stressd import cli

WRONG = """\
name: wrong
duration_s: 5 parsecs
warmup: 3
content:
  rows: -4
  names: [basic, texts]
pools:
  - name: main
    processes: 0
    treads: 2
    mix: {reed: 1}
"""
CHANGES = ("--rate", "400", "--duration", "2s", "--set", "content.names=[basic, text]")
RUNS_CODE = """\
name: evil
description: !!python/object/apply:os.system ["touch it-ran"]
pools: [{name: main, mix: {save: 1}}]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with the state and the reports of a short run, for all tests to look at and to leave alone."""
    folder = tmp_path_factory.mktemp("ran")
    scenario = daemon.write_scenario(folder, probes={"after": ["cache"]})
    reports = [word for ending in ("json", "md", "xml") for word in ("--report", f"report.{ending}")]
    arguments = ("run", scenario, "--state", "state", "--listen", "127.0.0.1:0", "--seed", "7", *reports, *CHANGES)
    finished = daemon.stressd(*arguments, cwd=folder)
    assert finished.returncode in (0, 4), finished.stderr
    (folder / "empty.csv").write_text("")
    (folder / "no-movies.csv").write_text("a,b\n1,2\n")
    (folder / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\xff")
    (folder / "wrong.yaml").write_text(WRONG)
    (folder / "evil.yaml").write_text(RUNS_CODE)
    (folder / "broken_store.py").write_text("import nothing_of_that_name\n")
    return folder


def what_is_there(folder):
    """Return everything in a state folder but its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "turn", "collector")
    }


# Arguments of `run`, environment, and what the message has to say: the place, the value, the way out.
REFUSED = {
    "scenario": (["nope"], {}, "no scenario 'nope'", "soak"),
    "scenario file": (["nope.yaml"], {}, "nope.yaml: cannot be read: No such file"),
    "duration": (["smoke", "--duration", "3x"], {}, "--duration: '3x'", "90s"),
    "no duration": (["smoke", "--duration", "0"], {}, "--duration: '0'", "leave it out"),
    "rate": (["smoke", "--rate", "-3"], {}, "--rate: '-3'", "use 0 to pause"),
    "threads": (["smoke", "--threads", "0"], {}, "--threads: '0'", "from 1 to 256"),
    "option": (["smoke", "--duratoin", "3"], {}, "--duratoin"),
    "listen": (["smoke", "--listen", "nonsense"], {}, "--listen: 'nonsense'", "127.0.0.1:9464"),
    "report's ending": (["smoke", "--report", "report.pdf"], {}, "--report: 'report.pdf'", ".json, .html, .md, .xml"),
    "report's folder": (["smoke", "--report", "no/report.json"], {}, "no/report.json: there is no folder no", "create"),
    "variable": (["smoke"], {"STRESSD_DURATION": "3x"}, "STRESSD_DURATION: '3x'", "90s"),
    "variable's name": (["smoke"], {"STRESSD_DURATON": "3"}, "STRESSD_DURATON", "did you mean STRESSD_DURATION"),
    "set": (["smoke", "--set", "pools.smoke.thread=3"], {}, "--set pools.smoke.thread", "did you mean threads"),
    "set value": (["smoke", "--set", "content.rows=many"], {}, "--set content.rows", "'many'", "whole number"),
    "target": (["smoke", "--target", "embeded"], {}, "embeded", "did you mean embedded"),
    "target's module": (["smoke", "--target", "no_store:X"], {}, "no_store:X", "no module no_store", "PYTHONPATH"),
    "target's import": (["smoke", "--target", "broken_store:X"], {}, "broken_store", "nothing_of_that_name"),
    "target's class": (["smoke", "--target", "own_stores:X"], {}, "own_stores has no X"),
    "target's methods": (["smoke", "--target", "own_stores:NoSession"], {}, "NoSession has no open()"),
    "target option": (["smoke", "--target-option", "nope=1"], {}, "target embedded", "'nope'"),
    "secret": (["smoke", "--target-option", "path=${NOT_SET}"], {}, "option path", "NOT_SET is not set"),
    "secret file": (["smoke", "--target-option", "path=file:gone"], {}, "option path", "gone cannot be read"),
    "movies": (["smoke", "--movies", "gone.csv"], {}, "--movies gone.csv: no such file"),
    "no movies": (["smoke", "--movies", "empty.csv"], {}, "--movies empty.csv: empty"),
    "other table": (["smoke", "--movies", "no-movies.csv"], {}, "--movies no-movies.csv", "movie_id"),
    "no table": (["smoke", "--movies", "picture.csv"], {}, "--movies picture.csv: not UTF-8 text"),
}


@pytest.fixture
def in_process(monkeypatch):
    """Run a command in this process, where an import costs nothing any more; what it changes is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments, cwd, **env):
        monkeypatch.chdir(cwd)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return cli.run(list(arguments))

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_told_with_its_place_and_harms_nothing(ran, in_process, capsys, mistake):
    arguments, env, *said = REFUSED[mistake]
    before = what_is_there(ran / "state")
    assert in_process("run", *arguments, cwd=ran, STRESSD_STATE="state", **env) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for words in said:
        assert words in told.err
    lines = [line for line in told.err.splitlines() if line.startswith("stressd: ")]
    assert len(lines) == 2 if mistake == "set value" else 1, told.err
    assert what_is_there(ran / "state") == before


def test_what_is_refused_only_after_a_try_leaves_data_that_can_be_verified(ran):
    arguments = ("run", "smoke", "--state", "state", "--target", "memory", "--processes", "2", "--seed", "8")
    refused = daemon.stressd(*arguments, cwd=ran)
    assert refused.returncode == 2
    for words in ("--processes 2", "target memory", "use --threads instead"):
        assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    verified = daemon.stressd("verify", "--state", "state", cwd=ran)
    assert verified.returncode == 0, verified.stdout
    assert "verified" in verified.stdout


@pytest.mark.parametrize("command", ["run", "validate"])
def test_all_mistakes_of_a_file_are_told_at_once_with_their_lines(ran, in_process, capsys, command):
    assert in_process(command, "wrong.yaml", cwd=ran) == 2
    told = capsys.readouterr().err
    for line, words in (
        (2, "duration_s: '5 parsecs'"),
        (3, "warmup: there is no such key; did you mean warmup_s"),
        (5, "-4 is below 1"),
        (9, "pools[0].processes: 0 is below 1"),
        (10, "pools[0].treads: there is no such key; did you mean threads"),
        (11, "pools[0].mix.reed: there is no such key; did you mean read"),
    ):
        assert re.search(rf"^stressd: wrong\.yaml:{line}: .*{re.escape(words)}", told, re.MULTILINE), told


def test_a_tag_that_would_run_code_is_refused_and_has_not_run(ran, in_process, capsys):
    assert in_process("run", "evil.yaml", "--state", "state", cwd=ran) == 2
    told = capsys.readouterr().err
    assert "evil.yaml:2:" in told
    assert "python/object/apply:os.system" in told
    assert not (ran / "it-ran").exists()


def test_a_group_that_is_not_safe_in_a_path_is_refused_by_the_store(tmp_path):
    from featurestore import FeatureStoreConfig, FeatureStoreError, SimpleFeatureStore

    pandas = pytest.importorskip("pandas")
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path / "store"))
    frame = pandas.DataFrame({"a": [1]})
    for group, name in (("../x", "a"), ("x", "../a"), ("/x", "a"), ("", "a"), ("x", "a\0b")):
        with pytest.raises(ValueError, match="name") as refused:
            store.save_features(group, {name: frame})
        assert isinstance(refused.value, FeatureStoreError)
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


# --- What only prints


def test_what_there_is_can_be_looked_up(ran):
    scenarios = daemon.stressd("scenarios", cwd=ran)
    assert scenarios.returncode == 0
    names = {line.split()[0] for line in scenarios.stdout.splitlines()}
    assert names >= {
        "soak",
        "acceptance",
        "generation",
        "storage",
        "concurrency",
        "stability",
        "memory",
        "cache",
        "max",
    }
    criteria = daemon.stressd("criteria", cwd=ran)
    assert criteria.returncode == 0
    for entry in json.loads((ran / "report.json").read_text())["criteria"]:
        assert entry["name"] in criteria.stdout
    validated = daemon.stressd("validate", "soak", "--rate", "33", cwd=ran)
    assert validated.returncode == 0
    (ran / "again.yaml").write_text(validated.stdout)
    assert daemon.stressd("validate", "again.yaml", cwd=ran).stdout == validated.stdout
    assert "rate: 33" in validated.stdout


@pytest.mark.parametrize("command", ["criteria", "validate soak", "report report.json"])
def test_a_reader_that_has_seen_enough_is_no_error(ran, command):
    line = " ".join([*map(str, daemon.command()), command])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line} | head -1"],
        check=False,
        cwd=ran,
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=daemon.PATIENCE_S,
    )
    assert (piped.returncode, piped.stderr) == (0, "")
    assert len(piped.stdout.splitlines()) == 1


# --- Reports


def test_the_report_has_what_the_contract_names(ran):
    report = json.loads((ran / "report.json").read_text())
    assert report["schema"] == "stressd.report/1"
    assert report["verdict"] in ("pass", "warn", "inconclusive")
    assert set(report) >= {
        *("exit_code", "interrupted", "run_id", "scenario", "target", "guarantees", "seed", "movies", "started_at"),
        *("duration_seconds", "environment", "criteria", "operations", "verification", "workers", "memory", "harness"),
    }
    assert set(report["movies"]) >= {"path", "sha256", "good", "bad"}
    for entry in report["criteria"]:
        assert set(entry) >= {"name", "subject", "verdict", "value", "unit", "pass", "fail", "worst_at", "why"}
        assert entry["verdict"] in ("pass", "warn", "fail", "inconclusive", "not_applicable")
    quantiles = {"p50", "p90", "p95", "p99", "p999", "max"}
    for op in ("save", "read", "generate"):
        told = report["operations"][op]
        keys = {"count", "errors", "rows", "bytes", "rate_per_second", "latency_seconds", "service_seconds"}
        assert set(told) >= keys
        assert set(told["latency_seconds"]) == set(told["service_seconds"]) == quantiles
    verification = report["verification"]
    assert set(verification) >= {
        *("reads_checked", "cells_checked", "writes_acknowledged", "writes_verified", "violations", "specimens"),
    }
    kinds = ("corrupt", "torn", "lost", "stale", "non_monotonic", "phantom", "fractured", "schema", "aliased")
    assert verification["violations"] == dict.fromkeys(kinds, 0)
    assert set(report["workers"]) >= {"deaths", "restarts", "recovery_seconds"}
    assert set(report["harness"]) >= {"overhead_seconds_per_operation", "saturated"}
    assert report["seed"] == 7
    in_state = json.loads(next((ran / "state/reports").glob(f"{report['run_id']}.json")).read_text())
    assert in_state["criteria"] == report["criteria"]


def test_the_other_reports_say_the_same(ran):
    report = json.loads((ran / "report.json").read_text())
    markdown = (ran / "report.md").read_text()
    cases = ET.parse(ran / "report.xml").getroot().iter("testcase")
    assert {case.get("name") for case in cases} >= {entry["name"] for entry in report["criteria"]}
    rendered = daemon.stressd("report", "report.json", cwd=ran)
    assert rendered.returncode == 0
    for entry in report["criteria"]:
        assert entry["name"] in markdown
        assert entry["name"] in rendered.stdout
    assert report["verdict"].upper() in rendered.stdout.upper()


def test_the_command_that_repeats_a_run_asks_for_the_same(ran):
    report = json.loads((ran / "report.json").read_text())
    again = shlex.split(report["run_again"])
    assert again[:2] == ["stressd", "run"]
    seed = again.index("--seed")
    assert again[seed + 1] == "7"
    validated = daemon.stressd("validate", *again[2:seed], *again[seed + 2 :], cwd=ran)
    assert validated.returncode == 0, f"{again}: {validated.stderr}"
    scenario = yaml.safe_load(validated.stdout)
    assert scenario == report["scenario"]
    assert scenario["pools"][0]["rate"] == 400


@pytest.mark.parametrize("file", ["gone.json", "wrong.yaml", "state/run.json", "state"])
def test_a_file_that_is_no_report_is_told(ran, in_process, capsys, file):
    assert in_process("report", file, cwd=ran) == 2
    assert capsys.readouterr().err.startswith(f"stressd: {file}: ")

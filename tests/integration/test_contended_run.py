"""Several processes that save to the same keys: a right store is never accused, one that loses updates is."""

import json
from pathlib import Path

import daemon
import pytest

HERE = Path(__file__).resolve().parent
LANES = 4


def soak(folder, target, *arguments, **changes):
    """Soak a store of `contending_stores`, or `embedded`; return what the command did, and the report, if any."""
    pool = {"processes": 2, "threads": 2, "rate": 200, "mix": {"save": 40, "read": 40, "read_store": 10, "scrub": 10}}
    content = {"kind": "random", "rows": 10, "columns": 2, "names": 2}
    scenario = daemon.write_scenario(
        folder, **({"content": content, "pool": pool, "keys_per_lane": 1, "contended_keys": 2} | changes)
    )
    own = ("--target", f"contending_stores:{target}", "--target-option", f"path={folder}/store.db")
    report = folder / "report.json"
    ran = daemon.stressd(
        *("run", scenario, *(own if target != "embedded" else ()), "--state", folder / "state", "--quiet"),
        *("--listen", "127.0.0.1:0", "--report", report, *arguments),
        cwd=folder,
        PYTHONPATH=f"{HERE}:{daemon.ROOT}",
    )
    return ran, json.loads(report.read_text()) if report.exists() else None


@pytest.mark.parametrize("target", ["Counted", "embedded"])
def test_a_right_store_is_not_accused_and_verify_agrees(tmp_path, target):
    ran, report = soak(tmp_path, target)
    assert not any(report["verification"]["violations"].values()), report["verification"]
    assert report["verification"]["writes_acknowledged"] > 2 * LANES
    verified = daemon.stressd("verify", "--state", tmp_path / "state", cwd=tmp_path, PYTHONPATH=f"{HERE}:{daemon.ROOT}")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"{LANES + 2} keys: {LANES + 2} right" in verified.stdout
    again, report = soak(tmp_path, target)
    assert "checking what run" in again.stderr
    assert not any(report["verification"]["violations"].values()), report["verification"]
    assert ran.returncode == again.returncode == 0


def test_updates_that_are_lost_between_processes_are_found(tmp_path):
    ran, report = soak(tmp_path, "Races", "--stop-on-violation")
    found = {kind for kind, count in report["verification"]["violations"].items() if count}
    assert ran.returncode == 3
    assert found
    assert found <= {"lost", "stale", "non_monotonic", "phantom"}
    assert "lost" in found
    assert report["verification"]["specimens"]


@pytest.mark.parametrize(
    ("target", "said"), [("Numberless", "has no read_with_commit"), ("Eventual", "claims reads=eventual")]
)
def test_a_target_whose_order_cannot_be_told_is_refused(tmp_path, target, said):
    ran, _ = soak(tmp_path, target)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "leave contended_keys out" in ran.stderr

"""What stressd itself costs an operation in a whole run: daemon, one worker, one lane, a closed loop on `noop`.

Supervision, samples, metrics, histograms, ledger and judge are included; `benchmarks/lane.py` measures the lane alone.

Run: python benchmarks/noop.py [--seconds N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MIXES = {"save": {"save": 1}, "read": {"save": 1, "read": 999}, "both": {"save": 1, "read": 3}}
MEASURED = ("save", "read", "scrub", "generate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    seconds = parser.parse_args().seconds
    for name, mix in MIXES.items():
        with tempfile.TemporaryDirectory() as folder:
            report = run(Path(folder), mix, seconds)
        rate_per_s = sum(report["operations"][op]["rate_per_second"] for op in MEASURED if op in report["operations"])
        cost_us = report["harness"]["overhead_seconds_per_operation"] * 1e6
        rate = f"{1e6 / rate_per_s:6.2f} µs an operation, {rate_per_s:9,.0f} a second"
        print(f"{name:5} {rate}; by its own report {cost_us:.2f} µs")


def run(folder: Path, mix: dict[str, float], seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    scenario = {
        "name": "noop",
        "duration_s": seconds,
        "warmup_s": 1,
        "generated_movies": 100,
        "target": {"name": "noop"},
        "pools": [{"name": "main", "mix": mix}],
    }
    file, report = folder / "noop.yaml", folder / "report.json"
    file.write_text(json.dumps(scenario))  # JSON is YAML
    command = [sys.executable, "-m", "stressd", "run", str(file), "--state", str(folder / "state")]
    options = ["--listen", "127.0.0.1:0", "--seed", "1", "--quiet", "--report", str(report)]
    subprocess.run([*command, *options], check=False, stdout=subprocess.DEVNULL, timeout=seconds + 60)
    return json.loads(report.read_text())  # type: ignore[no-any-return]  # the report's schema is the contract's


if __name__ == "__main__":
    main()

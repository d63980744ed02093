"""How stressd keeps a load: on two processes beside one, at a constant rate, and from its start to the first operation.

All on `noop`, through `stressd run`, so that nothing but stressd itself is measured. What is compared is run in turns.

Run: python benchmarks/load.py [--rounds N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from stressd.metrics import OPS
from stressd.stats.table import Table

HELP_TIMES = 7
SECONDS = 10
RATE_PER_S = 1_000
MINUTE_S = 60
MIX = {"save": 1, "read": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"stressd --help: {median(help_s() for _ in range(HELP_TIMES)):.3f} s")
    print(f"first operation: {median(first_operation_s() for _ in range(rounds)):.2f} s after the start")
    rates = {processes: [] for processes in (1, 2)}  # type: dict[int, list[float]]
    for _ in range(rounds):
        for processes, found in rates.items():
            found.append(rate_per_s(report_of({"processes": processes}, SECONDS)))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    for processes, found in rates.items():
        print(f"{processes} process(es) of one thread, closed loop: {median(found):,.0f} operations a second")
    print(f"two beside one: {median(ratios):.2f} times as many ({told})")
    report = report_of({"processes": 2, "rate": RATE_PER_S}, MINUTE_S)
    seconds = [point["operations_per_second"] for point in report["timeline"]]
    print(
        f"asked for {RATE_PER_S:,} a second over {MINUTE_S} s: {rate_per_s(report):,.2f}; single samples of a second "
        f"{min(seconds[1:]):,.1f} to {max(seconds[1:]):,.1f}; {report['harness']['operations_dropped']} dropped"
    )


def median(values: Any) -> float:
    return statistics.median(list(values))


def help_s() -> float:
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "stressd", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_s


def rate_per_s(report: dict[str, Any]) -> float:
    return sum(operation["rate_per_second"] for operation in report["operations"].values())


def command(folder: Path, pool: dict[str, Any], seconds: float) -> list[str]:
    scenario = {
        "name": "noop",
        "duration_s": seconds,
        "warmup_s": 1,
        "generated_movies": 100,
        "target": {"name": "noop"},
        "pools": [{"name": "main", "mix": MIX, **pool}],
    }
    (folder / "noop.yaml").write_text(json.dumps(scenario), encoding="utf-8")  # JSON is YAML
    run = [sys.executable, "-m", "stressd", "run", str(folder / "noop.yaml"), "--state", str(folder / "state")]
    return [*run, "--listen", "127.0.0.1:0", "--seed", "1", "--quiet", "--report", str(folder / "report.json")]


def report_of(pool: dict[str, Any], seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = command(folder, pool, seconds)
        subprocess.run(run, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds + 60)
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # the contract


def first_operation_s() -> float:
    """Return how long after its start a run has done its first operation, seen in the shared table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began_s = time.monotonic()
        with subprocess.Popen(command(folder, {}, 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while not operations(folder / "state" / "table"):
                if run.poll() is not None:
                    raise SystemExit("the run ended before its first operation")
                time.sleep(0.005)
            took_s = time.monotonic() - began_s
            run.wait(60)
    return took_s


def operations(path: Path) -> int:
    if not path.exists() or not path.stat().st_size:
        return 0
    snapshot = Table.open(str(path)).snapshot()
    return sum(snapshot.total("operations_total", op, "ok") for op in OPS)


if __name__ == "__main__":
    main()

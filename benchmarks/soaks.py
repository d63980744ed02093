"""How often the default soak says what is true: the shipped scenario on the embedded store, as it is or with one fault.

Real runs, in turns; a leak of 2 MB/s and a loss of one save are told at once and need no three minutes. Prints a line a
run, then how many of each kind ended as they have to.

Run: python benchmarks/soaks.py [--runs N] [--only KIND ...] [--at-once N]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIAR = "stressd.targets.faults:Liar"
CRITERIA = ("degradation", "memory_growth", "data_integrity")


@dataclass(frozen=True)
class Kind:
    """A soak: its length, how it has to end, and what its target does wrong."""

    seconds: int
    exit_code: int
    lie: dict[str, Any] = field(default_factory=lambda: {"lie": "none"})


KINDS = {
    "good": Kind(180, 0),
    "leaks 2 MB/s": Kind(60, 1, {"lie": "leak", "mb_per_s": 1}),  # in each of the two processes
    "slows by 25 %": Kind(180, 1, {"lie": "slow_down", "slower_by": 0.25, "over_s": 180}),
    "loses one save": Kind(40, 3, {"lie": "drop_save"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--at-once", type=int, default=1)
    given = parser.parse_args()
    right: Counter[str] = Counter()
    with ThreadPoolExecutor(given.at_once) as pool:
        for name, (code, told) in pool.map(soaked, turns(given.only, given.runs)):
            right[name] += code == KINDS[name].exit_code
            print(f"{name}: exit {code}; {told}", flush=True)
    for name in given.only:
        print(f"{name}: {right[name]} of {given.runs} ended in {KINDS[name].exit_code}")


def turns(names: list[str], runs: int) -> Iterator[tuple[str, int]]:
    for seed in range(1, runs + 1):
        for name in names:
            yield name, seed


def soaked(turn: tuple[str, int]) -> tuple[str, tuple[int, str]]:
    """Run one soak; return its kind, its exit code, and what its criteria say."""
    name, seed = turn
    kind = KINDS[name]
    lie = {"inner": "embedded", "cache_max_size": 200, "keep_versions": 8, "grace_seconds": 5, **kind.lie}
    if lie["lie"] == "drop_save":
        lie["at"] = random.Random(seed).randrange(500, 40 * kind.seconds)
    options = [word for key, value in lie.items() for word in ("--target-option", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        run = [sys.executable, "-m", "stressd", "run", "soak", "--duration", str(kind.seconds), "--seed", str(seed)]
        where = ["--state", f"{folder}/state", "--listen", "127.0.0.1:0", "--report", str(report), "--quiet"]
        command = [*run, "--target", LIAR, *options, *where]
        code = subprocess.run(command, check=False, capture_output=True, timeout=kind.seconds + 120).returncode
        return name, (code, told_by(json.loads(report.read_text(encoding="utf-8"))))


def told_by(report: dict[str, Any]) -> str:
    criteria = {each["name"]: each for each in report["criteria"]}
    told = [f"{name} {_shown(criteria[name])}" for name in CRITERIA]
    others = [name for name, each in criteria.items() if name not in CRITERIA and each["verdict"] != "pass"]
    return ", ".join([*told, *others])


def _shown(criterion: dict[str, Any]) -> str:
    values = [criterion[key] for key in ("value", "low", "high") if criterion.get(key) is not None]
    return f"{criterion['verdict']} ({' '.join(f'{value:.1f}' for value in values)})"


if __name__ == "__main__":
    main()

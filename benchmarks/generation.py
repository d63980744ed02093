"""How many movies' features a second one core makes, and how much memory a process needs for a thousand.

    python benchmarks/generation.py [--movies FILE] [--json FILE]

Movies are repeated up to each count. A rate is that of the fastest of several passes, which is what the code
can do; the median says what a busy machine made of it. Memory is VmHWM of a fresh process that does nothing
else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from featurestore.movies import AdvancedTMDBPreProcessor, generate_movies, load_movies

COUNTS = {1_000: 40, 5_000: 20, 100_000: 4}
"""How many movies, and how many passes."""

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
REAL_MOVIES = os.path.join(ROOT, "../shared/data/tmdb_movies.csv")
SEED = 1

FRESH_PROCESS = """
import sys
from featurestore.movies import AdvancedTMDBPreProcessor, generate_movies, load_movies
movies = load_movies(sys.argv[1]).movies[:1000] if sys.argv[1] else generate_movies(1000, 1)
features = AdvancedTMDBPreProcessor(movies).extract_all_features()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def main() -> None:
    options = _options()
    movies = load_movies(options.movies).movies if options.movies else generate_movies(5_000, SEED)
    results = {
        "movies": os.path.basename(options.movies) if options.movies else f"generated, seed {SEED}",
        "environment": _environment(),
        "rates": [_rate(movies, count, passes) for count, passes in COUNTS.items()],
        "memory_1000_movies_mb": _memory_mb(options.movies),
    }
    _print(results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = REAL_MOVIES if os.path.exists(REAL_MOVIES) else ""
    parser.add_argument("--movies", default=default, help="CSV or JSON Lines; '' generates them")
    parser.add_argument("--json", help="write the results to this file too")
    return parser.parse_args()


def _rate(movies: list[dict[str, Any]], count: int, passes: int) -> dict[str, float]:
    batch = (movies * (count // len(movies) + 1))[:count]
    AdvancedTMDBPreProcessor(batch[:1_000]).extract_all_features()
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        AdvancedTMDBPreProcessor(batch).extract_all_features()
        seconds.append(time.perf_counter() - begin)
    return {
        "movies": count,
        "best_per_s": round(count / min(seconds)),
        "median_per_s": round(count / statistics.median(seconds)),
        "best_ms": round(min(seconds) * 1e3, 2),
    }


def _memory_mb(path: str) -> float:
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", FRESH_PROCESS, path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return round(int(done.stdout) * 1024 / 1e6, 1)


def _environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "pyarrow": pa.__version__,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def _print(results: dict[str, Any]) -> None:
    print(
        f"movies: {results['movies']}; "
        + ", ".join(f"{name} {it}" for name, it in results["environment"].items())
    )
    print(f"{'movies':>9} {'best/s':>10} {'median/s':>10} {'best ms':>10}")
    for rate in results["rates"]:
        print("{movies:>9,} {best_per_s:>10,} {median_per_s:>10,} {best_ms:>10,}".format(**rate))
    print(f"peak memory of a fresh process, 1,000 movies: {results['memory_1000_movies_mb']} MB")


if __name__ == "__main__":
    main()

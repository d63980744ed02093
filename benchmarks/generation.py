"""How many movies' features a second one core makes, and how much memory it needs: for a thousand, and for a million.

    python benchmarks/generation.py [--movies FILE] [--json FILE] [--stream COUNT]

Movies are repeated up to each count. A rate is that of the fastest of several passes, which is what the code
can do; the median says what a busy machine made of it. Memory is VmHWM of a fresh process that does nothing
else. The streamed million is made in chunks of 10,000 of which none is kept, after a first pass over all movies
for the statistical table; its rate counts both passes, in seconds of one core's time and of the clock.
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

STREAM = """
import itertools, json, sys, time
from featurestore.movies import generate_movies, iter_features, load_movies
base = load_movies(sys.argv[1]).movies if sys.argv[1] else generate_movies(5_000, 1)
count = int(sys.argv[2])

class Repeated:
    def __iter__(self):
        return itertools.islice(itertools.cycle(base), count)

begin, begin_cpu = time.perf_counter(), time.process_time()
rows = augmented = 0
for chunk in iter_features(Repeated()):
    rows += len(chunk["basic"])
    augmented += len(chunk["augmented"])
assert rows == count, rows
seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({
    "movies": count, "augmented_rows": augmented, "per_s": round(count / seconds),
    "per_core_s": round(count / cpu_seconds), "peak_memory_mb": round(peak * 1024 / 1e6, 1),
}))
"""


def main() -> None:
    options = _options()
    movies = load_movies(options.movies).movies if options.movies else generate_movies(5_000, SEED)
    results = {
        "movies": os.path.basename(options.movies) if options.movies else f"generated, seed {SEED}",
        "environment": _environment(),
        "rates": [_rate(movies, count, passes) for count, passes in COUNTS.items()],
        "memory_1000_movies_mb": float(_fresh_process(FRESH_PROCESS, options.movies)) * 1024 / 1e6,
        "stream": json.loads(_fresh_process(STREAM, options.movies, str(options.stream))),
    }
    _print(results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = REAL_MOVIES if os.path.exists(REAL_MOVIES) else ""
    parser.add_argument("--movies", default=default, help="CSV or JSON Lines; '' generates them")
    parser.add_argument("--stream", type=int, default=1_000_000, metavar="COUNT", help="movies to stream (a million)")
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


def _fresh_process(program: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout


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
    print(f"movies: {results['movies']}; " + ", ".join(f"{name} {it}" for name, it in results["environment"].items()))
    print(f"{'movies':>9} {'best/s':>10} {'median/s':>10} {'best ms':>10}")
    for rate in results["rates"]:
        print("{movies:>9,} {best_per_s:>10,} {median_per_s:>10,} {best_ms:>10,}".format(**rate))
    print(f"peak memory of a fresh process, 1,000 movies: {results['memory_1000_movies_mb']:.1f} MB")
    print(
        "streamed in a fresh process: {movies:,} movies, {per_s:,}/s ({per_core_s:,} a second of processor time), "
        "{augmented_rows:,} augmented rows, peak memory {peak_memory_mb} MB".format(**results["stream"])
    )


if __name__ == "__main__":
    main()

"""How many movies' features a second one core makes, beside one movie at a time, and how much memory a million needs.

Movies are repeated up to each count; all rates are per second of processor time. The streamed million is made in a
fresh process, in chunks of which none is kept, after a first pass over all movies for the statistical table, and its
rate counts both. Memory is VmHWM of that process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

import pandas as pd
from rounds import Call, Taken, interleaved

from featurestore.movies import AdvancedTMDBPreProcessor, generate_movies, load_movies

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REAL_MOVIES = os.path.join(ROOT, "../shared/data/tmdb_movies.csv")
REFERENCE = os.path.join(ROOT, "tests/featurestore/test_movies_reference.py")
COUNTS = (1_000, 10_000, 100_000)
REFERENCE_COUNTS = (1_000,)
STREAMED = 1_000_000
SEED = 1
DEADLINE_S = 600

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
    "movies": count, "augmented_rows": augmented, "seconds": seconds, "processor_seconds": cpu_seconds,
    "peak_memory_mb": peak * 1024 / 1e6,
}))
"""


def movies_file() -> str:
    """Return the real movies where they lie beside the project, "" elsewhere: then they are generated."""
    return REAL_MOVIES if os.path.exists(REAL_MOVIES) else ""


def rates(rounds: int) -> dict[str, Taken]:
    """Time features of each count of movies, and of the smallest one by the reference."""
    file = movies_file()
    movies = load_movies(file).movies if file else generate_movies(5_000, SEED)
    reference = _reference()
    calls: dict[str, Call] = {}
    for count in COUNTS:
        batch = (movies * (count // len(movies) + 1))[:count]
        calls[f"{count}"] = Call(partial(_features, batch), clock=time.process_time_ns)
        if count in REFERENCE_COUNTS:
            calls[f"{count} by row"] = Call(partial(_features_by_row, reference, batch), clock=time.process_time_ns)
    return interleaved(calls, rounds)


def streamed(count: int = STREAMED) -> dict[str, float]:
    """Stream so many movies in a fresh process."""
    command = [sys.executable, "-c", STREAM, movies_file(), str(count)]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S)
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is what STREAM prints


def _features(movies: list[dict[str, Any]]) -> None:
    AdvancedTMDBPreProcessor(movies).extract_all_features()


def _features_by_row(reference: Any, movies: list[dict[str, Any]]) -> None:
    for rows in reference.reference(movies, SEED).values():
        pd.DataFrame(rows)


def _reference() -> Any:
    """Return the second implementation, against which the tests hold ours cell by cell."""
    spec = importlib.util.spec_from_file_location("movies_reference", REFERENCE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{REFERENCE} cannot be imported; run this in a checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

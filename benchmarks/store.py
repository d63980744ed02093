"""The store beside pandas' own Parquet: saves and reads, interleaved in one run, medians and ratios.

    python benchmarks/store.py [--rounds 30] [--folder DIR] [--json FILE]

Machines differ and drift: only the ratios within one run mean anything. "cold" reads go round the store's cache
(the operating system's stays warm, for both sides), and verify the file's checksum, which pandas does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from featurestore import FeatureStoreConfig, SimpleFeatureStore

GOALS = {"save relaxed": (0.38, 0.70), "save commit": (0.50, None), "read cold": (0.55, 0.45)}


def numbers(rows: int, columns: int) -> pd.DataFrame:
    values = np.random.default_rng(7).random((rows, columns))
    return pd.DataFrame(values, columns=[f"feature_{i}" for i in range(columns)])


def movie_like(rows: int, columns: int) -> pd.DataFrame:
    """Floats, small integers, flags and texts in turn, as features of movies are."""
    rng = np.random.default_rng(7)
    kinds: list[Callable[[], object]] = [
        lambda: rng.random(rows),
        lambda: rng.integers(1950, 2026, rows),
        lambda: rng.random(rows) < 0.1,
        lambda: [f"tier {i}" for i in rng.integers(0, 5, rows)],
    ]
    return pd.DataFrame({f"feature_{i}": kinds[i % 4]() for i in range(columns)})


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each call; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(taken[2:]) for name, taken in times.items()}


def open_store(folder: str, name: str, **settings: Any) -> SimpleFeatureStore:
    """Open a store that keeps eight commits, however young: collecting the others is part of the price."""
    return SimpleFeatureStore(FeatureStoreConfig(os.path.join(folder, name), grace_seconds=0, **settings))


def one_frame(folder: str, frame: pd.DataFrame, rounds: int) -> dict[str, float]:
    """Medians for a frame saved and read alone. The cached read is the mean of ten in a row."""
    relaxed = open_store(folder, "relaxed", durability="relaxed")
    durable = open_store(folder, "commit", durability="commit")
    arrow = open_store(folder, "arrow", durability="relaxed", format="arrow")
    file = os.path.join(folder, "pandas.parquet")
    taken = medians(
        {
            "to_parquet": lambda: frame.to_parquet(file),
            "save relaxed": lambda: relaxed.save_features("g", {"f": frame}),
            "save commit": lambda: durable.save_features("g", {"f": frame}),
            "save arrow": lambda: arrow.save_features("g", {"f": frame}),
            "read_parquet": lambda: pd.read_parquet(file),
            "read cold": lambda: relaxed.read("g", ["f"], use_cache=False),
            "read arrow": lambda: arrow.read("g", ["f"], use_cache=False),
            "read fill": lambda: relaxed.read("g", ["f"]),
            "read cached": lambda: [relaxed.read("g", ["f"]) for _ in range(10)],
        },
        rounds,
    )
    return taken | {"read cached": taken["read cached"] / 10}


def six_frames(folder: str, rounds: int) -> dict[str, float]:
    """Medians for six small frames of mixed columns, saved as one commit and read as one snapshot."""
    frames = {f"f{i}": movie_like(500, 20 + 4 * i) for i in range(6)}
    names = list(frames)
    relaxed = open_store(folder, "six relaxed", durability="relaxed")
    durable = open_store(folder, "six commit", durability="commit")
    return medians(
        {
            "to_parquet": lambda: [frame.to_parquet(os.path.join(folder, name)) for name, frame in frames.items()],
            "save relaxed": lambda: relaxed.save_features("g", frames),
            "save commit": lambda: durable.save_features("g", frames),
            "read_parquet": lambda: [pd.read_parquet(os.path.join(folder, name)) for name in names],
            "read cold": lambda: relaxed.read("g", names, use_cache=False),
        },
        rounds,
    )


def show(title: str, taken: dict[str, float], column: int | None) -> None:
    print(f"\n{title}")
    for name, ms in taken.items():
        peer = "to_parquet" if name.startswith("save") else "read_parquet"
        goal = GOALS.get(name, (None, None))[column] if column is not None else None
        ratio = "" if name == peer or name.startswith("to_") else f"{ms / taken[peer]:7.2f}×"
        print(f"  {name:14} {ms:9.3f} ms {ratio:>9}{f'   goal ≤ {goal:.2f}×' if goal else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", help="a folder on the disk to measure (default: the temporary one)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(dir=options.folder)
    try:
        results = {
            "10,000 × 30 float64": one_frame(f"{folder}/large", numbers(10_000, 30), options.rounds),
            "1,000 × 10 float64": one_frame(f"{folder}/small", numbers(1_000, 10), options.rounds),
            "six frames of 500 rows, 20–40 mixed columns": six_frames(folder, options.rounds),
        }
    finally:
        shutil.rmtree(folder)
    for column, (title, taken) in zip((0, 1, None), results.items(), strict=True):
        show(title, taken, column)
    if options.json:
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        versions = {"pandas": pd.__version__, "pyarrow": pa.__version__, "numpy": np.__version__}
        document = {"unit": "ms", "rounds": options.rounds, "machine": machine | versions, "medians": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""The store and the feature generator beside their peers: every figure of docs/performance.md, in one run.

    python benchmarks/report.py [--rounds 30] [--only save ...] [--folder DIR] [--json FILE] [--page FILE]
    python benchmarks/report.py --from FILE --page docs/performance.md     the page of a run that was saved

Ours and the peer take turns; machines differ and drift, so only the ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import generation
import machine
import overwrites
import page
import peers
import store
from goals import ROWS, Figure, Row, verdict
from rounds import Taken

SCHEMA = "featurestore.benchmark/1"
Figures = Iterator[tuple[str, Figure]]


def main() -> None:
    options = _options()
    run = json.loads(options.saved.read_text()) if options.saved else measured(options)
    print(page.table(run))
    if options.json:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    if options.page:
        options.page.write_text(page.rendered(run))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each call is made (30)")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=SECTIONS, help="some sections alone")
    parser.add_argument("--folder", help="a folder on the disk to measure (the temporary one)")
    parser.add_argument("--json", type=Path, help="write the run to this file")
    parser.add_argument("--page", type=Path, help="write the page of the run to this file")
    parser.add_argument("--from", type=Path, dest="saved", help="take a saved run instead of measuring")
    return parser.parse_args()


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Return a run: machine, and the figure and verdict of every row that was asked for."""
    folder = tempfile.mkdtemp(dir=options.folder)
    about = machine.described(folder)
    figures: dict[str, Figure] = {}
    try:
        for name in options.only:
            print(f"measuring: {name}", file=sys.stderr)
            with store.own_folder(folder, name) as at:
                figures |= dict(SECTIONS[name](at, options.rounds))
    finally:
        shutil.rmtree(folder)
    rows = [_row(row, figures[row.key]) for row in ROWS if row.key in figures]
    return {"schema": SCHEMA, "rounds": options.rounds, "machine": about, "rows": rows}


def _row(row: Row, figure: Figure) -> dict[str, Any]:
    return {"key": row.key, **asdict(figure), "ratio": figure.ratio, "verdict": verdict(row, figure)}


def _generation(_folder: str, rounds: int) -> Figures:
    taken = generation.rates(max(rounds // 3, 3))
    for count in generation.COUNTS:
        peer = taken.get(f"{count} by row")
        ours = taken[f"{count}"]
        yield (
            f"movies {count}",
            Figure(
                count / ours.median_s,
                count / peer.median_s if peer else None,
                ours.spread,
                {"best_per_s": count / min(ours.seconds), "us_per_movie": 1e6 * ours.median_s / count},
            ),
        )
    streamed = generation.streamed()
    facts = {**streamed, "us_per_movie": 1e6 * streamed["processor_seconds"] / streamed["movies"]}
    yield "movies streamed", Figure(streamed["movies"] / streamed["processor_seconds"], facts=facts)
    yield "memory streamed", Figure(streamed["peak_memory_mb"])


def _one_frame(size: str, rows: int, columns: int) -> Callable[[str, int], Figures]:
    def figures(folder: str, rounds: int) -> Figures:
        taken = store.one_frame(folder, store.numbers(rows, columns), rounds)
        for durability in ("relaxed", "commit"):
            save = taken[f"save, {durability}"]
            facts = {"encode_share": taken["encode"].median_s / save.median_s}
            yield f"save {size} {durability}", _beside(save, taken["to_parquet"], facts)
        yield f"read {size}", _beside(taken["read, cold"], taken["read_parquet"])
        if size == "large":
            cached = taken["read, cached"]
            yield "read cached", _beside(cached, taken["deep copy"], unit=1e6)
            yield "cached to cold", _beside(cached, taken["read, cold"], unit=1e6)

    return figures


def _six(folder: str, rounds: int) -> Figures:
    taken = store.six_frames(folder, rounds)
    for durability in ("relaxed", "commit"):
        yield f"save six {durability}", _beside(taken[f"save, {durability}"], taken["to_parquet"])
    yield "read six", _beside(taken["read, cold"], taken["read_parquet"])


def _own(folder: str, rounds: int) -> Figures:
    for durability in ("relaxed", "commit"):
        cost = store.own_cost(os.path.join(folder, durability), rounds, durable=durability == "commit")
        yield f"own {durability}", Figure(1e3 * cost["own"], facts={f"{name}_ms": 1e3 * s for name, s in cost.items()})


def _large(folder: str, rounds: int) -> Figures:
    found = store.large_frames(folder, max(rounds // 4, 5))
    size_mb, taken = found["bytes"] / 1e6, found["taken"]
    for durability in ("relaxed", "commit"):
        ours, raw = taken[f"save, {durability}"], taken[f"raw, {durability}"]
        yield f"large {durability}", Figure(size_mb / ours.median_s, size_mb / raw.median_s, ours.spread)


def _commits(folder: str, rounds: int) -> Figures:
    taken = overwrites.one_row_commits(folder, rounds)
    for peer in ("Delta", "Lance"):
        if peer in taken:
            facts = {"commit_ms": 1e3 * taken["ours, commit"].median_s}
            yield f"one row {peer}", _beside(taken["ours, relaxed"], taken[peer], facts)


def _overwrites(folder: str, _rounds: int) -> Figures:
    ours = overwrites.concurrent(folder, "ours, commit", overwrites.FEW)
    for peer in ("Delta", "Lance"):
        if peer in peers.installed():
            theirs = overwrites.concurrent(folder, peer, overwrites.FEW)
            yield f"overwrites {peer}", Figure(ours["failed"], theirs["failed"], facts={"first": theirs["first"]})
    many = overwrites.concurrent(folder, "ours, commit", overwrites.MANY)
    yield "overwrites many", Figure(many["failed"], facts=many)


def _groups(folder: str, rounds: int) -> Figures:
    taken = store.group_sizes(folder, rounds)
    few, *more = store.GROUP_SIZES
    for size in more:
        yield f"group {size}", _beside(taken[f"{size:,} names, relaxed"], taken[f"{few:,} names, relaxed"])


def _beside(ours: Taken, peer: Taken, facts: dict[str, Any] | None = None, unit: float = 1e3) -> Figure:
    return Figure(unit * ours.median_s, unit * peer.median_s, max(ours.spread, peer.spread), facts)


SECTIONS: dict[str, Callable[[str, int], Figures]] = {
    "own": _own,  # first: removed files make new ones slower on some file systems
    "save": _one_frame("large", 10_000, 30),
    "small": _one_frame("small", 1_000, 10),
    "six": _six,
    "large": _large,
    "commits": _commits,
    "overwrites": _overwrites,
    "groups": _groups,
    "generation": _generation,
}


if __name__ == "__main__":
    main()

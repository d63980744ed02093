"""How long a scrape takes: 64 lanes in three pools, every cell in use, in a real table file.

Run: python benchmarks/scrape.py [--scrapes N]
"""

import argparse
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from stressd.criteria import CRITERIA
from stressd.observe.collector import Exporter, Format
from stressd.observe.derived import LaneInfo
from stressd.observe.node_metrics import NodeMetrics
from stressd.stats.table import Table, column

POOLS = {"ingest": (2, 8), "serving": (4, 8), "audit": (1, 16)}  # processes, threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=200)
    scrapes = parser.parse_args().scrapes
    with tempfile.TemporaryDirectory() as folder:
        exporter = busy_exporter(Path(folder) / "table")
        text = exporter.render(Format.TEXT)
        samples = sum(not line.startswith(b"#") for line in text.splitlines())
        print(f"{samples} samples of 64 lanes, {len(text) / 1e3:.0f} kB")
        for form in Format:
            report(f"/metrics as {form.name.lower()}", partial(exporter.render, form), scrapes)
        report("gzip of it, level 6", partial(gzip.compress, text, 6), scrapes)


def busy_exporter(path: Path) -> Exporter:
    lanes = [
        LaneInfo(pool, process, 0)
        for pool, (processes, threads) in POOLS.items()
        for process in range(processes)
        for _ in range(threads)
    ]
    lanes = [LaneInfo(lane.pool, lane.worker, row) for row, lane in enumerate(lanes)]
    table = Table.create(str(path), len(lanes))
    random = np.random.default_rng(1)
    for lane in lanes:
        row = table.row(lane.row)
        for at, value in enumerate(random.integers(0, 1_000_000, len(row)).tolist()):
            row[at] = value
        row[column("inflight")] = lane.row % 5
    node = NodeMetrics(
        pools={pool: processes for pool, (processes, _) in POOLS.items()},
        criteria=[criterion.name for criterion in CRITERIA],
        info=dict.fromkeys(("version", "python", "commit", "run_id", "scenario", "target", "hash"), "x"),
    )
    return Exporter(table, lanes, node)


def report(what: str, call: Callable[[], object], times: int) -> None:
    took_ms = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        took_ms.append((time.perf_counter() - started) * 1e3)
    took_ms.sort()
    p99_ms = took_ms[int(0.99 * (times - 1))]
    middle_ms, worst_ms = statistics.median(took_ms), took_ms[-1]
    print(f"{what:24} median {middle_ms:6.2f} ms   p99 {p99_ms:6.2f} ms   worst {worst_ms:6.2f} ms")


if __name__ == "__main__":
    main()

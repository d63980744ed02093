"""How long a scrape takes: 64 lanes in three pools, every cell in use, before and after workers were replaced.

Beside it, in turns and in the same run: prometheus_client's multiprocess mode with the same series, whose every dead
process leaves files that each later scrape reads.

Run: python benchmarks/scrape.py [--scrapes N] [--generations 0 1000]
"""

import argparse
import gzip
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from stressd.criteria import CRITERIA
from stressd.metrics import METRICS, Metric
from stressd.observe.collector import Exporter, Format
from stressd.observe.derived import LaneInfo
from stressd.observe.node_metrics import NodeMetrics
from stressd.stats.histogram import LADDER_S
from stressd.stats.table import Table, column

LANE_METRICS = tuple(
    metric
    for metric in METRICS
    if metric.home == "lane" and metric.exported and metric.kind in ("counter", "histogram")
)
POOLS = {"ingest": (2, 8), "serving": (4, 8), "audit": (1, 16)}  # processes, threads


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scrapes", type=int, default=200)
    parser.add_argument("--generations", type=int, nargs="+", default=[0, 1000], help="worker processes replaced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, peer = Path(folder) / "table", Path(folder) / "multiprocess"
        exporter = busy_exporter(path)
        peer.mkdir()
        in_processes(sum(processes for processes, _ in POOLS.values()), partial(count_as_the_client_does, peer))
        text = exporter.render(Format.TEXT)
        print(f"{samples(text)} samples of 64 lanes, {len(text) / 1e3:.0f} kB")
        for form in Format:
            report(f"/metrics as {form.name.lower()}", partial(exporter.render, form), options.scrapes)
        report("gzip of it, level 6", partial(gzip.compress, text, 6), options.scrapes)
        done = 0
        for generations in sorted(options.generations):
            in_processes(generations - done, partial(count_in_a_row, path))
            in_processes(generations - done, partial(count_as_the_client_does, peer))
            done = generations
            beside_each_other(f"after {generations:,} restarts", exporter, peer, options.scrapes)


def beside_each_other(when: str, exporter: Exporter, peer: Path, scrapes: int) -> None:
    """Time both in turns, the peer at most ten times: it may take seconds."""
    ours_ms, theirs_ms, theirs = [], [], b""
    for turn in range(scrapes):
        ours_ms.append(timed_ms(partial(exporter.render, Format.TEXT))[0])
        if turn % max(1, scrapes // 10) == 0:
            took_ms, theirs = timed_ms(partial(client_scrape, peer))
            theirs_ms.append(took_ms)
    ours, other = statistics.median(ours_ms), statistics.median(theirs_ms)
    files = len(list(peer.iterdir()))
    print(
        f"{when:24} median {ours:6.2f} ms   prometheus_client, multiprocess: median {other:8.2f} ms "
        f"({other / ours:.0f} times), {samples(theirs)} samples from {files:,} files"
    )


def samples(text: bytes) -> int:
    return sum(not line.startswith(b"#") for line in text.splitlines())


def timed_ms(call: Callable[[], bytes]) -> tuple[float, bytes]:
    started = time.perf_counter()
    result = call()
    return (time.perf_counter() - started) * 1e3, result


def client_scrape(peer: Path) -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(peer))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def in_processes(count: int, work: Callable[[], None]) -> None:
    """Do it in real processes that live and die, one after the other."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the top of a process
                traceback.print_exc()
                os._exit(1)
        if os.waitpid(pid, 0)[1]:
            raise SystemExit("a process of the benchmark failed")


def count_in_a_row(path: Path) -> None:
    """Do what a replaced worker does: go on with the cells that its predecessor left."""
    row = Table.open(str(path)).row(0)
    for metric in LANE_METRICS:
        for closed in metric.series:
            row[column(metric.name, *closed)] += 1


def count_as_the_client_does(peer: Path) -> None:
    """Use every series of the lanes' metrics once, as a worker with the client library would."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(peer)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call] # what it takes with the variable set
    for metric in LANE_METRICS:
        pools = list(POOLS) if "pool" in metric.labels else [None]
        for pool in pools:
            for closed in metric.series:
                labels = [*closed, *([pool] if pool is not None else [])]
                made = client_metric(metric)
                child = made.labels(*labels) if labels else made
                child.observe(0.001) if metric.kind == "histogram" else child.inc()


@cache
def client_metric(metric: Metric) -> Any:
    if metric.kind == "histogram":
        return Histogram(metric.full_name, metric.help, metric.labels, buckets=LADDER_S, registry=None)
    return Counter(metric.full_name, metric.help, metric.labels, registry=None)


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

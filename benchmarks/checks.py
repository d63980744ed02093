"""What checking costs in the default soak's own mix: a lane on the embedded store, one thread, a megabyte a save.

Prints what the target took by operation and source, what each check took an operation, and their share. Making the
content of saves is told beside it: it is no check.

Run: python benchmarks/checks.py [--operations N]
"""

import argparse
import itertools
import random
import socket
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from featurestore.movies import generate_movies
from stressd.metrics import CHECKS, CLASSES
from stressd.scenario import Scenario
from stressd.scenario_file import load, resolve
from stressd.stats.table import Snapshot, Table
from stressd.targets.embedded import EmbeddedTarget
from stressd.targets.protocol import Guarantees
from stressd.worker.batches import Batches
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane, LaneParts
from stressd.worker.recollection import Recollection
from stressd.worker.trace import Trace
from stressd.workload.frames import MovieContent
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import MovieTables, build_base

AS_OF = date(2026, 1, 1)
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=2_000)
    operations = parser.parse_args().operations
    scenario = resolve(load("soak"))
    with tempfile.TemporaryDirectory() as folder:
        table = Table.create(f"{folder}/table", 1)
        lane = soak_lane(Path(folder), scenario, table)
        for key in lane.parts.own_keys:
            lane.save(key)
        run(lane, scenario, operations // 10)  # everything is imported, the store has its lasting size
        before = table.snapshot()
        run(lane, scenario, operations)
        report(table.snapshot() - before)


def soak_lane(folder: Path, scenario: Scenario, table: Table) -> Lane:
    build_base(generate_movies(scenario.generated_movies, SEED), AS_OF, str(folder / "content"))
    tables = MovieTables(str(folder / "content"))
    content = MovieContent(tables, scenario.content, SEED)
    keys = range(scenario.lanes * scenario.keys_per_lane)
    ledger = Ledger.create(str(folder / "ledger"), len(keys), run_id="benchmark", boot_id="")
    target = EmbeddedTarget(str(folder / "store"), **scenario.target.options)
    target.setup()
    return Lane(
        LaneParts(
            number=0,
            row=table.row(0),
            control=table.control,
            session=target.open(),
            names=content.names,
            group_prefix="b-",
            content=content,
            batches=Batches(tables, scenario.generate_batch, 0, AS_OF),
            ledger=ledger,
            judge=Judge(ledger, content, Guarantees(), owned=keys),
            recollection=Recollection(float("inf")),
            trace=Trace(Channel(socket.socketpair()[0]), str(folder / "specimens")),
            own_keys=keys,
            process_keys=keys,
            cache_every=scenario.verification.cache_every,
            scribble_every=scenario.verification.scribble_every,
            late_writes=False,
            seed=SEED,
        )
    )


def run(lane: Lane, scenario: Scenario, operations: int) -> None:
    """Run so many operations of the soak's mix, one after the other, on keys that are all saved."""
    keys, (pool,), draw = list(lane.parts.own_keys), scenario.pools, random.Random(SEED)
    save_next = itertools.cycle(keys).__next__
    do: dict[str, Callable[[], object]] = {
        "generate": lane.generate,
        "save": lambda: lane.save(save_next()),
        "read": lambda: lane.read(draw.choice(keys)),
        "read_store": lambda: lane.read(draw.choice(keys), bypass=True),
        "scrub": lambda: lane.scrub(draw.choice(keys)),
    }
    for op in draw.choices(list(do), [getattr(pool.mix, op) for op in do], k=operations):
        do[op]()


def report(counted: Snapshot) -> None:
    target_ns = total = 0
    for op, source in CLASSES:
        count = int(counted.histogram("operation_service_seconds", op, source).sum())
        took_ns = counted.sum_ns("operation_service_seconds", op, source)
        target_ns, total = target_ns + took_ns, total + count
        if count:
            print(f"{op:8} {source:6} {count:6,} × {took_ns / count / 1e3:9,.0f} µs")
    checks_ns = {check: counted.total("verification_seconds_total", check) for check in CHECKS}
    content_ns = counted.total("content_ns")
    told = {**checks_ns, "all checks": sum(checks_ns.values()), "content (no check)": content_ns}
    for what, took_ns in told.items():
        print(
            f"{what:20} {took_ns / total / 1e3:8,.1f} µs an operation: {took_ns / target_ns:6.2%} of the target's time"
        )


if __name__ == "__main__":
    main()

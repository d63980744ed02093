"""What stressd itself costs an operation: a lane on the `noop` target, one thread, ledger, judge and record included.

Run: python benchmarks/lane.py [--operations N]
"""

import argparse
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stressd.pools import Mix, Pool
from stressd.stats.table import Control, Table
from stressd.targets.noop import NoopTarget
from stressd.targets.protocol import Guarantees
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane, LaneParts
from stressd.worker.loop import Course, Loop
from stressd.worker.recollection import Recollection
from stressd.worker.trace import Trace
from stressd.workload.distribution import KeySpace, key_stream
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger
from stressd.workload.operation import Draws, SaveKeys
from stressd.workload.plan import plan_of

KEYS = 8
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    operations = parser.parse_args().operations
    with tempfile.TemporaryDirectory() as folder:
        lane = noop_lane(Path(folder))
        report("save", lambda: saves(lane, operations), operations)
        report("read", lambda: reads(lane, operations), operations)
        for op in ("save", "read"):
            report(f"{op}, by the loop", looping(lane, Mix(**{op: 1}), operations), operations)


def noop_lane(folder: Path) -> Lane:
    table = Table.create(str(folder / "table"), 1)
    ledger = Ledger.create(str(folder / "ledger"), KEYS, run_id="benchmark", boot_id="")
    trace = Trace(Channel(socket.socketpair()[0]), str(folder))
    return Lane(
        LaneParts(
            number=0,
            row=table.row(0),
            control=table.control,
            session=NoopTarget().open(),
            names=(),
            group_prefix="b-",
            content=None,
            batches=None,  # type: ignore[arg-type]  # nothing is generated
            ledger=ledger,
            judge=Judge(ledger, None, Guarantees(), owned=range(KEYS)),
            recollection=Recollection(float("inf")),
            trace=trace,
            own_keys=range(KEYS),
            process_keys=range(KEYS),
            cache_every=16,
            scribble_every=16,
            late_writes=False,
            seed=1,
        )
    )


def saves(lane: Lane, operations: int) -> None:
    for number in range(operations):
        lane.save(number % KEYS)


def reads(lane: Lane, operations: int) -> None:
    for number in range(operations):
        lane.read(number % KEYS)


def looping(lane: Lane, mix: Mix, operations: int) -> Callable[[], None]:
    """Return a call of the lane's whole loop, draws and drain included, that ends after so many operations."""
    ledger, control = lane.parts.ledger, lane.parts.control
    pool = Pool(name="bench", mix=mix)
    course = Course(plan_of(pool), lambda plan: plan.pacer(1))
    keys = key_stream(pool.keys, KeySpace([lane.parts.own_keys], 1, ledger.acked), 1, 0, 1)
    draws = Draws(keys, 1, 0)
    operation = draws.operation(0, mix)
    left = 0

    def counted() -> object:
        nonlocal left
        left -= 1
        if left <= 0:
            control[Control.DRAIN] = 1
        return operation()

    draws.operation = lambda _number, _mix: counted  # type: ignore[method-assign]  # the same, and it ends the load

    def run() -> None:
        nonlocal left
        left = operations
        control[Control.DRAIN], control[Control.LOAD_START_NS] = 0, 1
        save_keys = SaveKeys((key, ledger.acked(key)) for key in lane.parts.own_keys)
        Loop(lane, course, draws, save_keys, 0, None).run()

    return run


def report(what: str, call: Callable[[], None], operations: int) -> None:
    took_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        call()
        took_s.append(time.perf_counter() - began_s)
    took_us = sorted(1e6 * one_s / operations for one_s in took_s)
    print(f"{what:20} best {took_us[0]:6.2f} µs   median {took_us[len(took_us) // 2]:6.2f} µs an operation")


if __name__ == "__main__":
    main()

"""A lane's thread: for each intended start, the next operation, until the drain; then a last look at its keys.

Open model: intended start `k` of this process is `start + pacer.offset_ns(k)`; its lanes take the next `k` from a
shared counter, so that a slow operation delays no one while a lane is free. A start that runs late is counted and
its wait charged; one that is later than `max_late_s` is dropped, counted, and its wait charged too. Closed model: one
operation after the other, with think time between.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from stressd.scenario import Pool
from stressd.stats.table import Control
from stressd.worker import cells
from stressd.worker.lane import Lane
from stressd.workload.operation import Draws, Op, SaveKeys
from stressd.workload.pacer import Pacer

LONGEST_SLEEP_S: Final = 0.1
LATE_NS: Final = 10_000_000
_METRIC: Final = {Op.GENERATE: "generate", Op.SAVE: "save", Op.READ: "read", Op.READ_STORE: "read", Op.SCRUB: "scrub"}


class Starts:
    """The intended starts of one process, handed out to its lanes. Any of its threads may take the next."""

    def __init__(self, pacer: Pacer, start_ns: int, first: int) -> None:
        self._pacer = pacer
        self._start_ns = start_ns
        self._numbers = itertools.count(first)

    def take(self) -> tuple[int, int]:
        """Return the next start's number and when it is due, in CLOCK_MONOTONIC nanoseconds."""
        number = next(self._numbers)
        return number, self._start_ns + self._pacer.offset_ns(number)


class Loop:
    """What one lane does from the start of the load to its end."""

    def __init__(
        self, lane: Lane, pool: Pool, draws: Draws, save_keys: SaveKeys, starts: Callable[[], Starts] | None
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._draws = draws
        self._save_keys = save_keys
        self._starts = starts
        self._row = lane.parts.row
        self._control = lane.parts.control
        self._do: dict[Op, Callable[[int], object]] = {
            Op.GENERATE: lane.generate,
            Op.SAVE: self._save,
            Op.READ: self._read,
            Op.READ_STORE: self._read_store,
            Op.SCRUB: self._scrub,
        }

    def run(self) -> None:
        """Work until the drain, then read every key of this lane once more, round the cache."""
        if not self._wait_for_load():
            return
        for late_ns in self._due():
            began = time.monotonic_ns()
            self._do[self._draws.operation()](late_ns)
            ended = time.monotonic_ns()
            self._row[cells.BUSY_NS] += ended - began
            self._row[cells.HEARTBEAT] = ended
        for key in self._lane.parts.own_keys:
            self._row[cells.HEARTBEAT] = time.monotonic_ns()
            if self._is_saved(key):
                self._lane.scrub(key)

    @property
    def _draining(self) -> bool:
        return self._control[Control.DRAIN] != 0

    def _due(self) -> Iterator[int]:
        """Yield once for each operation to start now: how late it starts, in nanoseconds."""
        return self._paced(self._starts()) if self._starts is not None else self._closed()

    def _closed(self) -> Iterator[int]:
        think_ns = int(self._pool.think_time_s * 1e9)
        due_ns = 0
        while self._sleep_until(due_ns):
            yield 0
            due_ns = time.monotonic_ns() + think_ns if think_ns else 0

    def _paced(self, starts: Starts) -> Iterator[int]:
        row = self._row
        max_late_ns = int(self._pool.max_late_s * 1e9)
        while True:
            number, due_ns = starts.take()
            if not self._sleep_until(due_ns):
                return
            row[cells.NEXT_START] = number + 1
            late_ns = time.monotonic_ns() - due_ns
            if late_ns > max_late_ns:
                self.drop(late_ns)
                continue
            if late_ns > LATE_NS:
                row[cells.LATE] += 1
            yield late_ns

    def drop(self, late_ns: int) -> None:
        """Give up a start; the operation that it would have been is charged the wait."""
        self._row[cells.DROPPED] += 1
        cells.observe(self._row, cells.LATENCY[_METRIC[self._draws.operation()]], late_ns)

    def _sleep_until(self, due_ns: int) -> bool:
        """Sleep until then, beating; False if there is nothing more to start."""
        while not self._draining:
            now_ns = time.monotonic_ns()
            if now_ns >= due_ns:
                return True
            self._row[cells.HEARTBEAT] = now_ns
            time.sleep(min(LONGEST_SLEEP_S, (due_ns - now_ns) / 1e9))
        return False

    def _wait_for_load(self) -> bool:
        while not self._control[Control.LOAD_START_NS]:
            if not self._sleep_until(time.monotonic_ns() + 20_000_000):
                return False
        return self._sleep_until(self._control[Control.LOAD_START_NS])

    def _is_saved(self, key: int) -> bool:
        return self._lane.parts.ledger.slot(key).acked_seq > 0

    def _save(self, late_ns: int) -> None:
        if self._save_keys:
            self._lane.save(self._save_keys.take(), late_ns)

    def _read(self, late_ns: int) -> None:
        self._of_saved(late_ns, self._lane.read)

    def _read_store(self, late_ns: int) -> None:
        self._of_saved(late_ns, partial(self._lane.read, bypass=True))

    def _scrub(self, late_ns: int) -> None:
        self._of_saved(late_ns, self._lane.scrub)

    def _of_saved(self, late_ns: int, operation: Callable[..., object]) -> None:
        """Do it with a key that was saved; where there is none yet, make one."""
        key = self._draws.read_key()
        if self._is_saved(key):
            operation(key, late_ns=late_ns)
        else:
            self._save(late_ns)


def lane_thread(body: Callable[[], None], name: str, failed: Callable[[BaseException], None]) -> threading.Thread:
    """Return a thread, not yet started, that runs `body` and reports what ends it out of order."""

    def top() -> None:
        try:
            body()
        except Exception as error:  # noqa: BLE001 - the top of the thread: the process tells its parent and ends
            failed(error)

    return threading.Thread(target=top, name=name, daemon=True)

"""A lane's thread: for each intended start, the next operation, until the drain; then a last look at its keys.

Open model: intended start `k` of this process is `start + pacer.offset_ns(k)`; its lanes take the next `k` from a
shared counter, so that a slow operation delays no one while a lane is free. A start that runs late is counted and its
wait charged. Given up, counted as dropped and charged their wait are those later than `max_late_s`, those that fell due
while there was no process, and those that had found no free lane when the load ended. Closed model: one operation after
the other, with think time between.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from stressd.scenario import Pool
from stressd.stats.table import Control
from stressd.worker import cells
from stressd.worker.lane import Lane
from stressd.worker.record import NOT_ASKED
from stressd.workload.operation import Draws, Op, SaveKeys
from stressd.workload.pacer import Pacer

LONGEST_SLEEP_S: Final = 0.1
LATE_NS: Final = 10_000_000
NO_KEY_PAUSE_NS: Final = 10_000_000
CHARGED_MOST: Final = 100_000  # of more starts given up at once, so many stand for all in the histogram
_DRAIN: Final = int(Control.DRAIN)
_LOAD_START: Final = int(Control.LOAD_START_NS)
_METRIC: Final = {Op.GENERATE: "generate", Op.SAVE: "save", Op.READ: "read", Op.READ_STORE: "read", Op.SCRUB: "scrub"}


class Starts:
    """The intended starts of one process, each handed out once. Any of its threads may take."""

    def __init__(self, pacer: Pacer, start_ns: int, first: int) -> None:
        self._pacer = pacer
        self._start_ns = start_ns
        self._next = first
        self._taking = threading.Lock()

    def take(self) -> tuple[int, int]:
        """Return the next start's number and when it is due, in CLOCK_MONOTONIC nanoseconds."""
        with self._taking:
            number = self._next
            self._next = number + 1
        return number, self.due_ns(number)

    def take_due(self, until_ns: int) -> range:
        """Return the numbers of all starts that are due by then and were not taken."""
        with self._taking:
            first = self._next
            self._next = max(first, self._pacer.due(until_ns - self._start_ns))
            return range(first, self._next)

    def due_ns(self, number: int) -> int:
        """Return when that start is due, in CLOCK_MONOTONIC nanoseconds."""
        return self._start_ns + self._pacer.offset_ns(number)


TakeStarts = Callable[[], tuple[Starts, range]]


class Loop:
    """What one lane does from the start of the load to its end.

    `starts`, for the open model, returns the process's starts and those that this lane is to give up first.
    """

    def __init__(self, lane: Lane, pool: Pool, draws: Draws, save_keys: SaveKeys, starts: TakeStarts | None) -> None:
        self._lane = lane
        self._pool = pool
        self._draws = draws
        self._save_keys = save_keys
        self._starts = starts
        self._row = lane.parts.row
        self._control = lane.parts.control
        self._acked = lane.parts.ledger.acked
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
        row, do, operation, now = self._row, self._do, self._draws.operation, time.monotonic_ns
        for late_ns in self._due():
            began = now()
            do[operation()](late_ns)
            ended = now()
            row[cells.BUSY_NS] += ended - began
            row[cells.HEARTBEAT] = ended
        for key in self._lane.parts.own_keys:
            row[cells.HEARTBEAT] = now()
            if self._acked(key):
                self._lane.scrub(key)

    # --- when

    def _due(self) -> Iterator[int]:
        """Yield once for each operation to start now: how late it starts, in nanoseconds."""
        return self._closed() if self._starts is None else self._paced(*self._starts())

    def _closed(self) -> Iterator[int]:
        think_ns = int(self._pool.think_time_s * 1e9)
        due_ns = 0
        while self._sleep_until(due_ns):
            yield 0
            due_ns = time.monotonic_ns() + think_ns if think_ns else 0

    def _paced(self, starts: Starts, missed: range) -> Iterator[int]:
        row, max_late_ns = self._row, int(self._pool.max_late_s * 1e9)
        self._give_up(starts, missed, time.monotonic_ns())
        number, due_ns = starts.take()
        while self._sleep_until(due_ns):
            row[cells.NEXT_START] = number + 1
            now_ns = time.monotonic_ns()
            late_ns = now_ns - due_ns
            if late_ns <= max_late_ns:
                if late_ns > LATE_NS:
                    row[cells.LATE] += 1
                yield late_ns
            else:
                self._give_up(starts, range(number, number + 1), now_ns)
                self._give_up(starts, starts.take_due(now_ns - max_late_ns), now_ns)
            number, due_ns = starts.take()
        ended_ns = self._control[_DRAIN]
        if due_ns <= ended_ns:
            self._give_up(starts, range(number, number + 1), ended_ns)
            self._give_up(starts, starts.take_due(ended_ns), ended_ns)

    def _give_up(self, starts: Starts, numbers: range, now_ns: int) -> None:
        """Drop starts that are due; the operations that they would have been are charged the wait."""
        if not numbers:
            return
        self._row[cells.NEXT_START] = numbers.stop
        self._row[cells.DROPPED] += len(numbers)
        for number in numbers[:: 1 + len(numbers) // CHARGED_MOST]:
            self._charge(self._draws.operation(), now_ns - starts.due_ns(number))

    def _charge(self, op: Op, late_ns: int) -> None:
        cells.observe(self._row, cells.LATENCY[_METRIC[op]], late_ns)

    def _sleep_until(self, due_ns: int) -> bool:
        """Sleep until then, beating; False if there is nothing more to start."""
        control = self._control
        while not control[_DRAIN]:
            now_ns = time.monotonic_ns()
            if now_ns >= due_ns:
                return True
            self._row[cells.HEARTBEAT] = now_ns
            time.sleep(min(LONGEST_SLEEP_S, (due_ns - now_ns) / 1e9))
        return False

    def _wait_for_load(self) -> bool:
        while not self._control[_LOAD_START]:
            if not self._sleep_until(time.monotonic_ns() + 20_000_000):
                return False
        return self._sleep_until(self._control[_LOAD_START])

    # --- what

    def _save(self, late_ns: int) -> None:
        if not self._save_keys:
            self._nothing_to_save(late_ns)
            return
        key = self._save_keys.take()
        served = self._lane.save(key, late_ns)
        if served.ok or not self._lane.parts.ledger.retired(key):
            return
        self._save_keys.retire(key)
        if served is NOT_ASKED:
            self._nothing_to_save(late_ns)

    def _nothing_to_save(self, late_ns: int) -> None:
        """Give up a save; all of the lane's keys may be retired for good, and then nobody may spin."""
        self._row[cells.DROPPED] += 1
        self._charge(Op.SAVE, late_ns)
        self._sleep_until(time.monotonic_ns() + NO_KEY_PAUSE_NS)

    # What reads takes a key that was saved; where there is none yet, it makes one.

    def _read(self, late_ns: int) -> None:
        key = self._draws.read_key()
        if self._acked(key):
            self._lane.read(key, late_ns=late_ns)
        else:
            self._save(late_ns)

    def _read_store(self, late_ns: int) -> None:
        key = self._draws.read_key()
        if self._acked(key):
            self._lane.read(key, bypass=True, late_ns=late_ns)
        else:
            self._save(late_ns)

    def _scrub(self, late_ns: int) -> None:
        key = self._draws.read_key()
        if self._acked(key):
            self._lane.scrub(key, late_ns)
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

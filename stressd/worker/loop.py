"""A lane's thread: for each intended start, the next operation, until the drain; then a last look at its keys.

Open model: intended start `k` of this process is `start + pacer.offset_ns(k)`; its lanes take the next `k` from a
shared counter, so that a slow operation delays no one while a lane is free. A start that runs late is counted and its
wait charged. Given up, counted as dropped and charged their wait are those later than `max_late_s`, those that fell due
while there was no process, and those that had found no free lane when the load ended. Closed model: one operation after
the other, with think time between, as long as the lane is to be at work.

An operation belongs to the phase that it was meant to start in, whenever it does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from stressd.stats.table import Control, column
from stressd.worker import cells
from stressd.worker.lane import Lane
from stressd.worker.record import NOT_ASKED
from stressd.workload.operation import Draws, Op, SaveKeys
from stressd.workload.pacer import Pacer
from stressd.workload.plan import Plan

LONGEST_SLEEP_S: Final = 0.1
LATE_NS: Final = 10_000_000
NO_KEY_PAUSE_NS: Final = 10_000_000
CHARGED_MOST: Final = 100_000  # of more starts given up at once, so many stand for all in the histogram
_MISSED: Final = column("starts_missed")
_DRAIN: Final = int(Control.DRAIN)
_LOAD_START: Final = int(Control.LOAD_START_NS)
_METRIC: Final = {Op.GENERATE: "generate", Op.SAVE: "save", Op.READ: "read", Op.READ_STORE: "read", Op.SCRUB: "scrub"}


class Course:
    """What a process's lanes follow: a plan and its starts, replaced by others that differ from a moment to come on.

    Any thread may read, one changes it. Whoever computed something along one plan looks again once there is another.
    """

    def __init__(self, plan: Plan, pacer_of: Callable[[Plan], Pacer]) -> None:
        self._pacer_of = pacer_of
        self.follow(plan)

    def follow(self, plan: Plan) -> None:
        """Go on along another plan."""
        self.pacer = self._pacer_of(plan)  # first: whoever sees the new plan finds its starts
        self.plan = plan


class Starts:
    """The intended starts of one process, each handed out once. Any of its threads may take."""

    def __init__(self, course: Course, start_ns: int, first: int) -> None:
        self._course = course
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
            self._next = max(first, self._course.pacer.due(until_ns - self._start_ns))
            return range(first, self._next)

    def due_ns(self, number: int) -> int:
        """Return when that start is due, in CLOCK_MONOTONIC nanoseconds."""
        return self._start_ns + self._course.pacer.offset_ns(number)


TakeStarts = Callable[[], tuple[Starts, range]]


class Loop:
    """What one lane does from the start of the load to its end.

    `place` is the lane's place in its pool: at a level of n, the lanes at work are those of places 0 to n - 1.
    `starts`, for the open model, returns the process's starts and those that this lane is to give up first.
    """

    def __init__(
        self, lane: Lane, course: Course, draws: Draws, save_keys: SaveKeys, place: int, starts: TakeStarts | None
    ) -> None:
        plan = course.plan
        self._lane = lane
        self._course = course
        self._draws = draws
        self._read_key = draws.read_key
        self._operation = draws.operation(0, plan.stretches[0].mix)
        self._save_keys = save_keys
        self._place = place
        self._take_starts = starts
        self._starts: Starts | None = None
        self._taken = (0, 0)  # a start that no operation was begun for yet: its number, and when it is due
        self._max_late_ns = int(plan.pool.max_late_s * 1e9)
        self._row = lane.parts.row
        self._control = lane.parts.control
        self._acked = lane.acked
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
        self._begin_taking()
        number = 0
        while number < len(stretches := self._course.plan.stretches):  # there may be more of them meanwhile
            self._operation = self._draws.operation(number, stretches[number].mix)
            self._work(number)
            number += 1
        self._give_up_backlog()
        row = self._row
        for key in self._lane.last_keys:
            row[cells.HEARTBEAT] = time.monotonic_ns()
            if self._acked(key):
                self._lane.scrub(key)

    def _work(self, number: int) -> None:
        row, do, operation, now = self._row, self._do, self._operation, time.monotonic_ns
        for late_ns in self._due(number):
            began = now()
            do[operation()](late_ns)
            ended = now()
            row[cells.BUSY_NS] += ended - began
            row[cells.HEARTBEAT] = ended

    # --- when

    def _due(self, number: int) -> Iterator[int]:
        """Yield once for each operation of a stretch to start now: how late it starts, in nanoseconds."""
        return self._closed(number) if self._starts is None else self._open(number, self._starts)

    def _end_ns(self, plan: Plan, number: int) -> int:
        return self._control[_LOAD_START] + plan.stretches[number].end_ns

    def _closed(self, number: int) -> Iterator[int]:
        plan, load_ns = self._course.plan, self._control[_LOAD_START]
        stretch, changing, end_ns = plan.stretches[number], not plan.ramp.is_steady, self._end_ns(plan, number)
        think_ns = stretch.think_ns
        spread_ns = think_ns * self._place // plan.pool.lanes  # so that they do not all begin at once
        due_ns = min(load_ns + stretch.begin_ns + spread_ns, end_ns)
        while (now_ns := self._sleep_until(due_ns, plan)) and now_ns < end_ns:
            if self._course.plan is not plan:
                plan = self._course.plan
                changing, end_ns = not plan.ramp.is_steady, self._end_ns(plan, number)
            if changing:
                due_ns = load_ns + plan.ramp.reaches_ns(self._place + 0.5, now_ns - load_ns)
            due_ns = min(due_ns, end_ns)
            if due_ns > now_ns or now_ns >= end_ns:
                continue
            yield 0
            due_ns = min(time.monotonic_ns() + think_ns, end_ns) if think_ns else 0

    def _open(self, number: int, starts: Starts) -> Iterator[int]:
        row, max_late_ns, course = self._row, self._max_late_ns, self._course
        plan, (start, _) = course.plan, self._taken
        end_ns, due_ns = self._end_ns(plan, number), starts.due_ns(start)
        while due_ns < end_ns and (now_ns := self._sleep_until(due_ns, plan)):
            if course.plan is not plan:  # what was to come may come earlier, or later
                plan = course.plan
                end_ns, due_ns = self._end_ns(plan, number), starts.due_ns(start)
                self._taken = start, due_ns
                continue
            row[cells.NEXT_START] = start + 1
            late_ns = now_ns - due_ns
            if late_ns <= max_late_ns:
                if late_ns > LATE_NS:
                    row[cells.LATE] += 1
                yield late_ns
            else:
                self._give_up(starts, range(start, start + 1), now_ns)
                self._give_up(starts, starts.take_due(now_ns - max_late_ns), now_ns)
            start, due_ns = self._taken = starts.take()

    def _begin_taking(self) -> None:
        """Take the first start; give up those that fell due while there was no process."""
        if self._take_starts is None:
            return
        self._starts, missed = self._take_starts()
        self._row[_MISSED] += len(missed)
        self._give_up(self._starts, missed, time.monotonic_ns())
        self._taken = self._starts.take()

    def _give_up_backlog(self) -> None:
        """Give up what was due before the load ended."""
        starts, (number, due_ns), ended_ns = self._starts, self._taken, self._control[_DRAIN]
        if starts is not None and due_ns <= ended_ns:
            self._give_up(starts, range(number, number + 1), ended_ns)
            self._give_up(starts, starts.take_due(ended_ns), ended_ns)

    def _give_up(self, starts: Starts, numbers: range, now_ns: int) -> None:
        """Drop starts that are due; the operations that they would have been are charged the wait."""
        if not numbers:
            return
        self._row[cells.NEXT_START] = numbers.stop
        self._row[cells.DROPPED] += len(numbers)
        for number in numbers[:: 1 + len(numbers) // CHARGED_MOST]:
            self._charge(self._operation(), now_ns - starts.due_ns(number))

    def _charge(self, op: Op, late_ns: int) -> None:
        cells.observe(self._row, cells.LATENCY[_METRIC[op]], late_ns)

    def _sleep_until(self, due_ns: int, plan: Plan | None = None) -> int:
        """Sleep until then, or until another plan than this is followed, beating; 0 if nothing more is to start."""
        control, course = self._control, self._course
        while not control[_DRAIN]:
            now_ns = time.monotonic_ns()
            if now_ns >= due_ns or course.plan is not plan is not None:
                return now_ns
            self._row[cells.HEARTBEAT] = now_ns
            time.sleep(min(LONGEST_SLEEP_S, (due_ns - now_ns) / 1e9))
        return 0

    def _wait_for_load(self) -> bool:
        while not self._control[_LOAD_START]:
            if not self._sleep_until(time.monotonic_ns() + 20_000_000):
                return False
        return self._sleep_until(self._control[_LOAD_START]) > 0

    # --- what

    def _save(self, late_ns: int) -> None:
        if not self._save_keys:
            self._nothing_to_save(late_ns)
            return
        key = self._save_keys.take()
        served = self._lane.save(key, late_ns)
        if served.ok or not self._lane.retired(key):
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
        key = self._read_key()
        if self._acked(key):
            self._lane.read(key, late_ns=late_ns)
        else:
            self._save(late_ns)

    def _read_store(self, late_ns: int) -> None:
        key = self._read_key()
        if self._acked(key):
            self._lane.read(key, bypass=True, late_ns=late_ns)
        else:
            self._save(late_ns)

    def _scrub(self, late_ns: int) -> None:
        key = self._read_key()
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

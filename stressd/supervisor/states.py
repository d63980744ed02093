"""The states of a worker's slot and when it may start again. Pure: time and chance come in as arguments."""

import random
from collections import deque
from enum import StrEnum
from typing import Final

CRASHES: Final = 5  # more than so many ...
CRASH_WINDOW_S: Final = 30.0  # ... in so long make a slot degraded
HEALTHY_S: Final = 60.0  # after so long at work earlier failures are forgotten
DEGRADED_RETRY_S: Final = 30.0


class WorkerState(StrEnum):
    """What a slot is doing; the first four are what the metric `stressd_workers` shows."""

    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    WAITING = "waiting"
    STOPPED = "stopped"


class Backoff:
    """How long a slot waits before its worker is started again: doubling, with full jitter, capped.

    `degraded` once it died too often in a short time, until a worker of it stays healthy.
    """

    def __init__(self, first_s: float, most_s: float, rng: random.Random) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._rng = rng
        self._failures = 0
        self._crashes: deque[float] = deque(maxlen=CRASHES + 1)
        self.degraded = False

    def failed(self, now_s: float, ran_s: float) -> float:
        """Note a death after `ran_s` seconds at work; return how many seconds to wait."""
        self.ran(ran_s)
        self._failures += 1
        self._crashes.append(now_s)
        if len(self._crashes) > CRASHES and now_s - self._crashes[0] <= CRASH_WINDOW_S:
            self.degraded = True
        if self.degraded:
            return DEGRADED_RETRY_S
        ceiling_s = min(self._most_s, self._first_s * 2 ** min(self._failures - 1, 30))
        return self._rng.uniform(0, ceiling_s)

    def ran(self, ran_s: float) -> None:
        """Note that a worker has been at work for `ran_s` seconds: after long enough earlier failures are forgotten."""
        if ran_s >= HEALTHY_S:
            self._failures = 0
            self._crashes.clear()
            self.degraded = False


class HangWatch:
    """Tells a hung worker from a supervisor that was itself held up, on the monotonic clock.

    Only time during which the supervisor kept ticking counts against a worker: after a gap in its own ticks everyone
    gets a fresh allowance.
    """

    def __init__(self, hang_s: float, longest_tick_s: float = 2.0) -> None:
        self._hang_s = hang_s
        self._longest_tick_s = longest_tick_s
        self._last_tick_s: float | None = None
        self._awake_since_s = 0.0

    def tick(self, now_s: float) -> None:
        """Note that the supervisor is awake."""
        if self._last_tick_s is None or now_s - self._last_tick_s > self._longest_tick_s:
            self._awake_since_s = now_s
        self._last_tick_s = now_s

    def hung(self, beat_s: float, now_s: float) -> bool:
        """Say whether a lane whose last sign of life was at `beat_s` has been silent for too long."""
        return now_s - max(beat_s, self._awake_since_s) > self._hang_s

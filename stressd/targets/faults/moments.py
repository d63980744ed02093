"""When a lie is told: once, at a call counted over all processes; or at a share of the calls; or from a call on.

Layout of the two files in the liar's folder, both written by appending, so that processes need no lock:

    calls    8 bytes little-endian a call: CLOCK_MONOTONIC nanoseconds at its begin. The place is the call's number.
    told     a line of JSON a lie: the number of the call, its moment, the group it was about
    once     there since the one lie of an `at` was told
"""

import json
import os
import random
import threading
import time
from typing import Final

CALLS: Final = "calls"
TOLD: Final = "told"
ONCE: Final = "once"
FOLLOWED: Final = 50_000  # calls after the lie that are still noted: a detector that needs more has missed it
TOLD_MOST: Final = 1_000


class Moments:
    """Counts the calls of one process's liar, and says at which of them to lie. Any thread.

    `at` None: at a `rate` of the calls. Without a folder calls are counted in this process alone and nothing is noted.
    """

    def __init__(self, at: int | None, rate: float, seed: int, folder: str | None) -> None:
        self._at = at
        self._rate = rate
        self._seed = seed
        self._folder = folder
        self._coin = random.Random(f"{seed}")  # noqa: S311 - when to lie, no secret
        self._lock = threading.Lock()
        self._calls_fd: int | None = None
        self._counted = self._told = 0
        self._last = 0  # the number beyond which calls are no longer noted
        self._over = False

    def reset(self) -> None:
        """Forget an earlier run's calls; before any process of this one calls."""
        if self._folder is not None:
            os.makedirs(self._folder, exist_ok=True)
            for name in (CALLS, TOLD, ONCE):
                path = os.path.join(self._folder, name)
                if os.path.exists(path):
                    os.unlink(path)

    def call(self) -> int:
        """Count a call; return its number, from 1, over all processes where there is a folder."""
        with self._lock:
            self._counted += 1
            if self._folder is None or self._at is None or (self._over and self._counted > self._last):
                return self._counted
            if self._calls_fd is None:
                self._calls_fd = os.open(
                    os.path.join(self._folder, CALLS), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
                )
            os.write(self._calls_fd, time.monotonic_ns().to_bytes(8, "little"))
            self._counted = os.lseek(self._calls_fd, 0, os.SEEK_CUR) // 8  # where the append went
            return self._counted

    def due(self, call: int) -> bool:
        """Whether a lie may be told in this call."""
        if self._at is not None:
            return call >= self._at and not self._over
        with self._lock:
            return self._coin.random() < self._rate

    def begun(self, call: int) -> bool:
        """Whether a lie that goes on has begun; notes its begin in this process."""
        if call < (self._at or 0):
            return False
        if not self._over:
            self._end(call)
            self._note(call, "")
        return True

    def draw(self, call: int) -> random.Random:
        """Return what to draw the details of a lie in this call from."""
        return random.Random(f"{self._seed}:{call}")  # noqa: S311 - which cell, which row

    def take(self, call: int, group: str) -> bool:
        """Note that the lie is told in this call; False if another call was first, and it is not to be told here."""
        if self._at is not None and not self._first(call):
            return False
        self._note(call, group)
        return True

    def _first(self, call: int) -> bool:
        with self._lock:
            if self._over:
                return False
            self._end(call)
        if self._folder is None:
            return True
        try:
            os.close(os.open(os.path.join(self._folder, ONCE), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def _end(self, call: int) -> None:
        self._over = True
        self._last = call + FOLLOWED

    def _note(self, call: int, group: str) -> None:
        self._told += 1
        if self._folder is None or self._told > TOLD_MOST:
            return
        line = json.dumps({"call": call, "group": group, "at_ns": time.monotonic_ns()}) + "\n"
        fd = os.open(os.path.join(self._folder, TOLD), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

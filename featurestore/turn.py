"""Taking turns at publishing: spares writers of one group lost races, and is fair among them. Decides nothing.

A stopped process keeps its lock, so nobody waits for one longer than a moment: whoever gets no turn goes on
without, and does not wait again until a turn was free once.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator

from featurestore.disk import Disk

_PATIENCE_S = 0.5
_POLL_S = 0.001


class Turn:
    """One group's turn among the threads of this process and, by flock, among processes. Thread-safe."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._threads = threading.Lock()
        self._patience_s = _PATIENCE_S

    @contextlib.contextmanager
    def hold(self) -> Iterator[bool]:
        """Run the block in turn, or out of it after a bounded wait; the value says which."""
        deadline = time.monotonic() + self._patience_s
        mine = self._threads.acquire(timeout=self._patience_s)
        fd = -1
        try:
            fd = self._lock_file(deadline) if mine else -1
            self._patience_s = _PATIENCE_S if fd >= 0 else 0.0
            yield fd >= 0
        finally:
            self._unlock_file(fd)
            if mine:
                self._threads.release()

    def _lock_file(self, deadline: float) -> int:
        """Return the locked file, or -1 where it stayed locked until the deadline or cannot be locked at all."""
        fd = -1
        try:
            fd = self._disk.open_lock(self._path)
            while not (mine := self._disk.try_lock(fd)) and time.monotonic() < deadline:
                time.sleep(random.uniform(0.5, 1.5) * _POLL_S)  # noqa: S311 - jitter
        except OSError:
            mine = False  # a file system without locks: its writers race, and lose nothing
        if not mine:
            self._unlock_file(fd)
            return -1
        return fd

    def _unlock_file(self, fd: int) -> None:
        if fd >= 0:
            with contextlib.suppress(OSError):  # what fails to close is closed, and no save fails for its turn
                self._disk.close(fd)

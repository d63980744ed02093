"""A worker process that does one thing and says what it found: a probe, half of the handshake."""

import logging
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stressd.supervisor.child import Child
from stressd.worker.channel import Message
from stressd.worker.spec import WorkerSpec

log = logging.getLogger(__name__)

TURN_S: Final = 0.05
REAPED_WITHIN_S: Final = 5.0  # of the kill: a process that the kernel holds on to is left to it


@dataclass(frozen=True, slots=True)
class Found:
    """What an errand came back with; `error` says why it came back with nothing."""

    result: dict[str, Any]
    duration_s: float
    error: str | None = None


class Errand:
    """One such process. Used by the main thread, as the supervisor is."""

    def __init__(self, spec: WorkerSpec, on_message: Callable[[Message], None]) -> None:
        self._child = Child.start(spec)
        self._on_message = on_message
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._child.pidfd, selectors.EVENT_READ)
        self._selector.register(self._child.channel, selectors.EVENT_READ)
        self._found: dict[str, Any] | None = None
        self._error: str | None = None
        self._killed_s: float | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self._child.pid

    def tell(self, message: Message) -> None:
        """Send it a message."""
        self._child.channel.send(message)

    def run(self, timeout_s: float, stopped: Callable[[], bool]) -> Found:
        """Wait until it has ended, was stopped or took too long; it is gone when this returns."""
        deadline_s = self._child.started_s + timeout_s
        while not self._child.reap():
            self._selector.select(TURN_S)
            self._listen()
            if stopped():
                self._end("stopped before it was done")
            elif time.monotonic() > deadline_s:
                self._end(f"not done after {timeout_s:g} s")
            if self._killed_s is not None and time.monotonic() > self._killed_s + REAPED_WITHIN_S:
                break
        self._listen()
        return self._come_back()

    def _listen(self) -> None:
        if self._child.channel.closed:
            return
        for message in self._child.messages():
            if message["event"] == "found":
                self._found = message["result"]
            elif message["event"] == "failed":
                self._error = message["message"]
                log.debug("%s", message["trace"])
            else:
                self._on_message(message)
        if self._child.channel.closed:
            self._selector.unregister(self._child.channel)

    def _end(self, why: str) -> None:
        if self._killed_s is None:
            self._error = self._error or why
            self._child.signal(signal.SIGKILL)
            self._killed_s = time.monotonic()

    def _come_back(self) -> Found:
        took_s = time.monotonic() - self._child.started_s
        status = self._child.exit_status
        self._selector.close()
        self._child.close()
        if self._found is None and self._error is None:
            self._error = f"its process ended with status {status}"
        return Found(self._found or {}, took_s, self._error if self._found is None else None)

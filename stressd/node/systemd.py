"""What a service manager is told (sd_notify(3)): that the daemon is ready, that it lives, that it stops.

A message is one datagram to the socket in `NOTIFY_SOCKET`. Without one, and that is so wherever systemd did not start
the daemon, nothing is said.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)


class ServiceManager:
    """Says READY on entering, STOPPING on leaving, and WATCHDOG twice in each interval as long as `alive()`.

    A thread of its own does the last, so that a main loop that hangs is seen: `alive` tells of that loop.
    """

    def __init__(self, alive: Callable[[], bool], environment: Mapping[str, str] = os.environ) -> None:
        self._alive = alive
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every_s = _watchdog_s(environment) / 2
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._say("READY=1")
        if self._address and self._every_s:
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join()
        self._say("STOPPING=1")

    def _watch(self) -> None:
        while not self._leaving.wait(self._every_s):
            if self._alive():
                self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is in Linux's abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.sendto(text.encode(), address)
        except OSError as error:
            log.warning("%s could not be told to NOTIFY_SOCKET %s: %s", text, self._address, error.strerror)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return within which time a sign of life is expected; 0 if none is, or if it is another process's."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0

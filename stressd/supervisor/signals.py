"""SIGINT, SIGTERM and SIGHUP for a loop that waits on descriptors: noted, and waking it up.

SIGHUP asks for a reload. A second one of the other two ends the process.
"""

import logging
import os
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Final, Self

log = logging.getLogger(__name__)

HURRY_S: Final = 2.0  # from the second signal to the end, whatever hangs
_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Within `with`, counts the signals that ask the daemon to end; `reload` is set by a SIGHUP. Main thread only.

    `HURRY_S` after the second one the process is ended, even if someone else's code, such as a target's `setup`, is in
    the way of an end in order.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.count = 0
        self.reload = False
        self._hurry: threading.Timer | None = None
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Self:
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._note) for number in _NUMBERS}
        self._old[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._note_reload)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        if self._hurry is not None:
            self._hurry.cancel()
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with a signal."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Empty the descriptor."""
        try:
            while os.read(self._reader.fileno(), 1024):
                pass
        except BlockingIOError:
            return

    def _note_reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        self.reload = True

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        self.count += 1
        if self.first is None:
            self.first = number
        elif self._hurry is None:
            self._hurry = threading.Timer(HURRY_S, self._give_up)
            self._hurry.daemon = True
            self._hurry.start()

    def _give_up(self) -> None:
        log.error("not ended %g s after the second signal: it ends now, and some of its report may be missing", HURRY_S)
        os._exit(128 + (self.first or 0))  # workers die with their parent

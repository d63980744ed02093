"""SIGINT and SIGTERM for a loop that waits on descriptors: noted, and waking it up."""

import os
import signal
import socket
from types import FrameType, TracebackType
from typing import Final, Self

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Within `with`, counts the signals that ask the daemon to end. Main thread only."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.count = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Self:
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._note) for number in _NUMBERS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
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

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        self.count += 1
        if self.first is None:
            self.first = number

"""One line of JSON a message, both ways, over one socket pair per worker: no shared queue, nothing pickled."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from stressd.redaction import redacted_tree

_CHUNK: Final = 65_536
_CHUNKS_MOST: Final = 64  # of one call, so that who talks without end does not hold up the others
_WAIT_S: Final = 30.0  # until told otherwise
LONGEST_LINE: Final = 16 * 1024 * 1024

Message = dict[str, Any]


class Channel:
    """An end of the pair. Any thread may send; one thread receives. A message is whole or not there at all.

    `redact`: what is sent goes out without what this process hides; what a worker is told must not.
    """

    def __init__(self, sock: socket.socket, *, redact: bool = False) -> None:
        self._socket = sock
        self._redact = redact
        self._socket.settimeout(_WAIT_S)  # any time-out makes the descriptor itself one that does not block
        self._received = b""
        self._waiting: list[Message] = []
        self._sending = threading.Lock()
        self._cut = False  # the last line was not sent to its end: what followed would be taken for the rest of it
        self.closed = False

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Send one message; False if the other end is gone or does not read."""
        if self._redact:
            message = redacted_tree(message)
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending:
            if not self._cut:
                try:
                    self._socket.sendall(line)
                except OSError:
                    self._cut = True
            return not self._cut

    def receive(self) -> list[Message]:
        """Read all that is there, waiting for it as long as the socket's time-out; none if nothing came.

        `closed` is set when the other end is gone, or sends a line longer than any message.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            return waiting
        chunks = [self._received, self._read(lambda: self._socket.recv(_CHUNK))]
        while chunks[-1] and len(chunks) < _CHUNKS_MOST:
            chunks.append(self._read(lambda: os.read(self._socket.fileno(), _CHUNK)))  # which never waits
        *lines, self._received = b"".join(chunks).split(b"\n")
        if len(self._received) > LONGEST_LINE:
            self.closed = True
        return [json.loads(line) for line in lines]

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            chunk = read()
        except (BlockingIOError, TimeoutError, InterruptedError):
            return b""
        except OSError:
            chunk = b""
        self.closed = self.closed or not chunk
        return chunk

    def next(self, timeout_s: float) -> Message | None:
        """Return the next message, and keep those that came with it; None if none came, or the other end is gone."""
        deadline_s = time.monotonic() + timeout_s
        while not self._waiting and not self.closed and (left_s := deadline_s - time.monotonic()) > 0:
            self.wait_s(left_s)
            self._waiting = self.receive()
        return self._waiting.pop(0) if self._waiting else None

    def wait_s(self, timeout_s: float) -> None:
        """Set how long `receive` and `send` wait."""
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

"""One line of JSON a message, both ways, over one socket pair per worker: no shared queue, nothing pickled."""

import json
import socket
import threading
from typing import Any, Final

_CHUNK: Final = 65_536
LONGEST_LINE: Final = 16 * 1024 * 1024

Message = dict[str, Any]


class Channel:
    """An end of the pair. Any thread may send; one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = b""
        self._sending = threading.Lock()
        self.closed = False

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Send one message; False if the other end is gone or does not read."""
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending:
            try:
                self._socket.sendall(line)
            except OSError:
                return False
        return True

    def receive(self) -> list[Message]:
        """Read what is there, waiting as long as the socket's time-out; `closed` is set when the other end is gone."""
        try:
            chunk = self._socket.recv(_CHUNK)
        except (BlockingIOError, TimeoutError, InterruptedError):
            return []
        except OSError:
            chunk = b""
        if not chunk or len(self._received) > LONGEST_LINE:
            self.closed = True
            return []
        *lines, self._received = (self._received + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def wait_s(self, timeout_s: float) -> None:
        """Set how long `receive` and `send` wait."""
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

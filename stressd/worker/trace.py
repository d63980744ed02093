"""What a worker tells its parent beside the counters: the first error and the first wrong read of each kind."""

import threading
import traceback
from collections.abc import Callable

from stressd.worker.channel import Channel
from stressd.worker.outcome import InjectedError


class Trace:
    """Shared by the lanes of a process; any thread. Bounded: one message for each kind of error and of violation."""

    def __init__(self, channel: Channel, specimens: str) -> None:
        self._channel = channel
        self._specimens = specimens
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()

    def failed(self, op: str, error: BaseException) -> None:
        """Tell of an operation that raised, once per operation and type of exception."""
        kind = type(error).__name__
        if not isinstance(error, InjectedError) and self._first(op, kind):
            stack = "".join(traceback.format_exception(error, limit=-6))
            self._channel.send({"event": "error", "op": op, "kind": kind, "message": str(error), "trace": stack})

    def violated(self, kind: str, detail: str, keep: Callable[[str], str | None] | None = None) -> None:
        """Tell of a violation, once per kind; `keep` writes its specimen into the folder given and returns the path."""
        if self._first("violation", kind):
            specimen = keep(self._specimens) if keep is not None else None
            self._channel.send({"event": "violation", "kind": kind, "detail": detail, "specimen": specimen})

    def _first(self, what: str, kind: str) -> bool:
        with self._lock:
            new = (what, kind) not in self._told
            self._told.add((what, kind))
        return new

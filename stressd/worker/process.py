"""A worker process: told what it is, it builds its part of the run, works, and ends when asked or orphaned.

Run as `python -m stressd.worker.process FD`, where FD is its end of the channel. The main thread listens and
reports; all work is done by the lanes' threads.
"""

import ctypes
import faulthandler
import gc
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Final

from stressd.errors import StressdError
from stressd.imports import uncollected
from stressd.redaction import RedactedStream, hide
from stressd.worker.channel import Channel

if TYPE_CHECKING:
    from stressd.worker.spec import WorkerSpec

EXIT_FAILED: Final = 1
EXIT_ORPHANED: Final = 3
SPEC_TIMEOUT_S: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Become the worker that the parent describes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(all_threads=True)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), redact=True)
    spec = _receive_spec(channel)
    if spec is None or os.getppid() != spec.parent_pid:
        os._exit(EXIT_ORPHANED)
    hide(spec.secrets)
    sys.stdout, sys.stderr = RedactedStream(sys.stdout), RedactedStream(sys.stderr)
    try:
        _work(spec, channel)
    except Exception as error:  # noqa: BLE001 - the top of the process: the parent says it once
        channel.wait_s(SPEC_TIMEOUT_S)
        channel.send(_failure(error))
        os._exit(EXIT_FAILED)
    sys.stderr.flush()
    os._exit(0)  # all sessions are closed; a foreign library's threads must not hold up the drain


def _failure(error: Exception) -> dict[str, object]:
    """Return what the parent is told: `bug` where it is no error that stressd foresaw, and its stack is the news."""
    foreseen = isinstance(error, StressdError)
    message = str(error) if foreseen else f"{type(error).__name__}: {error}"
    return {"event": "failed", "message": message, "bug": not foreseen, "trace": traceback.format_exc()}


def die_with_parent() -> None:
    """Have the kernel kill this process when the parent's main thread ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _receive_spec(channel: Channel) -> "WorkerSpec | None":
    with uncollected():
        from stressd.worker.spec import WorkerSpec  # noqa: PLC0415 - slow to import: the parent's death must count by then

    message = channel.next(SPEC_TIMEOUT_S)
    return WorkerSpec.from_message(message) if message is not None else None


def _work(spec: "WorkerSpec", channel: Channel) -> None:
    """Import late: what is imported here is the store's client and pandas, and its errors are the parent's to show."""
    with uncollected():
        if spec.role == "probe":
            from stressd.worker.probes import run_probe as work  # noqa: PLC0415 - after the parent is known to be there
        else:
            from stressd.worker.load import run_load as work  # noqa: PLC0415 - the same
    work(spec, channel)
    gc.collect()


if __name__ == "__main__":
    main()

"""A command line of our own in a process of its own: forked off, so that what is imported is not imported again.

Twenty interpreters that each import pandas take half a minute of two cores; the runs themselves are then as they are
from a shell, down to their workers, which are started anew.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from stressd.errors import ExitCode

Command = Callable[[list[str]], int]

REAPED_EVERY_S: Final = 0.02


class Forked:
    """A forked process. Used by the thread that forked it, which must be the only one."""

    def __init__(self, command: Command, arguments: Sequence[str], log: str) -> None:
        self.exit_code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, list(arguments), log)

    def poll(self) -> int | None:
        """Return how it ended; None while it has not."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end, so long; return how it ended, None if it has not."""
        deadline_s = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < deadline_s:
            time.sleep(REAPED_EVERY_S)
        return self.exit_code


def _become(command: Command, arguments: list[str], log: str) -> None:
    """Run the command in this process, which is new, and end it. Never returns."""
    code = int(ExitCode.ERROR)
    try:
        os.setpgid(0, 0)  # a Ctrl-C at the terminal is the selftest's to handle
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for name in [name for name in os.environ if name.startswith("STRESSD_")]:
            del os.environ[name]  # a case is to be run as it says
        _redirect(log)
        code = command(arguments)
    except Exception:  # noqa: BLE001 - the top of a process
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _redirect(log: str) -> None:
    nothing, into = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (into, 1), (into, 2)):
        os.dup2(source, target)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115

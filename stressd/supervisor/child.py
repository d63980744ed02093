"""One worker process as its parent sees it: started, listened to, ended, reaped.

`subprocess` and a pidfd instead of `multiprocessing`: the child is a fresh interpreter that runs the worker's module
and nothing else, no helper process stays beside the workers, and nothing is pickled.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from typing import Final, Self

from stressd.worker.channel import Channel, Message
from stressd.worker.spec import WorkerSpec

SEND_TIMEOUT_S: Final = 5.0


class Child:
    """A running worker, used and reaped by one thread of the parent; `pidfd` and `channel` go into its selector."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: Channel) -> None:
        self._process = process
        self.pid = process.pid
        self.pidfd = os.pidfd_open(process.pid)
        self.channel = channel
        self.started_s = time.monotonic()
        self.cpu_s = 0.0
        self.exit_status: int | None = None

    @classmethod
    def start(cls, spec: WorkerSpec) -> Self:
        """Start the worker and tell it what it is."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
                [sys.executable, "-P", "-m", "stressd.worker.process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_fileno() else subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # a Ctrl-C at the terminal is the daemon's to handle
            )
        channel = Channel(ours)
        channel.wait_s(SEND_TIMEOUT_S)
        child = cls(process, channel)
        channel.send(spec.as_message())
        channel.wait_s(0.0)
        return child

    def messages(self) -> list[Message]:
        """Return what the worker has said since the last call; never waits."""
        return self.channel.receive()

    def tell(self, message: Message) -> None:
        """Say something to the worker; one that does not listen, or is gone, is found out elsewhere."""
        self.channel.wait_s(SEND_TIMEOUT_S)
        self.channel.send(message)
        self.channel.wait_s(0.0)

    def signal(self, number: int) -> None:
        """Send a signal to this very process, dead or alive."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def limit_files(self, limited: bool) -> None:
        """Let the worker write to no file (RLIMIT_FSIZE 0), or to any; what it has mapped stays writable."""
        with contextlib.suppress(ProcessLookupError):
            _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0 if limited else most, most))

    def reap(self) -> bool:
        """Take the worker's exit status and processor time if it has ended; True if it has."""
        if self.exit_status is not None:
            return True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.exit_status = os.waitstatus_to_exitcode(status)
        self._process.returncode = self.exit_status
        self.cpu_s = usage.ru_utime + usage.ru_stime
        return True

    def close(self) -> None:
        """Let go of the descriptors; after reaping."""
        os.close(self.pidfd)
        self.channel.close()


def _has_fileno() -> bool:
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _environment() -> dict[str, str]:
    """Two malloc arenas: many threads' arenas would keep memory that a leak's slope cannot be told from."""
    return {"MALLOC_ARENA_MAX": "2"} | os.environ

"""What the process tree uses and may use: memory, processor time, descriptors. The one home of psutil."""

import contextlib
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_CGROUP: Final = Path("/sys/fs/cgroup")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process uses now. `pss_bytes` is 0 where the kernel does not tell."""

    rss_bytes: int
    pss_bytes: int
    cpu_s: float
    fds: int


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """What the daemon and everything below it uses; `by_pid` has the direct children."""

    rss_bytes: int
    pss_bytes: int
    cpu_s: float
    by_pid: dict[int, Usage]


class Tree:
    """Samples this process and its children. For one thread."""

    def __init__(self) -> None:
        self._self = psutil.Process()
        self._known: dict[int, psutil.Process] = {}
        self._pss_bytes: dict[int, int] = {}

    def sample(self, workers: Iterable[int], *, shares: bool = True) -> TreeUsage:
        """Return the usage of the whole tree now; processes that have just ended are left out.

        Without `shares` the proportional sizes are those of the last time with them: the kernel walks all pages for
        one, which takes it two milliseconds a process.
        """
        processes = {process.pid: process for process in self._self.children(recursive=True)}
        self._known = {pid: self._known.get(pid, process) for pid, process in processes.items()}
        tree = [*self._known.values(), self._self]
        known = {} if shares else self._pss_bytes
        self._pss_bytes = {each.pid: known.get(each.pid) or _pss_bytes(each.pid) for each in tree}
        every = {each.pid: usage for each in tree if (usage := _usage(each, self._pss_bytes[each.pid]))}
        return TreeUsage(
            rss_bytes=sum(usage.rss_bytes for usage in every.values()),
            pss_bytes=sum(usage.pss_bytes for usage in every.values()),
            cpu_s=sum(usage.cpu_s for usage in every.values()),
            by_pid={pid: every[pid] for pid in workers if pid in every},
        )

    def resident_bytes(self) -> int:
        """Return the resident size of the tree as the last sample found it, at a fraction of that one's cost."""
        return sum(_resident_bytes(pid) for pid in (self._self.pid, *self._known))


@dataclass(frozen=True, slots=True)
class MachineUse:
    """Shares of the machine's processors: nobody's, and that of programs which are not ours."""

    idle: float
    others: float


class Machine:
    """Samples what all programs together use of the processors. For one thread."""

    def __init__(self) -> None:
        self._all_s, self._idle_s = _processor_s()

    def sample(self, ours_s: float) -> MachineUse:
        """Return the shares since the last call; `ours_s` is the processor time we used meanwhile."""
        before_all_s, before_idle_s = self._all_s, self._idle_s
        self._all_s, self._idle_s = _processor_s()
        given_s = self._all_s - before_all_s
        if given_s <= 0:
            return MachineUse(1.0, 0.0)
        idle = min(1.0, (self._idle_s - before_idle_s) / given_s)
        return MachineUse(idle, max(0.0, 1 - idle - ours_s / given_s))


def _processor_s() -> tuple[float, float]:
    """Return the processor seconds there were since the machine started, and those that nobody used.

    What a neighbour of a virtual machine stole counts as used.
    """
    times = psutil.cpu_times()
    guest_s = times.guest + times.guest_nice  # they are in user and nice, too
    return sum(times) - guest_s, times.idle + times.iowait


def _usage(process: psutil.Process, pss_bytes: int) -> Usage | None:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
        times = process.cpu_times()
        rss_bytes = process.memory_info().rss
        return Usage(rss_bytes, pss_bytes, times.user + times.system, process.num_fds())
    return None


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as statm:
        return int(statm.read().split()[1]) * _PAGE
    return 0


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def cores() -> float:
    """Return how many cores this process may use: its affinity, and its control group's quota."""
    allowed = float(len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return min(allowed, int(quota) / int(period))
    return allowed


def memory_limit_bytes() -> int:
    """Return how much memory the tree may use: its control group's limit, or all there is."""
    everything = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):
        return min(everything, int((_CGROUP / "memory.max").read_text()))
    return everything


def disk_free_bytes(folder: str) -> int:
    """Return how much may still be written to the file system of `folder`; 0 where it does not answer."""
    with contextlib.suppress(OSError):
        system = os.statvfs(folder)
        return system.f_bavail * system.f_frsize
    return 0


def oom_kills() -> int:
    """Return how many processes of our control group the kernel has killed for want of memory."""
    with contextlib.suppress(OSError):
        for line in (_CGROUP / "memory.events").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def environment(folder: str) -> dict[str, object]:
    """Return what a reader needs to know of the machine to compare two reports."""
    usage = psutil.disk_usage(folder)
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": cores(),
        "memory_bytes": memory_limit_bytes(),
        "filesystem": _filesystem(folder),
        "disk_free_bytes": usage.free,
    }


def _filesystem(folder: str) -> str:
    real = os.path.realpath(folder)
    mounts = [part for part in psutil.disk_partitions(all=True) if _below(real, part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _below(path: str, mountpoint: str) -> bool:
    return os.path.commonpath([path, mountpoint]) == mountpoint

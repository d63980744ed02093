"""What this process holds, and giving back what nobody does."""

import ctypes
import gc
import os
import sys


def arrow_bytes() -> int:
    """Return what Arrow holds in this process; 0 where nothing has imported it."""
    arrow = sys.modules.get("pyarrow")
    return int(arrow.total_allocated_bytes()) if arrow is not None else 0


def release_unused() -> None:
    """Give back what Arrow's pool and malloc's heap keep for later, so that what is left is held by someone.

    Without it a burst, such as the one after a fault, leaves a heap with holes: a step that looks like a leak.
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


def release_memory() -> None:
    """Collect all that nobody holds, and give it back to the system."""
    gc.collect()
    release_unused()


def resident_bytes() -> int:
    """Return the memory that this process has in use now."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    """Return the most memory this process has held. Not `getrusage`: that remembers the parent's, from before exec."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0

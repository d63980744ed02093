"""What a run was measured on: figures without it mean nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time

LIBRARIES = ("numpy", "pandas", "pyarrow", "xxhash", "deltalake", "pylance")


def described(folder: str) -> dict[str, object]:
    """Return processor, memory, kernel, the file system that the folder is on, versions, and how busy it was."""
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _file_system(folder: str) -> str:
    """Type of the mount that is nearest above the folder."""
    folder = os.path.realpath(folder)
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = {fields[1]: fields[2] for fields in map(str.split, file)}
    return mounts[max((at for at in mounts if _is_above(at, folder)), key=len)]


def _is_above(mount: str, folder: str) -> bool:
    return mount in ("/", folder) or folder.startswith(mount + "/")


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

"""Which file system a folder is on, and whether a store may live there.

On a network's file system a link may report a loss that was a win, a lock may hold on one machine alone, and another
machine's new file may stay out of sight for a minute. The protocol needs all three to be as they are on a local disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_MOUNTS = "/proc/self/mountinfo"
_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gfs", "gpfs", "beegfs", "ncpfs", "davfs", "coda")
_REMOTE_IN_USER_SPACE = frozenset(
    {
        "sshfs",
        "s3fs",
        "rclone",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "blobfuse",
        "blobfuse2",
        "juicefs",
        "smbnetfs",
        "curlftpfs",
    }
)


def remote_file_system(path: str) -> str | None:
    """Return the type of a path's file system if it is a network's ("nfs4", ...), None otherwise.

    Of a path that is not there yet, the folder that it would be made in counts. None too where the system does not
    tell. Raises OSError where the path cannot be looked at.
    """
    path = os.path.realpath(path)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    device = os.stat(path).st_dev
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            kind = file_system(mounts, path, device)
    except OSError:
        return None
    return kind if is_remote(kind) else None


def file_system(mounts: Iterable[str], path: str, device: int) -> str:
    """Return the type that the lines of a mountinfo file (proc(5)) give for a real path on a device.

    The mount with this device number; where none has it (btrfs gives every subvolume its own), the one that the
    path lies deepest below, the later of two on the same folder. "" where there is neither.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    by_place = (-1, "")
    for line in mounts:
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ", 1)[0]
        if len(fields) < 5:
            continue
        if fields[2] == wanted:
            return kind
        folder = _unescaped(fields[4])
        if os.path.commonpath((folder, path)) == folder:
            by_place = max(by_place, (len(folder), kind), key=lambda found: found[0])
    return by_place[1]


def is_remote(kind: str) -> bool:
    """Whether a file system of this type keeps its files on another machine."""
    family, _, program = kind.partition(".")
    return kind.startswith(_REMOTE) or (family == "fuse" and program in _REMOTE_IN_USER_SPACE)


def _unescaped(folder: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        folder = folder.replace(code, char)
    return folder

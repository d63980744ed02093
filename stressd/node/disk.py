"""A disk of stressd's own for the embedded store, so that disk faults are done to nothing else.

An ext4 file system in one file of the state folder, mounted through a loop device in a mount namespace of this process
and its children. Nobody else sees the mount, and the kernel takes it away with the last of them, however they end:
there is nothing to undo after a kill. What was saved stays in the file, and is mounted again by who opens the folder.
"""

import contextlib
import ctypes
import glob
import os
import shutil
import subprocess
import time
from typing import Final, Self

from stressd.errors import UsageError

SIZE_BYTES: Final = 512 << 20
TOOL_TIMEOUT_S: Final = 30.0
LET_GO_WITHIN_S: Final = 15.0
NEEDED: Final = ("mount", "umount", "mkfs.ext4")
_FILLER: Final = "filler"
_CLONE_NEWNS: Final = 0x20000
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


class StoreDisk:
    """The mounted disk. For the main thread; `folder` is where the store goes."""

    def __init__(self, mounted_at: str) -> None:
        self._at = mounted_at
        self._read_only = False
        self.folder = os.path.join(mounted_at, "store")

    @classmethod
    def make(cls, image: str, mount_at: str) -> Self:
        """Make the file and mount it; UsageError says what it takes where that cannot be done."""
        _refuse_where_impossible(image)
        try:
            with open(image, "wb") as file:
                file.truncate(SIZE_BYTES)
            _run("mkfs.ext4", "-q", "-m", "0", "-F", image)
            return cls.attach(image, mount_at)
        except BaseException:
            os.unlink(image)
            raise

    @classmethod
    def attach(cls, image: str, mount_at: str) -> Self:
        """Mount what is there, for this process and those that it starts from now on."""
        _refuse_where_impossible(image)
        _wait_until_let_go(image)
        os.makedirs(mount_at, exist_ok=True)
        _leave_the_hosts_mounts()
        _run("mount", "-o", "loop,noatime", image, mount_at)
        disk = cls(mount_at)
        disk.empty()  # what a daemon that was killed has left
        return disk

    def detach(self) -> None:
        """Unmount it, as well as can be: who still has a file open keeps it until then."""
        _tool("umount", "--lazy", self._at)

    def fill(self) -> bool:
        """Leave no free block; again, when some have become free. False while it is read-only."""
        if self._read_only:
            return False
        fd = os.open(os.path.join(self._at, _FILLER), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while (free := os.statvfs(self._at)) and free.f_bavail:
                if not _grow(fd, free.f_bavail * free.f_frsize, free.f_frsize):
                    break
        finally:
            os.close(fd)
        return True

    def empty(self) -> None:
        """Give back what `fill` took."""
        filler = os.path.join(self._at, _FILLER)
        if os.path.exists(filler):
            os.unlink(filler)

    def set_read_only(self, read_only: bool) -> bool:
        """Make it so; False if a file is open for writing just now, or it is full by intent."""
        if read_only and os.path.exists(os.path.join(self._at, _FILLER)):
            return False
        done = _tool("mount", "-o", "remount,ro" if read_only else "remount,rw", self._at).returncode == 0
        self._read_only = read_only if done else self._read_only
        return done


def _grow(fd: int, size: int, least: int) -> bool:
    """Allocate so many bytes more, or fewer where the rest went meanwhile; False if there was not even `least`."""
    while size >= least:
        try:
            os.posix_fallocate(fd, os.fstat(fd).st_size, size)
        except OSError:
            size //= 2
        else:
            return True
    return False


def _refuse_where_impossible(image: str) -> None:
    missing = [tool for tool in NEEDED if shutil.which(tool, path=_PATH) is None]
    if os.geteuid() != 0 or missing:
        lacks = f"{', '.join(missing)} not found" if missing else "only root may mount"
        raise UsageError(
            f"{image}: a disk of stressd's own cannot be mounted here: {lacks}; run it where it can be, or choose "
            "another --state and leave out --allow-host-faults: faults of the disk are left out then"
        )


def _wait_until_let_go(image: str) -> None:
    """Wait for the kernel to unmount what an earlier daemon has left: two mounts of one image would ruin it."""
    deadline_s = time.monotonic() + LET_GO_WITHIN_S
    while os.path.realpath(image) in _images_in_use():
        if time.monotonic() > deadline_s:
            raise UsageError(f"{image}: still mounted by processes of an earlier daemon; end them first")
        time.sleep(0.02)


def _images_in_use() -> set[str]:
    images = set()
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            images.add(file.read().rstrip("\n"))
    return images


def _leave_the_hosts_mounts() -> None:
    """Have mounts of our own: those made from here on are seen by this thread and what it starts alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise UsageError(f"--allow-host-faults: no mount namespace of our own: {os.strerror(ctypes.get_errno())}")
    _run("mount", "--make-rprivate", "/")


def _run(*command: str) -> None:
    done = _tool(*command)
    if done.returncode != 0:
        raise UsageError(f"--allow-host-faults: {' '.join(command)} failed: {done.stderr.strip()}")


def _tool(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the system's own tools, our own arguments
        [shutil.which(command[0], path=_PATH) or command[0], *command[1:]],
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )

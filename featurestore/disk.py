"""Every file-system call of the store, one method each.

Whoever wants to trace a commit, to make its n-th call fail or to put it on something else than a local disk
does it here: nothing else in the package touches files. Thread-safe: there is no state but one flag.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # linux/fs.h, on most machines; elsewhere nobody listens
_FLAGS = struct.Struct("I4x")  # the kernel fills an int, whatever the header says
_TOP_OF_HIERARCHIES = 0x20000  # chattr +T
_LARGEST_WRITE = 1 << 30  # Linux writes at most 2 GiB at once


class Disk:
    """A local POSIX file system. With durable=False the two sync calls do nothing.

    All methods raise OSError unless they say otherwise.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable

    def create(self, path: str) -> int:
        """Return a new file, open for writing; FileExistsError where one is."""
        return os.open(path, _WRITE_NEW, 0o666)

    def write(self, fd: int, data: bytes | memoryview) -> None:
        """All of the data."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest[:_LARGEST_WRITE]) :]

    def start_writing(self, fd: int) -> None:
        """Hint that the file is to go to the disk now: files started together share one commit of the journal.

        The advice that pages are not needed makes Linux write them out; those being written stay in memory.
        """
        if self.durable:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, fd: int) -> None:
        """Wait until the file's content is on the disk.

        Never call it again after it failed: Linux marks the pages clean, and the second call succeeds.
        """
        if self.durable:
            os.fsync(fd)

    def sync_folder(self, path: str) -> None:
        """Wait until the folder's entries are on the disk."""
        if not self.durable:
            return
        fd = os.open(path, _FOLDER)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def link(self, path: str, new_path: str) -> None:
        """Give the file a second name; FileExistsError where the name is taken: the store's only decision."""
        os.link(path, new_path)

    def rename(self, path: str, new_path: str) -> None:
        """Replace what has the new name."""
        os.rename(path, new_path)

    def make_symlink(self, text: str, path: str) -> None:
        """Make a symbolic link to the text: a short one is there whole or not at all, and takes no room on the disk."""
        os.symlink(text, path)

    def read_symlink(self, path: str) -> str | None:
        """Return its text, None where there is nothing, "" where there is something else."""
        try:
            return os.readlink(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:
                return ""
            raise

    def make_folder(self, path: str) -> None:
        """Make the folder where it is absent; its parent exists."""
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def spread_folders(self, path: str) -> None:
        """Ask that folders made in this one from now on lie far from each other; OSError where nobody listens.

        ext4 then gives each a group of inodes of its own. Otherwise all files lie in one, and without a journal each
        new one looks through all inodes that were given back there in the last minutes.
        """
        fd = os.open(path, _FOLDER)
        try:
            (flags,) = _FLAGS.unpack(fcntl.ioctl(fd, _GET_FLAGS, bytes(_FLAGS.size)))
            fcntl.ioctl(fd, _SET_FLAGS, _FLAGS.pack(flags | _TOP_OF_HIERARCHIES))
        finally:
            os.close(fd)

    def remove(self, path: str) -> bool:
        """Remove the file; False where there was none."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def open(self, path: str) -> int:
        """Return an existing file, open for reading. It outlives its removal."""
        return os.open(path, _READ)

    def read(self, fd: int) -> tuple[bytes, os.stat_result]:
        """Return the whole file from its beginning, and its attributes."""
        status = os.fstat(fd)
        chunks = []
        offset = 0
        while chunk := os.pread(fd, max(status.st_size - offset, 1), offset):
            chunks.append(chunk)
            offset += len(chunk)
            if offset == status.st_size:
                break
        return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), status

    def status(self, fd: int) -> os.stat_result:
        """Attributes of an open file."""
        return os.fstat(fd)

    def close(self, fd: int) -> None:
        """Give the descriptor (and with it its lock) back."""
        os.close(fd)

    def stat(self, path: str) -> os.stat_result | None:
        """Attributes, None where there is nothing."""
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, path: str) -> list[str]:
        """Entries of a folder in no order; empty where it is absent."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return []

    def open_lock(self, path: str) -> int:
        """Return the file for flock, made where absent. Closing it releases the lock."""
        return os.open(path, _LOCK_FILE, 0o666)

    def try_lock(self, fd: int) -> bool:
        """Take the exclusive lock, if nobody holds it.

        The kernel frees it when the process dies, not in a pause.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ReadOnlyDisk(Disk):
    """A disk on which every call that would make, change or remove something raises OSError (EROFS).

    Nothing can be written either: there is no way to a descriptor for writing.
    """

    def create(self, path: str) -> int:
        """Refuse."""
        raise _read_only(path)

    def link(self, path: str, new_path: str) -> None:  # noqa: ARG002 - as in Disk
        """Refuse."""
        raise _read_only(new_path)

    rename = link

    def make_folder(self, path: str) -> None:
        """Refuse."""
        raise _read_only(path)

    spread_folders = make_folder

    def remove(self, path: str) -> bool:
        """Refuse."""
        raise _read_only(path)

    def make_symlink(self, text: str, path: str) -> None:  # noqa: ARG002 - as in Disk
        """Refuse."""
        raise _read_only(path)

    def open_lock(self, path: str) -> int:
        """Refuse: the file would be made."""
        raise _read_only(path)


def _read_only(path: str) -> OSError:
    return OSError(errno.EROFS, os.strerror(errno.EROFS), path)

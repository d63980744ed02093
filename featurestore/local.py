"""A store on a local disk: its folder, its id, its groups."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from typing import Protocol

from featurestore.disk import Disk
from featurestore.errors import InvalidConfig
from featurestore.group import Group, LocalGroup
from featurestore.layout import STORE_ID, STORE_ID_FORM
from featurestore.mounts import remote_file_system


class Backend(Protocol):
    """Where a store lies. `base` is its folder or URL. Methods raise OSError where they may not look."""

    base: str

    def open(self, *, read_only: bool) -> str:
        """Make the store where it is absent and may be made; returns its id. Raises InvalidConfig."""

    def group_names(self) -> list[str]:
        """Names of all groups, sorted, those too that were dropped or cannot be read."""

    def group(self, name: str) -> Group:
        """Return the parts of a group, which need not be there. The name is safe in a path."""


class LocalBackend:
    """A folder of a local disk. `clock` gives seconds since the epoch."""

    def __init__(self, base: str, disk: Disk, clock: Callable[[], float]) -> None:
        self.base = base
        self._disk = disk
        self._clock = clock

    def open(self, *, read_only: bool) -> str:
        """As `Backend` says."""
        return self._open() if read_only else self._create()

    def group_names(self) -> list[str]:
        """As `Backend` says. Looks at folders alone."""
        entries = self._disk.names(self.base)
        return sorted(e for e in entries if self._disk.stat(f"{self.base}/{e}/log") is not None)

    def group(self, name: str) -> Group:
        """As `Backend` says."""
        return LocalGroup(self._disk, self.base, name, self._clock)

    def _create(self) -> str:
        """Make the base and its id where absent; returns the id."""
        try:
            self._refuse_remote()
            self._make_base(self.base)
            return self._read_id() or self._make_id()
        except OSError as error:
            raise InvalidConfig(f"base_path {self.base} cannot be used: {error}; name a folder") from error

    def _open(self) -> str:
        """Return the id of the store that is there, "" where a power cut took it."""
        try:
            self._disk.names(self.base)  # raises where it is no folder
            if self._disk.stat(f"{self.base}/{STORE_ID}") is not None:
                self._refuse_remote()
                return self._read_id()
        except OSError as error:
            raise InvalidConfig(f"base_path {self.base} cannot be read: {error}; name a store's folder") from error
        what = "is no store" if os.path.isdir(self.base) else "does not exist"
        raise InvalidConfig(f"base_path {self.base} {what}; name the folder that a store was made in")

    def _refuse_remote(self) -> None:
        remote = remote_file_system(self.base)
        if remote is not None:
            raise InvalidConfig(
                f"base_path {self.base} is on a network file system ({remote}), where neither links nor locks can "
                "be relied on; name a folder on a local disk"
            )

    def _make_base(self, path: str) -> None:
        if self._disk.stat(path) is None:
            self._make_base(os.path.dirname(path))
            self._disk.make_folder(path)
        self._disk.names(path)  # raises where it is no folder

    def _read_id(self) -> str:
        try:
            fd = self._disk.open(f"{self.base}/{STORE_ID}")
        except FileNotFoundError:
            return ""
        try:
            found = self._disk.read(fd)[0]
        finally:
            self._disk.close(fd)
        return found.decode() if STORE_ID_FORM.fullmatch(found) else ""

    def _make_id(self) -> str:
        """Have the base itself on the disk, then give it an id: whoever finds one need not wonder who made the base.

        That the id stays is the first save's care, as for everything in the base.
        """
        with contextlib.suppress(OSError):  # a hint, for the sake of speed
            self._disk.spread_folders(self.base)
        self._settle_base()
        draft = f"{self.base}/{STORE_ID}.{uuid.uuid4().hex}"
        fd = self._disk.create(draft)
        try:
            self._disk.write(fd, uuid.uuid4().hex.encode())
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        path = f"{self.base}/{STORE_ID}"
        try:
            self._disk.link(draft, path)
        except FileExistsError:  # another process opened it at the same moment, or a power cut emptied it
            if not self._read_id():
                self._disk.rename(draft, path)
        self._disk.remove(draft)
        return self._read_id()

    def _settle_base(self) -> None:
        """Any folder above the base may be new, made by this process or another one a moment ago."""
        folder, above = self.base, os.path.dirname(self.base)
        while above != folder and self._device(above) == self._device(folder):
            with contextlib.suppress(PermissionError):  # not ours to read, hence not ours
                self._disk.sync_folder(above)
            folder, above = above, os.path.dirname(above)

    def _device(self, path: str) -> int | None:
        status = self._disk.stat(path)
        return status.st_dev if status is not None else None

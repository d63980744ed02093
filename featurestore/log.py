"""The numbered manifests of one group: which is the head, and publishing the next.

A manifest is published by linking it to the number after the head, which succeeds for one writer only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from featurestore import manifest
from featurestore.disk import Disk
from featurestore.errors import CorruptFeature, FeatureStoreError
from featurestore.layout import GroupLayout
from featurestore.manifest import EMPTY, Manifest

_WALK_AT_MOST = 64  # further behind than this, listing the folder is cheaper than asking number by number
_FIND_TRIES = 1000


@dataclass(frozen=True, slots=True)
class _Head:
    manifest: Manifest
    path: str
    next_path: str
    identity: tuple[int, int]  # tells a store that was deleted and made anew from the one we knew


class CommitLog(Protocol):
    """What anybody may ask of a group's log, wherever it lies. `folder` and `horizon_path` are for messages."""

    folder: str
    horizon_path: str

    def head(self) -> Manifest:
        """Return the newest manifest, EMPTY where there is none; as new as any commit acknowledged before."""

    def read(self, number: int) -> Manifest:
        """Return this commit; FileNotFoundError if it is not there (any more), CorruptFeature if it is damaged."""

    def exists(self, number: int) -> bool:
        """Whether the commit is there."""

    def numbers(self) -> list[int]:
        """Numbers of the commits that are there, ascending."""

    def horizon(self) -> int:
        """Numbers below this one may be gone at any moment."""

    def path(self, number: int) -> str:
        """Where the manifest of this number lies."""


class Log:
    """Reads and extends a group's log. Thread-safe: the remembered head is replaced whole."""

    def __init__(self, disk: Disk, layout: GroupLayout) -> None:
        self._disk = disk
        self._layout = layout
        self.folder = layout.log
        self.horizon_path = layout.horizon
        self._head: _Head | None = None

    def path(self, number: int) -> str:
        """Where the manifest of this number lies."""
        return f"{self._layout.log}/{number:020d}"

    def head(self) -> Manifest:
        """Return the newest manifest, EMPTY where there is none.

        At least as new as any commit acknowledged before the call. Costs two stats where nothing changed, and
        their order matters: N is the head if N + 1 is absent and N is
        *then* still present; a collector removes N before N + 1, so a reader it overtook notices.
        """
        known = self._head
        if known is not None and self._disk.stat(known.next_path) is None:
            status = self._disk.stat(known.path)
            if status is not None and _identity(status) == known.identity:
                return known.manifest
        return self._find(known.manifest.number if known is not None else 0)

    def read(self, number: int) -> Manifest:
        """Return this manifest; FileNotFoundError if it is not there (any more), CorruptFeature if it is damaged."""
        return self._read(number)[0]

    def exists(self, number: int) -> bool:
        """Whether the manifest is there."""
        return self._disk.stat(self.path(number)) is not None

    def numbers(self) -> list[int]:
        """Numbers listed, ascending. What is published or removed meanwhile may be missing."""
        return sorted(int(name) for name in self._disk.names(self._layout.log) if name.isdigit())

    def publish(self, path: str, number: int) -> bool:
        """Make the manifest in `path` number `number`; False if another one has that number."""
        try:
            self._disk.link(path, self.path(number))
        except FileExistsError:
            return False
        return True

    def remember(self, published: Manifest, status: os.stat_result) -> None:
        """Take this process's own commit, with its file's attributes, for the head: it need not be read back."""
        known = self._head
        if known is None or known.manifest.number < published.number:
            number = published.number
            self._head = _Head(published, self.path(number), self.path(number + 1), _identity(status))

    def horizon(self) -> int:
        """Numbers below this one may be gone at any moment; writers must not build on them.

        Raises CorruptFeature where it is no link to a number.
        """
        text = self._disk.read_symlink(self._layout.horizon)
        try:
            return int(text) if text is not None else 0
        except ValueError as error:
            path, base = self._layout.horizon, self._layout.base
            raise CorruptFeature(f"{path} holds no number; run: featurestore recover {base}", path) from error

    def _find(self, start: int) -> Manifest:
        for _ in range(_FIND_TRIES):
            number = self._walk(start) if start else self._highest()
            start = 0
            if number == 0 and self.horizon() == 0:
                return EMPTY
            try:
                found, identity = self._read(number)
            except FileNotFoundError:
                continue  # collected between the two looks: a newer one exists
            self._head = _Head(found, self.path(number), self.path(number + 1), identity)
            return found
        raise FeatureStoreError(f"{self._layout.log}: its head moved {_FIND_TRIES} times while it was looked for")

    def _highest(self) -> int:
        number = max(self.numbers(), default=0)
        while self._disk.stat(self.path(number + 1)) is not None:
            number += 1
        return number

    def _walk(self, number: int) -> int:
        for step in range(number + 1, number + _WALK_AT_MOST + 1):
            if self._disk.stat(self.path(step)) is None:
                return step - 1
        return self._highest()

    def _read(self, number: int) -> tuple[Manifest, tuple[int, int]]:
        path = self.path(number)
        like = self._head.manifest if self._head is not None else EMPTY
        for last_try in (False, True):
            fd = self._disk.open(path)
            try:
                data, status = self._disk.read(fd)
            finally:
                self._disk.close(fd)
            try:
                found = manifest.decode(data, number, like)
            except (ValueError, KeyError, TypeError) as error:
                if last_try:
                    advice = f"run: featurestore recover {self._layout.base}"
                    raise CorruptFeature(f"manifest {path} is damaged: {error}; {advice}", path) from error
            else:
                return found, _identity(status)
        raise AssertionError("unreachable")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns

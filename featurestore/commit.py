"""Publishing a group's next commit: pin, data files, manifest, link, and what each failure means.

The order is the protocol. A pin stands before the first data file, so that collection leaves our files and the
numbers we build on alone. Data and manifest are on the disk before the link, so that whoever sees the commit can
read it; the log's folder is on the disk before the caller hears of it. The link decides, and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import random
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from featurestore.datafile import Encoded
from featurestore.disk import Disk
from featurestore.errors import CommitUnknown, FeatureStoreError, SaveFailed
from featurestore.layout import GroupLayout
from featurestore.log import Log
from featurestore.manifest import Entry, Manifest
from featurestore.turn import Turn

_OPEN_FILES = 128
_TRIES = 1000
_PIN_TRIES = 100
_LONGEST_PAUSE_S = 0.05


@dataclass(slots=True)
class _Transaction:
    """What one save has put on the disk so far."""

    txn: str
    pin: str = ""
    pin_fd: int = -1
    manifest: str = ""
    files: list[str] = field(default_factory=list)
    outcome_known: bool = True


class Writer:
    """Commits to one group. Thread-safe; any number of threads and processes may commit at once."""

    def __init__(self, disk: Disk, layout: GroupLayout, log: Log) -> None:
        self._disk = disk
        self._layout = layout
        self._log = log
        self._turn = Turn(disk, layout.turn)
        self._settled: set[str] = set()  # folders that this process knows to be on the disk
        self._count = threading.Lock()
        self.commits = 0
        self.conflicts = 0

    def commit(self, features: Mapping[str, Encoded]) -> Manifest:
        """Make these files the group's newest ones, all at once, and returns the manifest that says so.

        Raises SaveFailed if nothing was saved, CommitUnknown if that cannot be told.
        """
        return self._run(features, drop=False)

    def drop(self) -> Manifest:
        """Commit that the group has no feature any more. Numbers go on: they are never used twice."""
        return self._run({}, drop=True)

    def _run(self, features: Mapping[str, Encoded], *, drop: bool) -> Manifest:
        save = _Transaction(uuid.uuid4().hex)
        try:
            self._settle(self._layout.folders())
            self._take_pin(save)
            self._write_files(save, features)
            published = self._publish(save, features, drop=drop)
        except FeatureStoreError:
            raise
        except Exception as error:
            if not save.outcome_known:
                message = f"{self._layout.root}: {error!r} between link and answer; read it to see"
                raise CommitUnknown(message) from error
            if isinstance(error, OSError):
                self._settled.clear()  # whoever took a folder away took what we know of it
                raise SaveFailed(f"{self._layout.root}: nothing was saved: {error}") from error
            raise
        finally:
            self._release(save)
        with self._count:
            self.commits += 1
        return published

    def _take_pin(self, save: _Transaction) -> None:
        """Return a locked file named after a number that we shall not build below. Locked before it can be found."""
        number = self._log.head().number
        for _ in range(_PIN_TRIES):
            path = f"{self._layout.pins}/{save.txn}.new"
            try:
                save.pin_fd = self._disk.create(path)
            except FileNotFoundError:
                self._settled.clear()  # somebody removed the group's folder
                self._settle(self._layout.folders())
                continue
            save.pin = path
            pin = f"{self._layout.pins}/{number:020d}-{save.txn}"
            if self._disk.try_lock(save.pin_fd):
                with contextlib.suppress(FileNotFoundError):
                    self._disk.rename(path, pin)
                    save.pin = pin
                    return
            self._disk.close(save.pin_fd)  # a sweep took it for a dead one: before we locked it
            save.pin_fd = -1
            self._disk.remove(path)
        raise SaveFailed(f"{self._layout.pins}: no pin stood for long enough in {_PIN_TRIES} tries")

    def _write_files(self, save: _Transaction, features: Mapping[str, Encoded]) -> None:
        folders = {name: f"{self._layout.data}/{name}" for name in features}
        self._settle([(folder, self._layout.data) for folder in folders.values()])
        names = list(features)
        for start in range(0, len(names), _OPEN_FILES):
            self._write_batch(save, {n: features[n] for n in names[start : start + _OPEN_FILES]}, folders)
        for folder in folders.values():
            self._disk.sync_folder(folder)

    def _write_batch(self, save: _Transaction, features: Mapping[str, Encoded], folders: dict[str, str]) -> None:
        """All are written before the first is synced, so that the disk can take them together."""
        opened = []
        with contextlib.ExitStack() as closing:
            for name, encoded in features.items():
                path = f"{folders[name]}/{save.txn}.{encoded.ending}"
                fd = self._disk.create(path)
                closing.callback(self._disk.close, fd)
                opened.append(fd)
                save.files.append(path)
                self._disk.write(fd, encoded.data)
            for fd in opened:
                self._disk.start_writing(fd)
            for fd in opened:
                self._disk.sync(fd)

    def _settle(self, folders: list[tuple[str, str]]) -> None:
        """Make folders, and has each parent on the disk before anything relies on it.

        A folder that another process made a moment ago counts as new: that one may die before its own sync. Folders
        are never removed, or what we know of one would hold for the one that was made after it.
        """
        new = [(folder, parent) for folder, parent in folders if folder not in self._settled]
        for folder, _ in new:
            self._disk.make_folder(folder)
        for parent in dict.fromkeys(parent for _, parent in new):
            self._disk.sync_folder(parent)
        self._settled.update(folder for folder, _ in new)

    def _publish(self, save: _Transaction, features: Mapping[str, Encoded], *, drop: bool) -> Manifest:
        with self._turn.hold():
            for attempt in range(_TRIES):
                base = self._base()
                kept = {} if drop else dict(base.features)
                ours = {name: _entry(name, save.txn, base.number + 1, e) for name, e in features.items()}
                following = Manifest(base.number + 1, save.txn, MappingProxyType({**kept, **ours}))
                self._write_manifest(save, following)
                if self._link(save, following):
                    self._settle_link(save)
                    return following
                with self._count:
                    self.conflicts += 1
                if attempt:  # the first loss may be chance; then spread out
                    time.sleep(random.uniform(0, min(0.001 * 2**attempt, _LONGEST_PAUSE_S)))  # noqa: S311 - jitter
        raise SaveFailed(f"{self._layout.root}: {_TRIES} other commits were faster; nothing was saved")

    def _base(self) -> Manifest:
        """Return the head to build on; never one that collection may already have passed."""
        for _ in range(_TRIES):
            base = self._log.head()
            if base.number >= self._log.horizon():
                return base
        raise SaveFailed(f"{self._layout.log}: its head stays below its horizon; restore the missing manifests")

    def _write_manifest(self, save: _Transaction, following: Manifest) -> None:
        if save.manifest:
            self._disk.remove(save.manifest)
        path = f"{self._layout.tmp}/{save.txn}"
        fd = self._disk.create(path)
        save.manifest = path
        try:
            self._disk.write(fd, following.encode())
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)

    def _link(self, save: _Transaction, following: Manifest) -> bool:
        save.outcome_known = False
        try:
            won = self._log.publish(save.manifest, following.number)
        except OSError as error:
            won = self._is_ours(save, following.number)
            if not won and error.errno == errno.EIO:
                raise CommitUnknown(f"{self._log.path(following.number)}: {error}; read it to see") from error
            save.outcome_known = not won
            if not won:
                raise
        if not won:
            won = self._is_ours(save, following.number)
            save.outcome_known = not won
        return won

    def _is_ours(self, save: _Transaction, number: int) -> bool:
        """Whether the log holds our transaction at this number, whatever the call said."""
        try:
            return self._log.read(number).txn == save.txn
        except FileNotFoundError:
            return False
        except (OSError, FeatureStoreError) as error:
            raise CommitUnknown(f"{self._log.path(number)} cannot be read: {error}; read it to see") from error

    def _settle_link(self, save: _Transaction) -> None:
        try:
            self._disk.sync_folder(self._layout.log)
        except OSError as error:
            raise CommitUnknown(f"{self._layout.log}: {error}; the save is visible, but may not survive") from error
        save.files.clear()
        save.outcome_known = True

    def _release(self, save: _Transaction) -> None:
        """Remove what a failed save wrote, and our pin last. What cannot be removed, a sweep will find."""
        leavings = [save.manifest, *(save.files if save.outcome_known else ()), save.pin]
        for path in filter(None, leavings):
            with contextlib.suppress(OSError):
                self._disk.remove(path)
        if save.pin_fd >= 0:
            with contextlib.suppress(OSError):  # the save is decided; and what fails to close is closed
                self._disk.close(save.pin_fd)


def _entry(name: str, txn: str, number: int, encoded: Encoded) -> Entry:
    return Entry(f"{name}/{txn}.{encoded.ending}", number, encoded.rows, len(encoded.data), encoded.checksum)

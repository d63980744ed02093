"""Publishing a group's next commit: pin, data files, manifest, link, and what each failure means.

The order is the protocol. A pin stands before the first data file, so that collection leaves our files and the
numbers we build on alone. Data and manifest are on the disk before the link, so that whoever sees the commit can
read it; the log's folder is on the disk before the caller hears of it. The link decides, and nothing else.

The manifest is drafted beside the data files, in the hope that nobody commits meanwhile: then one wait for the disk
does for both. Where another writer was faster, it is drafted anew, in turn. The first draft is written into the pin
itself, and one file less has to be made and removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from featurestore.datafile import Encoded
from featurestore.disk import Disk
from featurestore.errors import CommitUnknown, FeatureStoreError, SaveFailed
from featurestore.layout import GroupLayout
from featurestore.log import Log
from featurestore.manifest import EMPTY, Entry, Manifest, laid_over
from featurestore.turn import Turn

_OPEN_FILES = 128
_TRIES = 1000
_PIN_TRIES = 100
_LONGEST_PAUSE_S = 0.05


class _Written(NamedTuple):
    """A data file on the disk: what its entry will say, but for the commit's number."""

    file: str
    rows: int
    bytes: int
    checksum: str


@dataclass(slots=True)
class _Transaction:
    """What one save has put on the disk so far."""

    txn: str
    drop: bool
    pin: str = ""
    pin_fd: int = -1
    base: Manifest = EMPTY  # the head when the pin was taken, later the one that the draft builds on
    written: dict[str, _Written] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    draft: str = ""  # the pin, or a file of its own
    following: Manifest = EMPTY  # what the draft says
    status: os.stat_result | None = None  # of the draft
    outcome_known: bool = True

    def follow(self, base: Manifest) -> Manifest:
        """Return the manifest of this save on top of the base."""
        number = base.number + 1
        ours = {name: Entry(w.file, number, w.rows, w.bytes, w.checksum) for name, w in self.written.items()}
        return Manifest(number, self.txn, MappingProxyType(ours if self.drop else laid_over(base.features, ours)))


class Writer:
    """Commits to one group. Thread-safe; any number of threads and processes may commit at once."""

    def __init__(self, disk: Disk, layout: GroupLayout, log: Log) -> None:
        self._disk = disk
        self._layout = layout
        self._log = log
        self._turn = Turn(disk, layout.turn)
        self._settled: set[str] = set()  # folders that this process knows to be on the disk
        self._undisturbed = True  # nobody committed in the middle of this process's last save
        self._last = EMPTY  # what that one published
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
        save = _Transaction(uuid.uuid4().hex, drop)
        try:
            self._settle(self._layout.folders())
            self._take_pin(save)
            self._write_files(save, features)
            published = self._publish(save)
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
        save.base = self._last if self._undisturbed and self._last.number else self._log.head()
        for _ in range(_PIN_TRIES):
            path = f"{self._layout.pins}/{save.txn}.new"
            try:
                save.pin_fd = self._disk.create(path)
            except FileNotFoundError:
                self._settled.clear()  # somebody removed the group's folder
                self._settle(self._layout.folders())
                continue
            save.pin = path
            pin = f"{self._layout.pins}/{save.base.number:020d}-{save.txn}"
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
        folders = [f"{self._layout.data}/{name}" for name in features]
        self._settle([(folder, self._layout.data) for folder in folders])
        waiting = list(features.items())
        while waiting:
            batch, waiting = waiting[:_OPEN_FILES], waiting[_OPEN_FILES:]
            self._write_batch(save, batch, with_draft=self._undisturbed and not waiting)
        for folder in folders:
            self._disk.sync_folder(folder)

    def _write_batch(self, save: _Transaction, batch: list[tuple[str, Encoded]], *, with_draft: bool) -> None:
        """All are written before the first is synced, so that the disk can take them together."""
        with contextlib.ExitStack() as closing:
            opened = [self._write_file(save, name, encoded, closing) for name, encoded in batch]
            if with_draft:
                opened.append(self._write_draft(save, closing))
            for fd in opened:
                self._disk.start_writing(fd)
            for fd in opened:
                self._disk.sync(fd)

    def _write_file(self, save: _Transaction, name: str, encoded: Encoded, closing: contextlib.ExitStack) -> int:
        file = f"{name}/{save.txn}.{encoded.ending}"
        path = f"{self._layout.data}/{file}"
        fd = self._disk.create(path)
        closing.callback(self._disk.close, fd)
        save.files.append(path)
        size, checksum = encoded.write(lambda data: self._disk.write(fd, data))
        save.written[name] = _Written(file, encoded.rows, size, checksum)
        return fd

    def _write_draft(self, save: _Transaction, closing: contextlib.ExitStack) -> int:
        """Write the manifest that follows the save's base, in place of an older draft; the file is still open."""
        fd, path = save.pin_fd, save.pin
        if save.draft:
            if save.draft != save.pin:
                self._disk.remove(save.draft)
            path = f"{self._layout.tmp}/{save.txn}"
            fd = self._disk.create(path)
            closing.callback(self._disk.close, fd)
        save.draft, save.following = path, save.follow(save.base)
        self._disk.write(fd, save.following.encode())
        save.status = self._disk.status(fd)
        return fd

    def _settle(self, folders: list[tuple[str, str]]) -> None:
        """Make folders, and has each parent on the disk before anything relies on it.

        A folder that another process made a moment ago counts as new: that one may die before its own sync. Folders
        are never removed, or what we know of one would hold for the one that was made after it.
        """
        new = [(folder, parent) for folder, parent in folders if folder not in self._settled]
        for folder, _ in new:
            self._disk.make_folder(folder)
            if folder == self._layout.data:
                with contextlib.suppress(OSError):  # a hint, for the sake of speed
                    self._disk.spread_folders(folder)
        for parent in dict.fromkeys(parent for _, parent in new):
            self._disk.sync_folder(parent)
        self._settled.update(folder for folder, _ in new)

    def _publish(self, save: _Transaction) -> Manifest:
        alone = self._undisturbed and self._disk.stat(self._layout.recovering) is None
        if alone and self._is_published(save):  # nobody seems to be there to take turns with
            return save.following
        with self._turn.hold():
            for attempt in range(_TRIES):
                if self._is_published(save):
                    return save.following
                if attempt:  # the first loss may be chance; then spread out
                    time.sleep(random.uniform(0, min(0.001 * 2**attempt, _LONGEST_PAUSE_S)))  # noqa: S311 - jitter
        raise SaveFailed(f"{self._layout.root}: {_TRIES} other commits were faster; nothing was saved")

    def _is_published(self, save: _Transaction) -> bool:
        following = self._up_to_date(save)
        if not self._link(save, following):
            self._undisturbed = False
            with self._count:
                self.conflicts += 1
            return False
        self._settle_link(save)
        return True

    def _up_to_date(self, save: _Transaction) -> Manifest:
        """Return what the draft says, once it builds on the head."""
        base = self._base()
        if base.number < save.base.number:  # our pin, above what we would build on, would not hold collection back
            self._last = EMPTY
            raise SaveFailed(f"{self._layout.root}: somebody removed it and made it anew; save again")
        self._undisturbed = (base.number, base.txn) == (save.base.number, save.base.txn)
        if save.following is EMPTY or not self._undisturbed:
            save.base = base
            with contextlib.ExitStack() as closing:
                self._disk.sync(self._write_draft(save, closing))
        if base.number and base.txn != self._last.txn:
            self._disk.sync_folder(self._layout.log)  # another's link may only be visible: ours must not outlive it
        return save.following

    def _base(self) -> Manifest:
        """Return the head to build on; never one that collection may already have passed."""
        for _ in range(_TRIES):
            base = self._log.head()
            if base.number >= self._log.horizon():
                return base
        raise SaveFailed(f"{self._layout.log}: its head stays below its horizon; restore the missing manifests")

    def _link(self, save: _Transaction, following: Manifest) -> bool:
        save.outcome_known = False
        try:
            won = self._log.publish(save.draft, following.number)
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
        if save.status is not None:
            self._log.remember(save.following, save.status)
        try:
            self._disk.sync_folder(self._layout.log)
        except OSError as error:
            raise CommitUnknown(f"{self._layout.log}: {error}; the save is visible, but may not survive") from error
        save.files.clear()
        save.outcome_known = True
        self._last = save.following

    def _release(self, save: _Transaction) -> None:
        """Remove what a failed save wrote, and our pin last. What cannot be removed, a sweep will find."""
        leavings = [*(save.files if save.outcome_known else ()), save.pin]
        for path in filter(None, [save.draft, *leavings] if save.draft != save.pin else leavings):
            with contextlib.suppress(OSError):
                self._disk.remove(path)
        if save.pin_fd >= 0:
            with contextlib.suppress(OSError):  # the save is decided; and what fails to close is closed
                self._disk.close(save.pin_fd)

"""One group: its log, writer, reader and collector put together, and when to collect."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from featurestore.collection import Collected, Collector
from featurestore.commit import Writer
from featurestore.datafile import Encoded
from featurestore.disk import Disk
from featurestore.errors import CorruptFeature
from featurestore.history import Revision, revisions
from featurestore.inspection import Inspection, Inspector
from featurestore.layout import GroupLayout
from featurestore.log import CommitLog, Log
from featurestore.manifest import EMPTY, Manifest
from featurestore.reader import DiskReader, Overtaken, Reader

_SWEEP_AT_MOST = 1000  # a sweep reads every kept manifest; unasked it is only done where that is quick


class Committer(Protocol):
    """What publishes a group's commits. Thread-safe; counts this process's commits and lost races."""

    commits: int
    conflicts: int

    def commit(self, features: Mapping[str, Encoded]) -> Manifest:
        """Make these files the group's newest ones, and return the manifest that says so."""

    def drop(self) -> Manifest:
        """Commit that the group has no feature any more."""


class Group(ABC):
    """The parts of one group, as one process sees it, wherever it lies. Thread-safe."""

    def __init__(self, name: str, log: CommitLog, writer: Committer, reader: Reader) -> None:
        self.name = name
        self.log = log
        self.writer = writer
        self.reader = reader
        self._seen_lock = threading.Lock()
        self._seen = EMPTY

    def replaced_by(self, manifest: Manifest) -> list[str]:
        """Paths of files that were the newest when this was last asked and are no more."""
        if manifest is self._seen:
            return []
        with self._seen_lock:
            seen = self._seen
            if manifest.number <= seen.number:
                return []
            self._seen = manifest
        return [self.reader.path(entry) for entry in seen.replaced_by(manifest)]

    def check_overtaken(self, manifest: Manifest, overtaken: Overtaken) -> None:
        """Raise CorruptFeature where a file is gone although its commit is kept.

        Commits go before their files, so this is damage. Where recovery dropped the commit meanwhile, it is not.
        """
        try:
            kept = not self.log.read(manifest.number).void
        except FileNotFoundError:
            return
        if kept:
            raise CorruptFeature(f"{overtaken} is missing; save the feature again", str(overtaken)) from overtaken

    def has_leavings(self) -> bool:
        """Whether it shows, without reading much, that saves are in progress or died in progress."""
        return False

    @abstractmethod
    def collect_in_passing(self, keep_versions: int, grace_s: float) -> None:
        """Collect if it is time; to be called after each commit.

        So seldom that the cost per commit stays the same, however many commits are kept.
        """

    @abstractmethod
    def collect(self, keep_versions: int, grace_s: float) -> Collected:
        """Collect now, and sweep."""

    @abstractmethod
    def inspect(self) -> Inspection:
        """Read every kept file, and tell which are damaged or missing."""

    @abstractmethod
    def history(self) -> list[Revision]:
        """Return the kept commits, newest first."""

    @abstractmethod
    def file_sizes(self) -> Iterator[int]:
        """Bytes of every file of the group."""


class LocalGroup(Group):
    """A group on a local disk. `clock` gives seconds since the epoch."""

    def __init__(self, disk: Disk, base: str, name: str, clock: Callable[[], float]) -> None:
        layout = GroupLayout(base, name)
        log = Log(disk, layout)
        super().__init__(name, log, Writer(disk, layout, log), DiskReader(disk, layout.data))
        self.collector = Collector(disk, layout, log, clock)
        self._disk = disk
        self._layout = layout
        self._local_log = log
        self._lock = threading.Lock()
        self._commits = 0  # since the last collection
        self._due_at: int | None = None
        self._swept = False

    def has_leavings(self) -> bool:
        """As `Group` says."""
        return self.collector.has_leavings()

    def collect_in_passing(self, keep_versions: int, grace_s: float) -> None:
        """As `Group` says."""
        with self._lock:
            self._commits += 1
            if self._commits < (self._due_at or keep_versions):
                return
            self._commits = 0
            kept = len(self.log.numbers())
            self._due_at = max(keep_versions, kept // 4)
            sweep, self._swept = not self._swept and kept <= _SWEEP_AT_MOST, True
        self.collector.collect(keep_versions, grace_s, sweep=sweep)

    def collect(self, keep_versions: int, grace_s: float) -> Collected:
        """As `Group` says."""
        return self.collector.collect(keep_versions, grace_s, sweep=True)

    def inspect(self) -> Inspection:
        """As `Group` says."""
        return Inspector(self.log, self.reader, self.name).inspect()

    def history(self) -> list[Revision]:
        """As `Group` says."""
        return list(revisions(self._disk, self._local_log))

    def file_sizes(self) -> Iterator[int]:
        """As `Group` says."""
        data = [f"{self._layout.data}/{name}" for name in self._disk.names(self._layout.data)]
        for folder in [self._layout.log, self._layout.pins, self._layout.tmp, *data]:
            for name in self._disk.names(folder):
                status = self._disk.stat(f"{folder}/{name}")
                if status is not None:
                    yield status.st_size

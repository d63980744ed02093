"""One group: its log, writer, reader and collector put together, and when to collect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from featurestore.collection import Collected, Collector
from featurestore.commit import Writer
from featurestore.disk import Disk
from featurestore.errors import CorruptFeature
from featurestore.history import Revision, revisions
from featurestore.inspection import Inspection, Inspector
from featurestore.layout import GroupLayout
from featurestore.log import Log
from featurestore.manifest import EMPTY, Manifest
from featurestore.reader import Overtaken, Reader

_SWEEP_AT_MOST = 1000  # a sweep reads every kept manifest; unasked it is only done where that is quick


class Group:
    """The parts of one group, as one process sees it. Thread-safe.

    `clock` gives seconds since the epoch.
    """

    def __init__(self, disk: Disk, base: str, name: str, clock: Callable[[], float]) -> None:
        layout = GroupLayout(base, name)
        self.name = name
        self.log = Log(disk, layout)
        self.writer = Writer(disk, layout, self.log)
        self.reader = Reader(disk, layout.data)
        self.collector = Collector(disk, layout, self.log, clock)
        self._disk = disk
        self._layout = layout
        self._lock = threading.Lock()
        self._seen = EMPTY
        self._commits = 0  # since the last collection
        self._due_at: int | None = None
        self._swept = False

    def replaced_by(self, manifest: Manifest) -> list[str]:
        """Paths of files that were the newest when this was last asked and are no more."""
        if manifest is self._seen:
            return []
        with self._lock:
            seen = self._seen
            if manifest.number <= seen.number:
                return []
            self._seen = manifest
        kept = manifest.files() if seen.features else set()
        return [self.reader.path(entry) for entry in seen.features.values() if entry.file not in kept]

    def collect_in_passing(self, keep_versions: int, grace_s: float) -> None:
        """Collect if it is time; to be called after each commit.

        So seldom that the cost per commit stays the same, however many commits are kept.
        """
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
        """Collect now, and sweeps."""
        return self.collector.collect(keep_versions, grace_s, sweep=True)

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

    def inspect(self) -> Inspection:
        """Read every kept file, and tell which are damaged or missing."""
        return Inspector(self._disk, self._layout, self.log, self.reader, self.name).inspect()

    def history(self) -> list[Revision]:
        """Return the kept commits, newest first."""
        return list(revisions(self._disk, self.log))

    def file_sizes(self) -> Iterator[int]:
        """Bytes of every file of the group."""
        data = [f"{self._layout.data}/{name}" for name in self._disk.names(self._layout.data)]
        for folder in [self._layout.log, self._layout.pins, self._layout.tmp, *data]:
            for name in self._disk.names(folder):
                status = self._disk.stat(f"{folder}/{name}")
                if status is not None:
                    yield status.st_size

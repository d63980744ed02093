"""One group on an object store: its parts put together, and when to collect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from featurestore.collection import Collected
from featurestore.errors import CorruptFeature
from featurestore.group import Group
from featurestore.history import Revision, damaged, revision
from featurestore.inspection import Inspection, Inspector
from featurestore.manifest import Manifest
from featurestore.objects.bucket import Bucket
from featurestore.objects.collection import ObjectCollector
from featurestore.objects.commit import ObjectWriter
from featurestore.objects.log import ObjectLog
from featurestore.objects.reader import ObjectReader

_DUE_AT_LEAST = 32  # commits
_SWEEP_AT_MOST_EVERY_S = 60.0


class ObjectGroup(Group):
    """A group on an object store. `clock` gives the server's seconds since the epoch."""

    def __init__(self, bucket: Bucket, name: str, clock: Callable[[], float], orphan_s: float) -> None:
        data = f"{name}/data"
        log = ObjectLog(bucket, name)
        writer = ObjectWriter(bucket, log, data)
        super().__init__(name, log, writer, ObjectReader(bucket, data))
        self._objects_log = log
        self._collector = ObjectCollector(bucket, log, writer, data, clock)
        self._bucket = bucket
        self._orphan_s = orphan_s
        self._lock = threading.Lock()
        self._commits = 0  # since the last collection
        self._sweep_at_s = time.monotonic()

    def collect_in_passing(self, keep_versions: int, grace_s: float) -> None:
        """As `Group` says. Removes at most twice as many commits as came since the last time."""
        due = max(keep_versions, _DUE_AT_LEAST)
        with self._lock:
            self._commits += 1
            if self._commits < due:
                return
            self._commits = 0
            now_s = time.monotonic()
            sweep = now_s >= self._sweep_at_s
            if sweep:
                self._sweep_at_s = now_s + max(self._orphan_s, _SWEEP_AT_MOST_EVERY_S)
        self._collector.expire(keep_versions, grace_s, at_most=2 * due)
        if sweep:
            self._collector.sweep(self._orphan_s)

    def collect(self, keep_versions: int, grace_s: float) -> Collected:
        """As `Group` says."""
        return self._collector.expire(keep_versions, grace_s) + self._collector.sweep(self._orphan_s)

    def inspect(self) -> Inspection:
        """As `Group` says. Reads many objects at once."""
        return Inspector(self.log, self.reader, self.name, self._bucket.each).inspect()

    def history(self) -> list[Revision]:
        """As `Group` says. What is collected meanwhile is left out."""
        put_at = dict(self._objects_log.kept())
        manifests = list(self._bucket.each(self._readable, put_at))
        horizon = self.log.horizon()
        found = [
            revision(manifest, put_at[number]) if manifest is not None else damaged(number, put_at[number])
            for number, manifest in zip(put_at, manifests, strict=True)
            if number >= horizon
        ]
        return found[::-1]

    def file_sizes(self) -> Iterator[int]:
        """As `Group` says."""
        return (status.size for status in self._bucket.below(self.name))

    def _readable(self, number: int) -> Manifest | None:
        """Return what lies at this number; None where it is damaged, or collected meanwhile."""
        try:
            return self._objects_log.get(number)[0]
        except (FileNotFoundError, CorruptFeature):
            return None

"""The embedded feature store as a target. The one module that knows both stressd and featurestore."""

import contextlib
import threading
from typing import Any, ClassVar, Final

from featurestore import (
    CommitUnknown,
    CorruptFeature,
    FeatureStoreConfig,
    FeatureStoreError,
    SimpleFeatureStore,
    UnknownGroup,
)
from stressd.targets.protocol import (
    Abilities,
    DetailedRead,
    Footprint,
    Frames,
    TargetCorrupt,
    TargetRejected,
    TargetStats,
)

DEFAULT_TTL_S: Final = 3600.0


class EmbeddedTarget:
    """One store per process, opened by its first session and shared by all of them.

    `path` is the store's folder, or its URL on an object store; the other options are those of `FeatureStoreConfig`.
    """

    abilities: ClassVar = Abilities(
        cache=True, ttl_option="cache_ttl_seconds", default_ttl_s=DEFAULT_TTL_S, scratch_option="path"
    )

    def __init__(self, path: str, **options: Any) -> None:
        self._config = FeatureStoreConfig(path, **options)
        self._opened: SimpleFeatureStore | None = None
        self._opening = threading.Lock()

    @property
    def _store(self) -> SimpleFeatureStore:
        with self._opening:
            if self._opened is None:
                self._opened = SimpleFeatureStore(self._config)
            return self._opened

    def setup(self) -> None:
        """Create the store, or open what is there."""
        _ = self._store

    def teardown(self) -> None:
        """Close the store; what was saved stays."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def open(self) -> "EmbeddedSession":
        """Return a session on this process's store; any thread."""
        return EmbeddedSession(self._store)

    def drop(self, group: str) -> None:
        """Remove the group, if it is there."""
        with contextlib.suppress(UnknownGroup):
            self._store.drop_group(group)

    def stats(self) -> TargetStats:
        """Return what this process's cache and commits did."""
        store = self._store
        commits, conflicts = store.counts()
        if store.cache is None:
            return TargetStats(0, 0, commits, conflicts)
        cache = store.cache.get_stats()
        return TargetStats(cache["bytes"], cache["evictions"], commits, conflicts)

    def footprint(self) -> Footprint:
        """Count what is in the store."""
        stats = self._store.stats()
        return Footprint(stats.bytes, stats.files, stats.features)


class EmbeddedSession:
    """A thread's view of the store; the store is safe for all threads, so that there is nothing of its own."""

    def __init__(self, store: SimpleFeatureStore) -> None:
        self._store = store

    def save(self, group: str, features: Frames) -> int:
        """Save the group as one commit. Whatever the store says before the commit's last step is a definite failure."""
        try:
            return self._store.commit(group, features).number
        except CommitUnknown:
            raise
        except FeatureStoreError as error:
            raise TargetRejected(str(error)) from error

    def read(self, group: str, names: list[str]) -> Frames:
        """Read one snapshot."""
        return self.read_detail(group, names, bypass_cache=False).frames

    def read_detail(self, group: str, names: list[str], *, bypass_cache: bool) -> DetailedRead:
        """Read one snapshot, and tell where it came from."""
        try:
            snapshot = self._store.read(group, names, use_cache=not bypass_cache)
        except CorruptFeature as error:
            raise TargetCorrupt(str(error)) from error
        return DetailedRead(snapshot.frames, "cache" if snapshot.cached else "store", snapshot.commit)

    def close(self) -> None:
        """Nothing to let go of: the store is the target's."""

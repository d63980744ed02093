"""SimpleFeatureStore: DataFrames by group and name, for many threads and processes at once."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd

from featurestore import datafile
from featurestore.answers import Commit, Snapshot, StoreStats
from featurestore.cache import FeatureCache
from featurestore.collection import Collected
from featurestore.config import FeatureStoreConfig
from featurestore.datafile import Encoded
from featurestore.disk import Disk, ReadOnlyDisk
from featurestore.errors import (
    FeatureStoreError,
    InvalidFrame,
    InvalidName,
    ReadFailed,
    SaveFailed,
    StoreClosed,
    StoreReadOnly,
    UnknownFeature,
    UnknownGroup,
    UnknownVersion,
)
from featurestore.group import Group
from featurestore.history import Revision
from featurestore.inspection import Damage, spans
from featurestore.layout import checked_name
from featurestore.local import Backend, LocalBackend
from featurestore.manifest import Entry, Manifest
from featurestore.reader import Overtaken

if TYPE_CHECKING:
    from featurestore.objects.bucket import Bucket

_READ_TRIES = 1000
_NAMES_IN_A_MESSAGE = 20
_logger = logging.getLogger("featurestore")


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    """Tell what the operating system refuses to read as ReadFailed."""
    try:
        yield
    except OSError as error:
        raise ReadFailed(str(error)) from error


class SimpleFeatureStore:
    """Saves and reads groups of features. Thread-safe; any number of processes may share one base.

    A save is one commit: readers see all of it or nothing, at once and in every process. Opening removes what
    crashed writers left. `disk`, `bucket` and the clocks (seconds: monotonic, since the epoch) are for tests.
    """

    def __init__(
        self,
        config: FeatureStoreConfig,
        *,
        disk: Disk | None = None,
        bucket: Bucket | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self._backend = _backend(config, disk, bucket, wall_clock)
        self.base_path = self._backend.base
        self.cache = (
            FeatureCache(config.cache_max_size, config.cache_max_bytes, config.cache_ttl_seconds, clock)
            if config.cache_enabled
            else None
        )
        self._groups: dict[str, Group] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.store_id = self._backend.open(read_only=config.read_only)
        for name in self._group_names() if not (config.read_only or config.is_url) else ():
            self._sweep_leavings(name)

    def save_features(self, group: str, features: Mapping[str, pd.DataFrame]) -> dict[str, str]:
        """Save the frames as one commit; returns {name: path}. Other features of the group stay as they are.

        Any exception means that nothing was saved, except CommitUnknown. The frames stay the caller's.
        """
        return self.commit(group, features).paths

    def get_features(self, names: Sequence[str], group: str, *, version: int | None = None) -> dict[str, pd.DataFrame]:
        """Return the newest frames of these names, or those of an older commit.

        All are from one commit, and the caller's own.

        Raises UnknownGroup, UnknownFeature or UnknownVersion (each a KeyError), or CorruptFeature.
        """
        return self.read(group, names, version=version).frames

    def commit(self, group: str, features: Mapping[str, pd.DataFrame]) -> Commit:
        """As `save_features`, and tells the commit's number."""
        parts = self._writable(group)
        encoded = self._encode(features)
        try:
            manifest = parts.writer.commit(encoded)
        except SaveFailed as error:
            if not (_is_full(error.__cause__) and self._made_room(parts)):
                raise
            manifest = parts.writer.commit(encoded)
        self._notice(parts, manifest)
        try:
            parts.collect_in_passing(self.config.keep_versions, self.config.grace_seconds)
        except (OSError, FeatureStoreError) as error:  # the save stands, whatever befalls the cleaning
            _logger.warning("group %s: collection failed: %s", parts.name, error)
        return Commit(manifest.number, {name: parts.reader.path(manifest.features[name]) for name in encoded})

    def read(self, group: str, names: Sequence[str], *, use_cache: bool = True, version: int | None = None) -> Snapshot:
        """As `get_features`, and tells the commit and whether the cache had it all.

        `use_cache=False` reads the files, and leaves the cache as it is.
        """
        parts = self._group(group)
        if isinstance(names, str):
            raise InvalidName(f"names {names!r} is one text; write [{names!r}]")
        try:
            for _ in range(_READ_TRIES):
                manifest = self._manifest(parts, version)
                entries = _entries(parts.name, manifest, names)
                try:
                    return self._snapshot(parts, manifest, entries, use_cache=use_cache)
                except Overtaken as overtaken:
                    parts.check_overtaken(manifest, overtaken)
        except OSError as error:
            raise ReadFailed(f"group {group!r}: {error}") from error
        raise FeatureStoreError(
            f"group {group!r}: collection overtook this read {_READ_TRIES} times; raise keep_versions or grace_seconds"
        )

    def group_names(self) -> list[str]:
        """Return names of all groups, sorted, those too that were dropped or cannot be read. Looks at folders alone."""
        return self._group_names()

    @_refusals_told()
    def groups(self) -> list[str]:
        """Names of the groups that hold something, sorted. Reads every group's head."""
        return [name for name in self._group_names() if self._group(name).log.head().features]

    @_refusals_told()
    def names(self, group: str) -> list[str]:
        """Names of the features in a group, sorted. Raises UnknownGroup."""
        return sorted(self._manifest(self._group(group), None).features)

    @_refusals_told()
    def head(self, group: str) -> int:
        """Return number of the group's newest commit, 0 where there never was one."""
        return self._group(group).log.head().number

    def drop_group(self, group: str) -> None:
        """Remove a group and its history.

        Safe beside readers and writers: a save that comes later makes it anew. One manifest stays, so that no
        commit number is ever used twice. Raises UnknownGroup, and as a save does.
        """
        parts = self._writable(group)
        with _refusals_told():
            self._manifest(parts, None)
        self._notice(parts, parts.writer.drop())
        with contextlib.suppress(OSError, FeatureStoreError):  # it is gone already; only its room is not
            parts.collect(1, 0.0)

    def collect(self, group: str | None = None) -> Collected:
        """Remove what keep_versions and grace_seconds do not keep and what crashed writers left.

        In one group or in all. Expired commits also go by themselves, now and then after a save. Raises OSError where
        the disk refuses; what is kept stays whole.
        """
        keep, grace_s = self.config.keep_versions, self.config.grace_seconds
        chosen = self._group_names() if group is None else [group]
        return sum((self._writable(name).collect(keep, grace_s) for name in chosen), Collected())

    @_refusals_told()
    def stats(self) -> StoreStats:
        """Return counts on disk and of this process. Costs a stat per file."""
        found = [self._group(name) for name in self._group_names()]
        sizes = [size for parts in found for size in parts.file_sizes()]
        held = [len(parts.log.head().features) for parts in found]
        commits, conflicts = self.counts()
        return StoreStats(
            groups=sum(features > 0 for features in held),
            features=sum(held),
            files=len(sizes),
            bytes=sum(sizes),
            commits=commits,
            conflicts=conflicts,
        )

    def counts(self) -> tuple[int, int]:
        """Return this process's commits, and how often another writer was faster. Touches no file."""
        with self._lock:
            writers = [parts.writer for parts in self._groups.values()]
        return sum(writer.commits for writer in writers), sum(writer.conflicts for writer in writers)

    def verify(self, group: str | None = None) -> list[str]:
        """As `inspect`, a line for each damage."""
        return [str(damage) for damage in self.inspect(group)]

    @_refusals_told()
    def inspect(self, group: str | None = None) -> list[Damage]:
        """Read every kept file of one group or all, and return each that is damaged or missing, newest first.

        `featurestore.recover` goes back to what is whole.
        """
        chosen = self._group_names() if group is None else [group]
        return [damage for name in chosen for damage in self._group(name).inspect().damages]

    @_refusals_told()
    def history(self, group: str) -> list[Revision]:
        """Return the commits of a group that are kept, newest first. Raises UnknownGroup where there never was one."""
        found = self._group(group).history()
        if not found:
            raise UnknownGroup(f"no group {group!r}; there is {_listing(self._groups_to_name())}")
        return found

    @_refusals_told()
    def entries(self, group: str, *, version: int | None = None) -> dict[str, Entry]:
        """Return, by feature, the file that holds it in the newest commit or an older one: its rows, bytes, checksum.

        Reads no data file. Raises UnknownGroup or UnknownVersion.
        """
        return dict(self._manifest(self._group(group), version).features)

    def close(self) -> None:
        """Forgets the cache; every later call raises StoreClosed. Calls in progress end normally."""
        self._closed = True
        if self.cache is not None:
            self.cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, features: Mapping[str, pd.DataFrame]) -> dict[str, Encoded]:
        if not features:
            raise InvalidFrame("there is nothing to save; give at least one feature")
        for name in features:
            checked_name(name, "feature")
        encoded = {}
        for name, frame in features.items():
            try:
                encoded[name] = datafile.encode(frame, self.config.format, self.config.compression)
            except InvalidFrame as error:
                raise InvalidFrame(f"feature {name!r} cannot be stored: {error}") from error
        return encoded

    def _snapshot(self, parts: Group, manifest: Manifest, entries: dict[str, Entry], *, use_cache: bool) -> Snapshot:
        if self.cache is None or not use_cache:
            frames = {name: decoded.frame for name, decoded in parts.reader.read(entries).items()}
            return Snapshot(frames, manifest.number, cached=False)
        frames, cached = parts.reader.read_cached(entries, self.cache)
        return Snapshot(frames, manifest.number, cached)

    def _manifest(self, parts: Group, version: int | None) -> Manifest:
        """Return a group's newest manifest, or an older one. OSError as the disk raises it: the caller tells it."""
        head = parts.log.head()
        if not head.features:
            raise UnknownGroup(f"no group {parts.name!r}; there is {_listing(self._groups_to_name())}")
        self._notice(parts, head)
        if version is None:
            return head
        if isinstance(version, bool) or not isinstance(version, int):
            raise UnknownVersion(f"version {version!r} is no commit number; head({parts.name!r}) tells the newest")
        return head if version == head.number else self._older(parts, version)

    def _older(self, parts: Group, version: int) -> Manifest:
        with contextlib.suppress(FileNotFoundError):
            found = parts.log.read(version)
            if not found.void:
                return found
        kept = spans(revision.commit for revision in parts.history() if revision.state == "kept")
        raise UnknownVersion(f"group {parts.name!r} has no commit {version} (any more); kept are {kept or 'none'}")

    def _notice(self, parts: Group, manifest: Manifest) -> None:
        """Frames that a newer commit replaced leave the cache, whichever process made it."""
        for file in parts.replaced_by(manifest):
            if self.cache is not None:
                self.cache.discard([file])

    def _made_room(self, parts: Group) -> bool:
        """Return a full disk collects early: whether that removed anything."""
        with contextlib.suppress(OSError, FeatureStoreError):
            return parts.collect(self.config.keep_versions, 0.0).files > 0
        return False

    def _sweep_leavings(self, name: str) -> None:
        """Remove what crashed writers left; where that fails, the store opens all the same."""
        try:
            parts = self._group(name)
            if parts.has_leavings():
                parts.collect(self.config.keep_versions, self.config.grace_seconds)
        except (OSError, FeatureStoreError) as error:
            _logger.warning("group %s: not swept: %s", name, error)

    def _group(self, name: str) -> Group:
        if self._closed:
            raise StoreClosed(f"the store at {self.base_path} was closed; open another one")
        found = self._groups.get(name)
        if found is None:
            fresh = self._backend.group(checked_name(name, "group"))
            with self._lock:
                found = self._groups.setdefault(name, fresh)
        return found

    def _groups_to_name(self) -> list[str]:
        """Return the groups for a message, which damage to another group must not replace."""
        try:
            return self.groups()
        except (OSError, FeatureStoreError):
            return self._group_names()

    def _writable(self, name: str) -> Group:
        if self.config.read_only:
            raise StoreReadOnly(f"the store at {self.base_path} was opened with read_only=True; open it without")
        return self._group(name)

    @_refusals_told()
    def _group_names(self) -> list[str]:
        if self._closed:
            raise StoreClosed(f"the store at {self.base_path} was closed; open another one")
        return self._backend.group_names()


def _backend(
    config: FeatureStoreConfig, disk: Disk | None, bucket: Bucket | None, clock: Callable[[], float]
) -> Backend:
    if not config.is_url:
        disk = disk or (ReadOnlyDisk() if config.read_only else Disk(durable=config.durability == "commit"))
        return LocalBackend(os.path.abspath(os.fspath(config.base_path)), disk, clock)
    from featurestore.objects.backend import ObjectBackend  # noqa: PLC0415 - what a store on a disk does without
    from featurestore.objects.bucket import Bucket  # noqa: PLC0415

    bucket = bucket or Bucket(str(config.base_path), config.object_store_options)
    return ObjectBackend(bucket, clock, config.orphan_seconds)


def _entries(group: str, manifest: Manifest, names: Sequence[str]) -> dict[str, Entry]:
    try:
        return {name: manifest.features[name] for name in names}
    except (KeyError, TypeError):
        unknown = [name for name in names if name not in set(manifest.features)]
        raise UnknownFeature(f"group {group!r} has no {unknown}; it has {_listing(manifest.features)}") from None


def _listing(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _NAMES_IN_A_MESSAGE} more" if len(shown) > _NAMES_IN_A_MESSAGE else ""
    return (", ".join(shown[:_NAMES_IN_A_MESSAGE]) or "none") + more


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)

"""SimpleFeatureStore: DataFrames by group and name, on a local disk, for many threads and processes at once."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pandas as pd

from featurestore import datafile
from featurestore.cache import FeatureCache
from featurestore.collection import Collected
from featurestore.config import FeatureStoreConfig
from featurestore.datafile import Encoded
from featurestore.disk import Disk, remote_file_system
from featurestore.errors import (
    FeatureStoreError,
    InvalidConfig,
    InvalidFrame,
    InvalidName,
    ReadFailed,
    SaveFailed,
    StoreClosed,
    UnknownFeature,
    UnknownGroup,
    UnknownVersion,
)
from featurestore.group import Group
from featurestore.layout import STORE_ID, checked_name
from featurestore.manifest import Entry, Manifest
from featurestore.reader import Overtaken

_READ_TRIES = 1000
_NAMES_IN_A_MESSAGE = 20
_logger = logging.getLogger("featurestore")


@dataclass(frozen=True, slots=True)
class Commit:
    """An acknowledged save: the group's commit number, and the path of each feature's file."""

    number: int
    paths: dict[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Frames of one commit, the caller's own; `cached` if every one came from the cache."""

    frames: dict[str, pd.DataFrame]
    commit: int
    cached: bool


@dataclass(frozen=True, slots=True)
class StoreStats:
    """On disk: groups, features, files (manifests too) and bytes. By this process: commits, lost races."""

    groups: int
    features: int
    files: int
    bytes: int
    commits: int
    conflicts: int


class SimpleFeatureStore:
    """Saves and reads groups of features. Thread-safe; any number of processes may share one base.

    A save is one commit: readers see all of it or nothing, at once and in every process. Opening removes what
    crashed writers left. `disk` and the clocks (seconds: monotonic, since the epoch) are for tests.
    """

    def __init__(
        self,
        config: FeatureStoreConfig,
        *,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.base_path = os.path.abspath(os.fspath(config.base_path))
        self.cache = (
            FeatureCache(config.cache_max_size, config.cache_max_bytes, config.cache_ttl_seconds, clock)
            if config.cache_enabled
            else None
        )
        self._disk = disk or Disk(durable=config.durability == "commit")
        self._wall_clock = wall_clock
        self._groups: dict[str, Group] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.store_id = self._create()
        for name in self._group_names():
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
        parts = self._group(group)
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

    def groups(self) -> list[str]:
        """Names of the groups that hold something, sorted. Reads every group's head."""
        return [name for name in self._group_names() if self._group(name).log.head().features]

    def names(self, group: str) -> list[str]:
        """Names of the features in a group, sorted. Raises UnknownGroup."""
        return sorted(self._manifest(self._group(group), None).features)

    def head(self, group: str) -> int:
        """Return number of the group's newest commit, 0 where there never was one."""
        return self._group(group).log.head().number

    def drop_group(self, group: str) -> None:
        """Remove a group and its history.

        Safe beside readers and writers: a save that comes later makes it anew. One manifest stays, so that no
        commit number is ever used twice. Raises UnknownGroup, and as a save does.
        """
        parts = self._group(group)
        self._manifest(parts, None)
        self._notice(parts, parts.writer.drop())
        with contextlib.suppress(OSError, FeatureStoreError):  # it is gone already; only its room is not
            parts.clear()

    def collect(self, group: str | None = None) -> Collected:
        """Remove what keep_versions and grace_seconds do not keep and what crashed writers left.

        In one group or in all. Expired commits also go by themselves, now and then after a save.
        """
        keep, grace_s = self.config.keep_versions, self.config.grace_seconds
        chosen = self._group_names() if group is None else [group]
        return sum((self._group(name).collect(keep, grace_s) for name in chosen), Collected())

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
        """Read every kept file of one group or all, and returns a line for each that is damaged or missing."""
        chosen = self._group_names() if group is None else [group]
        return [problem for name in chosen for problem in self._group(name).problems()]

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
        head = parts.log.head()
        if not head.features:
            raise UnknownGroup(f"no group {parts.name!r}; there is {_listing(self.groups())}")
        self._notice(parts, head)
        if version is None or version == head.number:
            return head
        try:
            return parts.log.read(version)
        except FileNotFoundError:
            kept = parts.log.numbers()
            raise UnknownVersion(
                f"group {parts.name!r} has no commit {version!r} (any more); kept are {kept[0]} to {kept[-1]}"
            ) from None

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
            if parts.collector.has_leavings():
                parts.collect(self.config.keep_versions, self.config.grace_seconds)
        except (OSError, FeatureStoreError) as error:
            _logger.warning("group %s: not swept: %s", name, error)

    def _group(self, name: str) -> Group:
        if self._closed:
            raise StoreClosed(f"the store at {self.base_path} was closed; open another one")
        found = self._groups.get(name)
        if found is None:
            fresh = Group(self._disk, self.base_path, checked_name(name, "group"), self._wall_clock)
            with self._lock:
                found = self._groups.setdefault(name, fresh)
        return found

    def _group_names(self) -> list[str]:
        if self._closed:
            raise StoreClosed(f"the store at {self.base_path} was closed; open another one")
        entries = self._disk.names(self.base_path)
        return sorted(e for e in entries if self._disk.stat(f"{self.base_path}/{e}/log") is not None)

    def _create(self) -> str:
        """Make the base and its id where absent; returns the id."""
        try:
            self._make_base(self.base_path)
            remote = remote_file_system(self.base_path)
            if remote is None:
                return self._read_id() or self._make_id()
        except OSError as error:
            raise InvalidConfig(f"base_path {self.base_path} cannot be used: {error}; name a folder") from error
        raise InvalidConfig(f"base_path {self.base_path} is on {remote}; a store needs a local file system")

    def _make_base(self, path: str) -> None:
        if self._disk.stat(path) is None:
            self._make_base(os.path.dirname(path))
            self._disk.make_folder(path)
            self._disk.sync_folder(os.path.dirname(path))
        self._disk.names(path)  # raises where it is no folder

    def _read_id(self) -> str:
        try:
            fd = self._disk.open(f"{self.base_path}/{STORE_ID}")
        except FileNotFoundError:
            return ""
        try:
            return self._disk.read(fd)[0].decode()
        finally:
            self._disk.close(fd)

    def _make_id(self) -> str:
        draft = f"{self.base_path}/{STORE_ID}.{uuid.uuid4().hex}"
        fd = self._disk.create(draft)
        try:
            self._disk.write(fd, uuid.uuid4().hex.encode())
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        with contextlib.suppress(FileExistsError):  # another process opened it at the same moment
            self._disk.link(draft, f"{self.base_path}/{STORE_ID}")
        self._disk.remove(draft)
        self._disk.sync_folder(self.base_path)
        return self._read_id()


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

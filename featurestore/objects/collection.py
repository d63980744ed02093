"""Removing from an object store what is neither kept nor in use.

Old commits: the horizon is published first, with whose the numbers were; then manifests go, ascending; then the files
that only they named. What lies below an older horizon is no commit, and its files are left to the sweep.

Files of dead writers: nobody can tell a dead writer from one that sleeps. So a file is taken for a dead one's by its
age, and its transaction is revoked, by a commit that holds the same features, before the file is deleted: a writer that
wakes up and finds its transaction revoked starts again with new files.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from featurestore.collection import Collected
from featurestore.errors import CorruptFeature
from featurestore.manifest import Manifest
from featurestore.objects.bucket import Bucket, Status
from featurestore.objects.commit import Change, ObjectWriter, StartAgain
from featurestore.objects.log import ObjectLog, Seen


@dataclass(frozen=True, slots=True)
class _Expiry:
    """What may go: objects below an older horizon, commits, ascending, and the first number that stays."""

    leavings: list[int]
    doomed: list[int]
    cut: int


class ObjectCollector:
    """Collects one group; any number may run at once, anywhere. Thread-safe.

    `clock` gives seconds since the epoch, to compare with the server's times of objects.
    """

    def __init__(
        self, bucket: Bucket, log: ObjectLog, writer: ObjectWriter, data: str, clock: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._log = log
        self._writer = writer
        self._data = data
        self._clock = clock

    def expire(self, keep_versions: int, grace_s: float, at_most: int | None = None) -> Collected:
        """Remove commits beyond the newest `keep_versions` that are older than `grace_s`, and their files."""
        expiry = self._expiry(keep_versions, grace_s, at_most)
        files: dict[str, int] = {}
        if expiry.doomed:
            manifests = self._commits([*expiry.doomed, expiry.cut])
            if manifests is None:
                return Collected()  # another collector is at work
            *doomed, first_kept = manifests
            whose = {number: m.txn for number, m in zip(expiry.doomed, doomed, strict=True) if m is not None}
            self._log.raise_horizon(expiry.cut, whose)
            files = _only_in(doomed, first_kept)
        for number in [*expiry.leavings, *expiry.doomed]:  # one after the other: readers rely on it
            self._bucket.delete([self._log.key(number)])
        self._bucket.delete(f"{self._data}/{file}" for file in files)
        if expiry.doomed:
            self._log.drop_old_horizons()
        return Collected(len(expiry.doomed), len(files), sum(files.values()))

    def sweep(self, age_s: float) -> Collected:
        """Remove files older than `age_s` that no commit needs, after revoking the transactions that put them."""
        oldest = self._clock() - age_s
        old = {s.key.removeprefix(f"{self._data}/"): s for s in self._bucket.below(self._data) if s.modified <= oldest}
        newest = self._log.newest()  # after the files: whoever put one and is done is in the log by now
        needed = newest.manifest.files()
        orphans = {file: status for file, status in old.items() if file not in needed}
        if not orphans:
            return Collected()
        kept = self._commits(range(max(self._log.horizon(), 1), newest.manifest.number + 1))
        if kept is None or None in kept:
            return Collected()  # collected meanwhile, or damaged: better to leave files than to guess
        for manifest in kept:
            _forget(orphans, manifest)
        return self._revoke(orphans, newest) if orphans else Collected()

    def _revoke(self, orphans: dict[str, Status], newest: Seen) -> Collected:
        txn = uuid.uuid4().hex

        def follow(base: Manifest) -> Manifest:
            revoked = tuple(sorted({_txn_of(file) for file in orphans}))
            return Manifest(base.number + 1, txn, base.features, revoked=revoked)

        try:
            self._writer.publish(Change(txn, follow, lambda passed: _forget(orphans, passed)), newest)
        except StartAgain:
            return Collected()
        self._bucket.delete(status.key for status in orphans.values())
        return Collected(0, len(orphans), sum(status.size for status in orphans.values()))

    def _expiry(self, keep_versions: int, grace_s: float, at_most: int | None) -> _Expiry:
        newest, horizon = self._log.head().number, self._log.horizon()
        youngest = self._clock() - grace_s
        expiry = _Expiry([], [], horizon)
        for number, modified in self._log.ascending():
            if number < horizon:
                expiry.leavings.append(number)
            elif number > newest - keep_versions or modified > youngest or len(expiry.doomed) == at_most:
                return replace(expiry, cut=number)
            else:
                expiry.doomed.append(number)
        return replace(expiry, doomed=[])  # the head was overtaken while we listed: another time

    def _commits(self, numbers: Iterable[int]) -> list[Manifest | None] | None:
        """Return these commits, None in the place of a damaged one; None where they are collected meanwhile."""
        chosen = list(numbers)
        try:
            manifests = list(self._bucket.each(self._readable, chosen))
        except FileNotFoundError:
            return None
        return manifests if not chosen or self._log.horizon() <= chosen[0] else None

    def _readable(self, number: int) -> Manifest | None:
        try:
            return self._log.get(number)[0]
        except CorruptFeature:
            return None


def _only_in(doomed: list[Manifest | None], first_kept: Manifest | None) -> dict[str, int]:
    """Files (and their bytes) that these commits, consecutive, name and the one after them does not.

    No later commit names them either, since a commit keeps or replaces what the one before it had.
    """
    if first_kept is None:
        return {}  # better to leave files to a sweep than to guess
    named = {e.file: e.bytes for m in doomed if m is not None for e in m.features.values()}
    kept = first_kept.files()
    return {file: size for file, size in named.items() if file not in kept}


def _forget(orphans: dict[str, Status], manifest: Manifest | None) -> None:
    """Strike out the files that a commit names after all."""
    for file in manifest.files() if manifest is not None else ():
        orphans.pop(file, None)


def _txn_of(file: str) -> str:
    return file.rpartition("/")[2].partition(".")[0]

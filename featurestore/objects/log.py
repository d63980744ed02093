"""The numbered manifests of one group on an object store: which is the head, and which numbers count.

A collected number is free again, so a writer that slept may put into it: whatever lies below the horizon is no commit.
The rule that everything rests on: **a manifest that was read, and whose number is not below a horizon that was looked
at afterwards, is the first that ever had this number**, for a number is freed only after a higher horizon stands. And
since numbers are freed in their order, it is enough to see that the commit below it is still there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from featurestore import manifest
from featurestore.errors import CorruptFeature, FeatureStoreError
from featurestore.manifest import EMPTY, Manifest
from featurestore.objects.bucket import Bucket, Status

_WALK_AT_MOST = 64  # further behind than this, listing is cheaper than asking number by number
_FIND_TRIES = 1000
_RECENT_S = 5.0
_HORIZONS_KEPT = 8  # a list is no snapshot: it must not be able to miss the old one and the new one


@dataclass(frozen=True, slots=True)
class Seen:
    """A commit, its object's tag, and when it was the head. No two puts have the same tag."""

    manifest: Manifest
    tag: str = ""
    at_s: float = field(default_factory=time.monotonic)


class ObjectLog:
    """Reads a group's log. Thread-safe: the remembered head is replaced whole."""

    def __init__(self, bucket: Bucket, group: str) -> None:
        self._bucket = bucket
        self._log = f"{group}/log"
        self._horizon = f"{group}/horizon"
        self.folder = f"{bucket.url}/{self._log}"
        self.horizon_path = f"{bucket.url}/{self._horizon}"
        self._head: Seen | None = None

    def key(self, number: int) -> str:
        """Key of the manifest of this number."""
        return f"{self._log}/{number:020d}"

    def path(self, number: int) -> str:
        """Where the manifest of this number lies."""
        return f"{self._bucket.url}/{self.key(number)}"

    def head(self) -> Manifest:
        """Return the newest manifest, EMPTY where there is none."""
        return self.newest().manifest

    def newest(self) -> Seen:
        """Return the head.

        At least as new as any commit acknowledged before the call. Costs two requests where nothing changed, and
        their order matters: N is the head if N + 1 is absent and N, unchanged, is *then* still present, because
        a collector deletes N before N + 1.
        """
        known = self._head
        if known is not None and self._bucket.status(self.key(known.manifest.number + 1)) is None:
            status = self._bucket.status(self.key(known.manifest.number))
            if status is not None and status.tag == known.tag:
                self._head = known = replace(known, at_s=time.monotonic())
                return known
            known = None
        return self._find(known)

    def recent(self) -> Seen:
        """Return a commit that was the head a few seconds ago or is: good enough to build on, for a put will tell."""
        known = self._head
        if known is not None and time.monotonic() - known.at_s < _RECENT_S:
            return known
        return self.newest()

    def remember(self, newest: Seen) -> None:
        """Take it for the head: it was put by us, and its number was not collected afterwards."""
        self._head = newest

    def is_first(self, number: int, below: Seen | None) -> bool:
        """Whether no number from this one on was collected yet, so that what lies there is the first that ever did.

        One request where the commit below it is known and still there, a list where it is not.
        """
        if below is not None and below.manifest.number == number - 1 > 0:
            status = self._bucket.status(self.key(number - 1))
            if status is not None and status.tag == below.tag:
                return True
        return self.horizon() <= number

    def read(self, number: int) -> Manifest:
        """Return this commit; FileNotFoundError if it is none (any more), CorruptFeature if it is damaged."""
        found = self.get(number)[0]
        if self.horizon() > number:
            raise FileNotFoundError(self.path(number))
        return found

    def exists(self, number: int) -> bool:
        """Whether the commit is kept."""
        return self._bucket.status(self.key(number)) is not None and self.horizon() <= number

    def numbers(self) -> list[int]:
        """Numbers of the commits that are kept, ascending. What is published meanwhile may be missing."""
        return [number for number, _ in self.kept()]

    def kept(self) -> list[tuple[int, float]]:
        """Return the commits that are kept, ascending, and when each was put (seconds since the epoch)."""
        listed = self.ascending()
        horizon = self.horizon()
        return [(number, modified) for number, modified in listed if number >= horizon]

    def ascending(self) -> list[tuple[int, float]]:
        """Return the numbers of whatever lies in the log, commits or not, ascending, and when each was put."""
        return sorted((_number(s), s.modified) for s in self._bucket.below(self._log) if _is_number(s))

    def horizon(self) -> int:
        """Numbers below this one are collected, or are about to be; what lies there is no commit."""
        return max(self.horizons(), default=0)

    def horizons(self) -> list[int]:
        """Return the horizons that are recorded, ascending."""
        return sorted(_number(status) for status in self._bucket.below(self._horizon) if _is_number(status))

    def raise_horizon(self, number: int, collected: Mapping[int, str]) -> None:
        """Publish that every number below this one may go; `collected` tells whose they were, for late askers."""
        record = json.dumps({str(n): txn for n, txn in collected.items()}, separators=(",", ":"))
        try:
            self._bucket.put_new(f"{self._horizon}/{number:020d}", record.encode())
        except FileExistsError:
            return  # another collector came to the same

    def drop_old_horizons(self) -> None:
        """Delete records that nobody asks for any more."""
        old = self.horizons()[:-_HORIZONS_KEPT]
        self._bucket.delete(f"{self._horizon}/{number:020d}" for number in old)

    def collected(self, number: int) -> str | None:
        """Return the transaction that had a number which was collected, None where that is not recorded any more."""
        for horizon in self.horizons():
            if horizon > number:
                try:
                    record = json.loads(bytes(self._bucket.get(f"{self._horizon}/{horizon:020d}")[0]))
                except (FileNotFoundError, ValueError):
                    continue
                if str(number) in record:
                    return str(record[str(number)])
        return None

    def walk(self, number: int, at_most: int | None = None) -> list[tuple[Manifest, Status]]:
        """Return what lies at this number and, without a gap, above it. The horizon tells whether these are commits."""
        found: list[tuple[Manifest, Status]] = []
        while at_most is None or len(found) < at_most:
            try:
                found.append(self.get(number + len(found)))
            except FileNotFoundError:
                break
        return found

    def get(self, number: int) -> tuple[Manifest, Status]:
        """Return what lies at this number, commit or not."""
        like = self._head.manifest if self._head is not None else EMPTY
        for last_try in (False, True):
            data, status = self._bucket.get(self.key(number))
            try:
                return manifest.decode(bytes(data), number, like), status
            except (ValueError, KeyError, TypeError) as error:
                if last_try:
                    path = self.path(number)
                    advice = "put an older version of the object back, where the bucket keeps them"
                    raise CorruptFeature(f"manifest {path} is damaged: {error}; {advice}", path) from error
        raise AssertionError("unreachable")

    def _find(self, known: Seen | None) -> Seen:
        for _ in range(_FIND_TRIES):
            found = self.walk(known.manifest.number + 1, _WALK_AT_MOST) if known is not None else []
            if len(found) in (0, _WALK_AT_MOST):
                known = None
                highest = max((number for number, _ in self.ascending()), default=0)
                found = self.walk(highest) if highest else []
                if not highest and self.horizon() == 0:
                    self._head = None
                    return Seen(EMPTY)
            if found and self.is_first(found[0][0].number, known):
                self._head = newest = seen(*found[-1])
                return newest
            known = None
        raise FeatureStoreError(f"{self.folder}: its head moved {_FIND_TRIES} times while it was looked for")


def seen(manifest: Manifest, status: Status) -> Seen:
    """Return the commit as it was read."""
    return Seen(manifest, status.tag)


def _is_number(status: Status) -> bool:
    return status.key.rpartition("/")[2].isdigit()


def _number(status: Status) -> int:
    return int(status.key.rpartition("/")[2])

"""Publishing a group's next commit on an object store, and what each answer means.

The head is looked at before the first data file is put: whoever sweeps those files away as a dead writer's publishes
that in the log first, above this head, and so a writer that reads every manifest from there on cannot miss it.
The put at N + 1 decides, where N + 1 was never taken before. A number that was collected is free again, so a writer
looks after the put whether N is still there, and if not, at the horizon; if that has passed it, the collector's record
tells whose the number was. A transaction is put at another number only when the one before is another's: whatever of
it still arrives there, later, is no commit.
"""

from __future__ import annotations

import contextlib
import errno
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from featurestore.datafile import Encoded
from featurestore.errors import CommitUnknown, CorruptFeature, SaveFailed
from featurestore.manifest import Entry, Manifest
from featurestore.objects.bucket import Bucket
from featurestore.objects.log import ObjectLog, Seen, seen

_TRIES = 1000
_STARTS = 20
_PUTS = 10
_TURN_S = 2.0
_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_REFUSALS = (errno.EACCES, errno.ENOENT, errno.ENOTSUP)  # answers of a server that did nothing


class StartAgain(Exception):  # noqa: N818 - no error: it never leaves the package
    """This transaction was certainly not published, and cannot be any more; another one may try."""


@dataclass(slots=True)
class Change:
    """A commit to be: its transaction, what follows on a base, and a look at each manifest that came in between."""

    txn: str
    follow: Callable[[Manifest], Manifest]
    passed: Callable[[Manifest], None]
    outcome_known: bool = True
    attempts: int = 0


@dataclass(slots=True)
class _Save:
    features: Mapping[str, Encoded]
    drop: bool
    txn: str = field(default_factory=lambda: uuid.uuid4().hex)

    def files(self) -> dict[str, str]:
        return {name: f"{name}/{self.txn}.{encoded.ending}" for name, encoded in self.features.items()}

    def follow(self, base: Manifest) -> Manifest:
        number, files = base.number + 1, self.files()
        ours = {n: Entry(files[n], number, e.rows, len(e.data), e.checksum) for n, e in self.features.items()}
        return Manifest(number, self.txn, MappingProxyType(ours if self.drop else {**base.features, **ours}))

    def passed(self, manifest: Manifest) -> None:
        if self.txn in manifest.revoked:
            raise StartAgain


class ObjectWriter:
    """Commits to one group. Thread-safe; any number of threads, processes and machines may commit at once."""

    def __init__(self, bucket: Bucket, log: ObjectLog, data: str) -> None:
        self._bucket = bucket
        self._log = log
        self._data = data
        self._turn = threading.Lock()  # spares the threads of this process lost races; decides nothing
        self._count = threading.Lock()
        self.commits = 0
        self.conflicts = 0

    def commit(self, features: Mapping[str, Encoded]) -> Manifest:
        """Make these files the group's newest ones, all at once, and return the manifest that says so.

        Raises SaveFailed if nothing was saved, CommitUnknown if that cannot be told.
        """
        return self._run(features, drop=False)

    def drop(self) -> Manifest:
        """Commit that the group has no feature any more. Numbers go on: they are never used twice."""
        return self._run({}, drop=True)

    def publish(self, change: Change, base: Seen) -> Manifest:
        """Put the change on top of the base, or of what came after it; returns the manifest.

        Raises StartAgain where it is certainly not published, CommitUnknown, SaveFailed.
        """
        try:
            with self._in_turn():
                return self._publish(change, base)
        except (OSError, CorruptFeature) as error:
            if not change.outcome_known:
                raise CommitUnknown(f"{self._log.folder}: {error}; read it to see") from error
            if isinstance(error, OSError):
                raise SaveFailed(f"{self._log.folder}: nothing was saved: {error}") from error
            raise

    def _run(self, features: Mapping[str, Encoded], *, drop: bool) -> Manifest:
        for start in range(_STARTS):
            save = _Save(features, drop)
            with contextlib.suppress(StartAgain):
                published = self._save(save, afresh=start > 0)
                with self._count:
                    self.commits += 1
                return published
        raise SaveFailed(f"{self._log.folder}: overtaken by collections {_STARTS} times; raise grace_seconds")

    def _save(self, save: _Save, *, afresh: bool) -> Manifest:
        change = Change(save.txn, save.follow, save.passed)
        published = None
        try:
            base = self._log.newest() if afresh else self._log.recent()
            self._put_files(save)
            published = self.publish(change, base)
        except OSError as error:
            raise SaveFailed(f"{self._log.folder}: nothing was saved: {error}") from error
        finally:
            if published is None and change.outcome_known:
                with contextlib.suppress(OSError):  # a sweep will find them
                    self._bucket.delete(f"{self._data}/{file}" for file in save.files().values())
        return published

    def _put_files(self, save: _Save) -> None:
        files = save.files()

        def put(name: str) -> None:
            self._bucket.put(f"{self._data}/{files[name]}", save.features[name].data)

        for _ in self._bucket.each(put, files):
            pass

    def _publish(self, change: Change, base: Seen) -> Manifest:
        for attempt in range(_TRIES):
            following = change.follow(base.manifest)
            tag = self._put(change, following)
            passed = [] if tag else self._log.walk(following.number)
            if passed and passed[0][0].txn == change.txn:  # what was on its way arrived after all
                tag = passed[0][1].tag
            if not self._log.is_first(following.number, base):
                if self._was_ours(following):
                    return following
                change.outcome_known = True
                raise StartAgain
            if tag:
                self._log.remember(Seen(following, tag))
                return following
            if passed:  # the number is another's, for good
                change.outcome_known = True
                for manifest, _ in passed:
                    change.passed(manifest)
                base = seen(*passed[-1])
            with self._count:
                self.conflicts += 1
            if attempt:  # the first loss may be chance; then spread out
                _pause(attempt)
        refused = f"{self._log.folder}: {_TRIES} tries to commit were refused"
        raise SaveFailed(f"{refused}; nothing was saved") if change.outcome_known else CommitUnknown(refused)

    def _put(self, change: Change, following: Manifest) -> str:
        """Put the manifest, and return its tag; "" where the number is taken, by another or by us, or was a moment ago.

        What may or may not have landed is put again, at the same number: until that is collected, only one can land.
        Each attempt has a tag of its own, so that one that lands late is not taken for the one that was seen.
        """
        change.outcome_known = False
        failed: OSError | None = None
        for attempt in range(_PUTS):
            try:
                manifest = replace(following, attempt=change.attempts) if change.attempts else following
                change.attempts += 1
                return self._bucket.put_new(self._log.key(following.number), manifest.encode())
            except FileExistsError:
                return ""
            except OSError as error:
                if failed is None and error.errno in _REFUSALS and not self._log.walk(following.number, 1):
                    change.outcome_known = True
                    raise
                failed = error
                _pause(attempt)
        if self._log.walk(following.number, 1):
            return ""
        raise CommitUnknown(f"{self._log.path(following.number)}: {failed}; read it to see") from failed

    def _was_ours(self, following: Manifest) -> bool:
        """Whether a number that was collected meanwhile had been ours."""
        whose = self._log.collected(following.number)
        if whose is None:
            raise CommitUnknown(
                f"{self._log.path(following.number)} was collected before we could look; read it to see"
            )
        return whose == following.txn

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        mine = self._turn.acquire(timeout=_TURN_S)
        try:
            yield
        finally:
            if mine:
                self._turn.release()


def _pause(attempt: int) -> None:
    longest_s = min(_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
    time.sleep(random.uniform(0, longest_s))  # noqa: S311 - jitter

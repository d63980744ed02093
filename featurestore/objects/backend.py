"""A store on an object store: its URL, its id, its groups; and the probe that refuses an unsafe server."""

from __future__ import annotations

import contextlib
import errno
import time
import uuid
from collections.abc import Callable

from featurestore.errors import InvalidConfig
from featurestore.group import Group
from featurestore.layout import STORE_ID, STORE_ID_FORM, is_safe_name
from featurestore.objects.bucket import Bucket
from featurestore.objects.group import ObjectGroup

_PROBES = ".probes"
_RACERS = range(8)
_PROBE_TRIES = 3
_PROBE_PAUSE_S = 0.2


class ObjectBackend:
    """The objects below a URL. `clock` gives seconds since the epoch; the server's own time is learnt at opening."""

    def __init__(self, bucket: Bucket, clock: Callable[[], float], orphan_s: float) -> None:
        self.base = bucket.url
        self._bucket = bucket
        self._clock = clock
        self._orphan_s = orphan_s
        self._behind_s = 0.0  # our clock, against the server's

    def open(self, *, read_only: bool) -> str:
        """Make the store where it is absent and may be made, unless the server is unsafe; returns its id."""
        try:
            if not read_only:
                self._probe()
            found = self._id()
            if not found and read_only:
                raise InvalidConfig(f"base_path {self.base} is no store; name the URL that a store was made at")
            return found or self._make_id()
        except OSError as error:
            raise InvalidConfig(f"base_path {self.base} cannot be used: {error}") from error

    def group_names(self) -> list[str]:
        """Names of all groups, sorted."""
        found = [name for name in self._bucket.folders("") if is_safe_name(name)]
        logs = self._bucket.each(lambda name: "log" in self._bucket.folders(name), found)
        return [name for name, has_log in zip(found, logs, strict=True) if has_log]

    def group(self, name: str) -> Group:
        """Return the parts of a group, which need not be there."""
        return ObjectGroup(self._bucket, name, lambda: self._clock() + self._behind_s, self._orphan_s)

    def _probe(self) -> None:
        """Refuse a server that lets two puts-if-absent of one key through: commits would be lost without a word.

        Several at once, because one that checks first and writes then passes when asked one after the other.
        """
        probe = f"{_PROBES}/{uuid.uuid4().hex}"
        try:
            wins = sum(self._bucket.each(lambda racer: self._puts(probe, racer), _RACERS)) + self._puts(probe, -1)
            status = self._bucket.status(probe)
        finally:
            with contextlib.suppress(OSError):
                self._bucket.delete([probe])
        if status is None:
            raise self._unsafe("does not show an object that was put a moment ago")
        if wins > 1:
            raise self._unsafe(
                f"let {wins} of {len(_RACERS) + 1} puts-if-absent (If-None-Match: *) of one object through"
            )
        self._behind_s = status.modified - self._clock()

    def _puts(self, probe: str, racer: int) -> bool:
        """Whether this one won. Whoever gets no answer asks again: should that count as a loss, it does no harm."""
        for tries_left in reversed(range(_PROBE_TRIES)):
            try:
                self._bucket.put_new(probe, str(racer).encode())
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno == errno.ENOTSUP:
                    raise self._unsafe(f"has no puts-if-absent ({error})") from error
                if error.errno != errno.EIO or not tries_left:
                    raise
                time.sleep(_PROBE_PAUSE_S)
            else:
                return True
        raise AssertionError("unreachable")

    def _unsafe(self, what: str) -> InvalidConfig:
        return InvalidConfig(
            f"base_path {self.base}: its server {what}, so that commits could be lost; "
            "name a store on one that honours conditional puts"
        )

    def _id(self) -> str:
        try:
            found = bytes(self._bucket.get(STORE_ID)[0])
        except FileNotFoundError:
            return ""
        return found.decode() if STORE_ID_FORM.fullmatch(found) else ""

    def _make_id(self) -> str:
        with contextlib.suppress(FileExistsError):  # another process was faster
            self._bucket.put_new(STORE_ID, uuid.uuid4().hex.encode())
        return self._id()

"""Removing what is neither kept nor in use: old manifests, the files only they name, and what the dead left.

The order is the protocol. A writer that slept while fifty commits passed must not find its number free again, so
the horizon is published first, the pins are looked at then, and numbers go, ascending, below both. A file listed
before the pins were looked at, whose writer has no pin and which no kept manifest names, has nobody left who
could want it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from featurestore.disk import Disk
from featurestore.errors import CorruptFeature
from featurestore.layout import GroupLayout
from featurestore.log import Log

_PIN = re.compile(r"(?P<number>\d{20})-(?P<txn>[0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed: commits, files (data and leavings), bytes of files."""

    commits: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.commits + other.commits, self.files + other.files, self.bytes + other.bytes)


@dataclass(slots=True)
class _Pins:
    lowest: int | None = None
    live: set[str] = field(default_factory=set)  # transactions
    dead: list[str] = field(default_factory=list)  # paths


class Collector:
    """Collects one group. One runs at a time among all processes; any thread may call it.

    `clock` gives seconds since the epoch, to compare with the times of files.
    """

    def __init__(self, disk: Disk, layout: GroupLayout, log: Log, clock: Callable[[], float]) -> None:
        self._disk = disk
        self._layout = layout
        self._log = log
        self._clock = clock

    def has_leavings(self) -> bool:
        """Whether saves are in progress, or died in progress."""
        return bool(self._disk.names(self._layout.pins) or self._disk.names(self._layout.tmp))

    def collect(self, keep_versions: int, grace_s: float, *, sweep: bool) -> Collected:
        """Remove commits beyond the newest `keep_versions` that are older than `grace_s`, and their files.

        With `sweep` it then reads every manifest that is left and removes the files of saves that died. Does
        nothing where another process is collecting, or a recovery was begun.
        """
        try:
            fd = self._disk.open_lock(self._layout.collector)
        except FileNotFoundError:
            return Collected()  # no such group
        try:
            if not self._disk.try_lock(fd) or self._disk.stat(self._layout.recovering) is not None:
                return Collected()
            expired = self._expire(keep_versions, grace_s)
            return expired + self._sweep() if sweep else expired
        finally:
            self._disk.close(fd)

    def _expire(self, keep_versions: int, grace_s: float) -> Collected:
        numbers = self._log.numbers()
        horizon = self._publish_horizon(self._first_kept(numbers, keep_versions, grace_s))
        lowest = self._pins().lowest
        cut = horizon if lowest is None else min(horizon, lowest)
        doomed = [number for number in numbers if number < cut]
        files = self._named_only_by(doomed)
        if doomed:
            self._disk.sync_folder(self._layout.root)  # what is missing below the horizon on the disk was collected
            for number in doomed:
                self._disk.remove(self._log.path(number))
            self._disk.sync_folder(self._layout.log)
        return Collected(len(doomed)) + self._remove(f"{self._layout.data}/{file}" for file in files)

    def _first_kept(self, numbers: Sequence[int], keep_versions: int, grace_s: float) -> int:
        """Lowest number that is among the newest, or young; 0 where there is none."""
        newest = self._log.head().number
        youngest_s = self._clock() - grace_s
        for number in numbers:
            if number > newest - keep_versions:
                return number
            status = self._disk.stat(self._log.path(number))
            if status is not None and status.st_mtime > youngest_s:
                return number
        return 0

    def live(self) -> set[str]:
        """Transactions of the saves in progress, whose files no commit names yet."""
        return self._pins().live

    def _publish_horizon(self, number: int) -> int:
        """Return the horizon, which is at least this number now.

        A symbolic link, because a full disk has room for one.
        """
        known = self._log.horizon()
        if number <= known:
            return known
        self._disk.sync_folder(self._layout.log)  # a horizon that outlives its commits in a power cut stops all writers
        draft = f"{self._layout.horizon}.new"
        self._disk.remove(draft)
        self._disk.make_symlink(str(number), draft)
        self._disk.rename(draft, self._layout.horizon)
        return number

    def _named_only_by(self, doomed: Sequence[int]) -> list[str]:
        """Files that these commits, consecutive and about to go, name and the one after them does not.

        No later commit names them either, since a commit keeps or replaces what the one before it had. (The one that
        recovery publishes goes back to an older one's, but voids what lies between them.)
        """
        named: set[str] = set()
        for number in [*doomed, *(n + 1 for n in doomed[-1:])]:
            try:
                manifest = self._log.read(number)
            except (CorruptFeature, FileNotFoundError):
                return []  # better to leave files to a sweep than to guess
            if manifest.void:
                return []
            files = manifest.files()
            named, last = named | files, files
        return sorted(named - last) if doomed else []

    def _sweep(self) -> Collected:
        """Remove files of writers that died: list them, then look at the pins, then at what commits name."""
        files = [f"{name}/{file}" for name in self._disk.names(self._layout.data) for file in self._files_of(name)]
        drafts = self._disk.names(self._layout.tmp)
        pins = self._pins()
        wanted = self._wanted()
        if wanted is None:
            return Collected()
        orphans = [file for file in files if file not in wanted and _txn_of(file) not in pins.live]
        if orphans:
            self._disk.sync_folder(self._layout.log)  # a collector that died may have removed what names them only just
        return self._remove(
            [
                *(f"{self._layout.data}/{file}" for file in orphans),
                *(f"{self._layout.tmp}/{draft}" for draft in drafts if draft not in pins.live),
                *pins.dead,  # last: while they stand, the next sweep knows that there is something to find
            ]
        )

    def _files_of(self, name: str) -> list[str]:
        return self._disk.names(f"{self._layout.data}/{name}")

    def _wanted(self) -> set[str] | None:
        """Every file that a commit names; None where one cannot be read, or is missing and was not collected."""
        newest, horizon = self._log.head().number, self._log.horizon()
        wanted: set[str] = set()
        for number in range(min(self._log.numbers(), default=newest + 1), newest + 1):
            try:
                wanted |= self._log.read(number).files()
            except FileNotFoundError:
                if number >= horizon:
                    return None
            except CorruptFeature:
                return None
        return wanted

    def _pins(self) -> _Pins:
        """Pins of running saves and of dead ones. The kernel frees a pin's lock when its process dies."""
        pins = _Pins()
        for name in self._disk.names(self._layout.pins):
            path = f"{self._layout.pins}/{name}"
            match = _PIN.fullmatch(name)
            if self._is_dead(path):
                pins.dead.append(path)
            elif match is not None:
                pins.live.add(match["txn"])
                number = int(match["number"])
                pins.lowest = number if pins.lowest is None else min(pins.lowest, number)
        return pins

    def _is_dead(self, path: str) -> bool:
        try:
            fd = self._disk.open(path)
        except FileNotFoundError:
            return True  # released a moment ago: its outcome is in the log
        try:
            return self._disk.try_lock(fd)
        finally:
            self._disk.close(fd)

    def _remove(self, paths: Iterable[str]) -> Collected:
        removed = Collected()
        for path in paths:
            status = self._disk.stat(path)
            if status is not None and self._disk.remove(path):
                removed += Collected(0, 1, status.st_size)
        return removed


def _txn_of(file: str) -> str:
    return file.rpartition("/")[2].partition(".")[0]

"""Looking at every file that a group keeps: which are damaged, what is lost with them, which commits are whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featurestore.errors import CorruptFeature
from featurestore.log import CommitLog
from featurestore.manifest import Entry, Manifest
from featurestore.reader import Overtaken, Reader

_LIST_TRIES = 100

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is damaged or missing, and what is lost with it.

    `commits` are the kept ones that need it, ascending; `current` if the newest one does. `feature` is None, and
    `rows` 0, where the file is none of a feature's. As a text: one line that says all of this.
    """

    group: str
    path: str
    fault: str
    feature: str | None
    commits: tuple[int, ...]
    rows: int
    current: bool

    def __str__(self) -> str:
        return f"{self.path} {self.fault}; lost: {self.lost}"

    @property
    def lost(self) -> str:
        """What cannot be read any more, for people."""
        if not self.commits:
            return "nothing that was saved, but nothing can be saved either"
        commits = f"commit{'s' * (len(self.commits) > 1)} {spans(self.commits)}"
        newest = ", the newest among them" if self.current and len(self.commits) > 1 else ""
        newest = newest or ", the newest" * self.current
        if self.feature is None:
            return f"all of {commits} of group {self.group}{newest}"
        return f"feature {self.feature} ({self.rows:,} rows) in {commits} of group {self.group}{newest}"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at a group found: readable manifests by number, the newest number, damage, faulty data files."""

    manifests: dict[int, Manifest]
    newest: int
    damages: list[Damage]
    faulty: set[str]

    @property
    def broken(self) -> set[int]:
        """Commits of which something is damaged or missing."""
        return {number for damage in self.damages for number in damage.commits}

    @property
    def whole(self) -> list[int]:
        """Commits of which every file is right, ascending."""
        broken = self.broken
        return sorted(n for n, manifest in self.manifests.items() if n not in broken and not manifest.void)

    @property
    def best(self) -> Mapping[str, Entry]:
        """What the newest whole commit holds; where none is whole, what of the newest readable one is."""
        if self.whole:
            return self.manifests[self.whole[-1]].features
        readable = [m for _, m in sorted(self.manifests.items()) if not m.void]
        features = readable[-1].features if readable else {}
        return {name: entry for name, entry in features.items() if entry.file not in self.faulty}


class Inspector:
    """Inspects one group, and changes nothing. A data file that was found whole is not read twice. For one thread.

    `each` is map(), or does several at once.
    """

    def __init__(self, log: CommitLog, reader: Reader, group: str, each: Each = map) -> None:
        self._log = log
        self._reader = reader
        self._group = group
        self._each = each
        self._sound: set[str] = set()

    def inspect(self) -> Inspection:
        """Read every file that is kept. May run beside readers, writers and a collector."""
        numbers = self._numbers()
        newest = max(numbers, default=0)
        damages = list(self._horizon(newest))
        newest = max([newest, *(number for damage in damages for number in damage.commits)])
        manifests, faults = self._manifests(numbers)
        damages += [self._damage(self._log.path(n), fault, None, (n,), newest) for n, fault in faults.items()]
        faulty = set()
        needed = _needed(manifests.values())
        faults_found = self._each(lambda need: self._fault(need[0], need[2]), needed)
        for (entry, feature, commits), fault in zip(needed, faults_found, strict=True):
            if fault:
                faulty.add(entry.file)
                path = self._reader.path(entry)
                damages.append(self._damage(path, fault, feature, commits, newest, entry.rows))
        damages.sort(key=lambda damage: damage.commits[-1:], reverse=True)
        return Inspection(manifests, newest, damages, faulty)

    def _numbers(self) -> list[int]:
        """Return every number from the lowest listed one to the head, those that are missing between them too."""
        for _ in range(_LIST_TRIES):
            listed = self._log.numbers()
            if not listed or self._log.exists(listed[0]):
                break  # nothing was collected while it was listed
        return list(range(listed[0], listed[-1] + 1)) if listed else []

    def _manifests(self, numbers: Iterable[int]) -> tuple[dict[int, Manifest], dict[int, str]]:
        """Return those that can be read, and what is wrong with the others."""
        manifests, faults = {}, {}
        chosen = list(numbers)
        for number, found in zip(chosen, self._each(self._manifest, chosen), strict=True):
            if isinstance(found, Manifest):
                manifests[number] = found
            elif found is not None:
                faults[number] = found
        return manifests, faults

    def _manifest(self, number: int) -> Manifest | str | None:
        """Return the manifest, or what is wrong with it; None where it was collected."""
        try:
            return self._log.read(number)
        except FileNotFoundError:
            return "is missing" if number >= self._known_horizon() else None
        except (CorruptFeature, OSError) as error:
            return f"is damaged ({error.__cause__ or error})"

    def _known_horizon(self) -> int:
        try:
            return self._log.horizon()
        except CorruptFeature:
            return 0

    def _fault(self, entry: Entry, commits: tuple[int, ...]) -> str | None:
        if entry.file in self._sound:
            return None
        try:
            fault = self._reader.problem(entry)
        except Overtaken:
            kept = any(map(self._log.exists, commits))
            return "is missing" if kept else None  # else collected meanwhile
        if fault is None:
            self._sound.add(entry.file)
        return fault

    def _horizon(self, newest: int) -> Iterator[Damage]:
        """Check the horizon: it is published when the commit of its number is there, so none above it means a loss."""
        try:
            horizon = self._log.horizon()
        except CorruptFeature:
            yield self._damage(self._log.horizon_path, "holds no number", None, (), newest)
            return
        if horizon > newest:
            lost = tuple(range(newest + 1, horizon + 1)) if newest else (horizon,)
            yield self._damage(self._log.folder, f"ends below number {horizon}, which was there", None, lost, horizon)

    def _damage(
        self, path: str, fault: str, feature: str | None, commits: tuple[int, ...], newest: int, rows: int = 0
    ) -> Damage:
        return Damage(self._group, path, fault, feature, commits, rows, current=newest in commits)


def spans(numbers: Iterable[int]) -> str:
    """Return numbers for people: 3 to 5, 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in parts)


def _needed(manifests: Iterable[Manifest]) -> list[tuple[Entry, str, tuple[int, ...]]]:
    """Return every file once: its entry, its feature, and the commits that need it, ascending."""
    found: dict[str, tuple[Entry, str, list[int]]] = {}
    for manifest in sorted(manifests, key=lambda m: m.number):
        for feature, entry in manifest.features.items():
            found.setdefault(entry.file, (entry, feature, []))[2].append(manifest.number)
    return [(entry, feature, tuple(commits)) for entry, feature, commits in found.values()]

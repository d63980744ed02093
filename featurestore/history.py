"""What each kept commit of a group changed, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from featurestore.disk import Disk
from featurestore.errors import CorruptFeature
from featurestore.log import Log
from featurestore.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit: when it was saved (seconds since the epoch), what it wrote and what it holds.

    `changed` names the features it wrote, `rows` and `bytes` (of files) are theirs; `features` counts all it holds.
    `state` is "kept", "dropped" (recovery took it out), or "damaged" (its manifest cannot be read: the rest is empty).
    """

    commit: int
    saved_at: float
    state: str
    features: int
    changed: tuple[str, ...]
    rows: int
    bytes: int


def revisions(disk: Disk, log: Log) -> Iterator[Revision]:
    """Yield the commits that are kept, newest first. What is collected meanwhile is left out."""
    for number in reversed(log.numbers()):
        status = disk.stat(log.path(number))
        if status is None:
            continue
        try:
            manifest = log.read(number)
        except FileNotFoundError:
            continue
        except CorruptFeature:
            yield damaged(number, status.st_mtime)
            continue
        yield revision(manifest, status.st_mtime)


def revision(manifest: Manifest, saved_at: float) -> Revision:
    """Return what a commit's manifest tells of it."""
    wrote = {name: entry for name, entry in manifest.features.items() if entry.commit == manifest.number}
    return Revision(
        commit=manifest.number,
        saved_at=saved_at,
        state="dropped" if manifest.void else "kept",
        features=len(manifest.features),
        changed=tuple(sorted(wrote)),
        rows=sum(entry.rows for entry in wrote.values()),
        bytes=sum(entry.bytes for entry in wrote.values()),
    )


def damaged(number: int, saved_at: float) -> Revision:
    """Return what can be told of a commit whose manifest cannot be read."""
    return Revision(number, saved_at, "damaged", 0, (), 0, 0)

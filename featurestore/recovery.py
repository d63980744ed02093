"""Going back to the newest commit of which every file is whole, after a power cut or any other damage.

Where no commit is whole any more, what is whole of the newest is kept, and the rest is gone, by name.

Nothing is deleted: what goes out of use moves into the group's `quarantine` folder. Numbers go on, too: the content
of the newest whole commit is published once more, above everything that was, so that no reader or writer that
knows a number is misled; then files move, and at last every broken commit below is replaced by a void one, so that
the log has no gap. In this order a recovery that is interrupted is finished by the next.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from featurestore.collection import Collector
from featurestore.config import is_url
from featurestore.disk import Disk, ReadOnlyDisk
from featurestore.errors import FeatureStoreError, InvalidConfig
from featurestore.inspection import Damage, Inspection, Inspector
from featurestore.layout import STORE_ID, GroupLayout, checked_name
from featurestore.log import Log
from featurestore.manifest import Entry, Manifest
from featurestore.mounts import remote_file_system
from featurestore.reader import DiskReader
from featurestore.turn import Turn

_TRIES = 100
_PATIENCE_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Loss:
    """One feature that goes back: its newest commit and rows before, and the commit it goes back to (None: none)."""

    feature: str
    commit: int
    rows: int
    back_to: int | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovery did to one group, or would do.

    `damages` is what it found. `newest` was the newest commit, `whole` the newest of which everything is there (None:
    none is, and what is left of the newest is served), `published` the number under which that is served again
    (`newest` itself where that was whole), `kept` the features in it. `dropped` commits can be read no more;
    `losses` are the features that went back; `moved` are the files put into `quarantine`.
    """

    group: str
    damages: tuple[Damage, ...]
    newest: int
    whole: int | None
    published: int
    kept: tuple[str, ...]
    dropped: tuple[int, ...]
    losses: tuple[Loss, ...]
    moved: tuple[str, ...]
    quarantine: str


def recover(base_path: str | os.PathLike[str], *, dry_run: bool = False, disk: Disk | None = None) -> list[Recovery]:
    """Bring every damaged group of a store back to its newest whole commit; returns what was done, by group.

    Where no commit of a group is whole, the features of its newest that are whole stay. A sound group is left alone.
    With `dry_run` it changes nothing at all and returns what it would do. Processes may go on using the store; with
    what they save meanwhile it starts again. Raises InvalidConfig where there is no store, FeatureStoreError where
    another process is collecting for seconds on end or saving too fast, OSError where the disk refuses. `disk` is
    for tests.
    """
    if is_url(base_path):
        raise InvalidConfig(
            f"base_path {base_path}: recovery is for disks; on an object store save what is damaged again, or put "
            "older versions of the objects back, where the bucket keeps them"
        )
    base = os.path.abspath(os.fspath(base_path))
    disk = ReadOnlyDisk() if dry_run else disk or Disk()
    groups = sorted(name for name in disk.names(base) if disk.stat(f"{base}/{name}/log") is not None)
    _check(disk, base, groups)
    found = [_Group(disk, base, checked_name(name, "group")).recover(dry_run=dry_run) for name in groups]
    return [recovery for recovery in found if recovery is not None]


def _check(disk: Disk, base: str, groups: list[str]) -> None:
    if not groups and disk.stat(f"{base}/{STORE_ID}") is None:
        what = "is no store" if os.path.isdir(base) else "does not exist"
        raise InvalidConfig(f"base_path {base} {what}; name the folder that a store was made in")
    remote = remote_file_system(base)
    if remote is not None:
        raise InvalidConfig(f"base_path {base} is on a network file system ({remote}); copy it to a local disk")


class _Group:
    """Recovers one group."""

    def __init__(self, disk: Disk, base: str, name: str) -> None:
        self._disk = disk
        self._layout = GroupLayout(base, name)
        self._name = name
        self._log = Log(disk, self._layout)
        self._collector = Collector(disk, self._layout, self._log, time.time)
        self._inspector = Inspector(self._log, DiskReader(disk, self._layout.data), name)
        self._txn = uuid.uuid4().hex

    def recover(self, *, dry_run: bool) -> Recovery | None:
        """Return what was done, None where nothing is damaged."""
        found = self._inspector.inspect()
        if not found.damages and self._disk.stat(self._layout.recovering) is None:
            return None
        if dry_run:
            return self._plan(found, self._out_of_use(found)) if found.damages else None
        lock = self._collecting()
        try:
            with Turn(self._disk, self._layout.turn).hold():  # or busy writers would win every race
                return self._repair()
        finally:
            self._disk.close(lock)

    def _collecting(self) -> int:
        """Return the collector's lock: while we hold it nothing is collected, so what is there stays."""
        fd = self._disk.open_lock(self._layout.collector)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._disk.try_lock(fd):
            if time.monotonic() > deadline:
                self._disk.close(fd)
                raise FeatureStoreError(
                    f"{self._layout.root}: another process is collecting; try again when it is done"
                )
            time.sleep(_POLL_S)
        return fd

    def _repair(self) -> Recovery | None:
        self._prepare()
        for _ in range(_TRIES):
            found = self._inspector.inspect()
            if found.newest not in found.broken or self._publish(found):
                moved = self._out_of_use(found)
                recovery = self._plan(found, moved) if found.damages else None
                self._move(moved)
                self._void(found)
                self._renew_horizon(found)
                self._disk.remove(self._layout.recovering)
                self._disk.sync_folder(self._layout.root)
                return recovery
        raise FeatureStoreError(f"{self._layout.root}: {_TRIES} saves came in between; try again when it is quieter")

    def _prepare(self) -> None:
        """Make folders, and the mark that keeps collectors away until we are done.

        A collector takes it that what one commit dropped no later one names, which is not so between the publishing
        of an older commit's content and the voiding of those after it.
        """
        quarantine = self._layout.quarantine
        wanted = [self._layout.log, self._layout.data, self._layout.tmp, quarantine]
        for folder in [*wanted, f"{quarantine}/log", f"{quarantine}/data"]:
            self._disk.make_folder(folder)
        if self._disk.stat(self._layout.recovering) is None:
            self._disk.close(self._disk.create(self._layout.recovering))
        self._disk.sync_folder(quarantine)
        self._disk.sync_folder(self._layout.root)

    def _publish(self, found: Inspection) -> bool:
        """Serve what is best again, above all others. False where a writer took the number."""
        manifest = Manifest(found.newest + 1, self._txn, found.best)
        draft = self._draft(manifest)
        try:
            if not self._log.publish(draft, manifest.number):
                return False
        finally:
            self._disk.remove(draft)
        self._disk.sync_folder(self._layout.log)
        return True

    def _plan(self, found: Inspection, moved: Iterable[str]) -> Recovery:
        whole = found.whole[-1] if found.whole else None
        broken = found.newest in found.broken
        manifests = [path for n in sorted(found.broken) if self._disk.stat(path := self._log.path(n)) is not None]
        return Recovery(
            group=self._name,
            damages=tuple(found.damages),
            newest=found.newest,
            whole=whole,
            published=found.newest + 1 if broken else found.newest,
            kept=tuple(sorted(found.best)),
            dropped=tuple(sorted(found.broken)),
            losses=tuple(_losses(found)) if broken else (),
            moved=(*moved, *manifests),
            quarantine=self._layout.quarantine,
        )

    def _out_of_use(self, found: Inspection) -> list[str]:
        """Return paths of data files that no whole commit names and no save in progress is writing."""
        data, broken = self._layout.data, found.broken
        files = [f"{name}/{file}" for name in self._disk.names(data) for file in self._disk.names(f"{data}/{name}")]
        live = self._collector.live()  # after the files: whoever wrote one and is done has published it by now
        wanted = {entry.file for entry in found.best.values()}
        wanted |= {file for n in self._log.numbers() if n not in broken for file in self._files_of(n)}
        return sorted(
            f"{data}/{f}" for f in files if f not in wanted and f.rpartition("/")[2].partition(".")[0] not in live
        )

    def _files_of(self, number: int) -> set[str]:
        try:
            return self._log.read(number).files()
        except FileNotFoundError:
            return set()  # collected meanwhile, while we only look

    def _move(self, paths: Iterable[str]) -> None:
        folders = set()
        for path in paths:
            folder = os.path.dirname(path)
            new_folder = f"{self._layout.quarantine}/data/{os.path.basename(folder)}"
            if folder not in folders:
                self._disk.make_folder(new_folder)
                folders |= {folder, new_folder}
            self._disk.rename(path, f"{new_folder}/{os.path.basename(path)}")
        for folder in [*sorted(folders), f"{self._layout.quarantine}/data"]:
            self._disk.sync_folder(folder)

    def _void(self, found: Inspection) -> None:
        """Put a void commit in the place of every broken one, and keep the manifests that cannot be read."""
        for number in sorted(found.broken):
            path = self._log.path(number)
            known = found.manifests.get(number)
            draft = self._draft(Manifest(number, known.txn if known else self._txn, void=True))
            if self._disk.stat(path) is not None:
                self._disk.link(path, f"{self._layout.quarantine}/log/{number:020d}-{self._txn}")
            self._disk.rename(draft, path)
        self._disk.sync_folder(f"{self._layout.quarantine}/log")
        self._disk.sync_folder(self._layout.log)

    def _renew_horizon(self, found: Inspection) -> None:
        if all(damage.path != self._layout.horizon for damage in found.damages):
            return
        draft = f"{self._layout.horizon}.new"
        self._disk.remove(draft)
        self._disk.make_symlink(str(min(self._log.numbers(), default=0)), draft)
        self._disk.rename(draft, self._layout.horizon)
        self._disk.sync_folder(self._layout.root)

    def _draft(self, manifest: Manifest) -> str:
        path = f"{self._layout.tmp}/{self._txn}"
        self._disk.remove(path)
        _write(self._disk, path, manifest.encode())
        return path


def _losses(found: Inspection) -> Iterator[Loss]:
    """Every feature whose newest readable entry is not the one that recovery goes back to."""
    newest: dict[str, Entry] = {}
    for number in sorted(found.broken & found.manifests.keys(), reverse=True):
        if not found.whole or number > found.whole[-1]:
            newest = {**found.manifests[number].features, **newest}
    for feature, entry in sorted(newest.items()):
        back = found.best.get(feature)
        if back != entry:
            yield Loss(feature, entry.commit, entry.rows, back.commit if back else None)


def _write(disk: Disk, path: str, data: bytes) -> None:
    fd = disk.create(path)
    try:
        disk.write(fd, data)
        disk.sync(fd)
    finally:
        disk.close(fd)

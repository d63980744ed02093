"""The state folder: who may use it, what a run was, and where everything lies.

lock             held by the one daemon (flock); empty but for its process id
run.json         the run as resolved, without secrets; written atomically
run.leaving.json the run before, while its data is being removed
ledger           what was intended, acknowledged and seen; outlives everything
contended        the same of contended keys, where the scenario has some
table            the shared table of the run
content/         the movies and their features, mapped by all workers
store/           the embedded store, unless it was given another place
disk.img, disk/  its own disk instead, where faults of the disk were asked for, and where that is mounted
specimens/       the first wrong read of each kind
reports/         the last reports
archive/         the ledgers of earlier runs, the last few
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from stressd.errors import UsageError
from stressd.files import write_atomically
from stressd.node.disk import StoreDisk

SCHEMA: Final = "stressd.run/1"
RECORD: Final = "run.json"
LEAVING: Final = "run.leaving.json"
DISK: Final = "disk.img"
KEPT_ARCHIVES: Final = 3
KEPT_REPORTS: Final = 20


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` holds: enough to verify what is there, and to know whether a new run may go on with it.

    `prefix` begins the names of the run's groups. `target_options` are as written, secrets unexpanded. `movies_path`
    is None for generated movies. `one_process` says that the target lives in one process alone, so that nothing
    outlives it.
    """

    run_id: str
    prefix: str
    seed: int
    scenario: dict[str, Any]
    target: str
    target_options: dict[str, Any]
    guarantees: dict[str, Any]
    movies_path: str | None
    movies_sha256: str
    as_of: str
    lanes: int
    keys_per_lane: int
    one_process: bool
    stores: bool
    boot_id: str
    version: str
    started_at: str

    @property
    def contended_keys(self) -> int:
        """How many keys all lanes save to; they are numbered after the lanes' own."""
        return int(self.scenario.get("contended_keys", 0)) if self.lanes else 0

    @property
    def keys(self) -> range:
        """The numbers of all keys, contended ones too."""
        return range(self.lanes * self.keys_per_lane + self.contended_keys)

    def same_data(self, other: Self) -> bool:
        """Say whether `other` would make the same content for the same keys of the same target."""
        return all(getattr(self, name) == getattr(other, name) for name in _WHAT_MAKES_DATA) and (
            self.scenario["content"] == other.scenario["content"]
        )

    def difference(self, other: Self) -> str:
        """Name what stands between this record and going on as `other`."""
        names = [name for name in _WHAT_MAKES_DATA if getattr(self, name) != getattr(other, name)]
        return ", ".join(names or ["content"])


_WHAT_MAKES_DATA: Final = (
    *("seed", "target", "target_options", "movies_sha256"),
    *("lanes", "keys_per_lane", "contended_keys", "one_process", "boot_id"),
)


class StateFolder:
    """An existing, locked state folder. Close it to let another daemon have it."""

    def __init__(self, path: str, lock_fd: int) -> None:
        self.path = Path(path)
        self._lock_fd = lock_fd
        self.disk: StoreDisk | None = None

    @classmethod
    def open(cls, path: str, *, create: bool = True) -> Self:
        """Take the folder for this process; UsageError if it cannot be written, or another daemon has it."""
        path = os.path.abspath(path)
        try:
            if create:
                os.makedirs(path, exist_ok=True)
            elif not os.path.isfile(os.path.join(path, RECORD)):
                raise UsageError(f"{path}: no run has left its state here; name the folder with --state")
            fd = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be used as the state folder: {error.strerror}; choose another with --state"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise UsageError(
                f"{path}: another stressd (process {holder}) uses this state folder; stop it, or choose another --state"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        folder = cls(path, fd)
        try:
            if os.path.exists(folder.at(DISK)):
                folder.disk = StoreDisk.attach(folder.at(DISK), folder.at("disk"))
        except UsageError:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Let go of the disk and the lock."""
        if self.disk is not None:
            self.disk.detach()
        os.close(self._lock_fd)

    @property
    def store(self) -> str:
        """Where the embedded store goes."""
        return self.disk.folder if self.disk is not None else self.at("store")

    def make_disk(self) -> None:
        """Give the store a disk of its own, for good. UsageError if it is elsewhere already, or that cannot be."""
        if self.disk is not None:
            return
        if os.path.exists(self.at("store")):
            raise UsageError(
                f"{self.path}: there is a store already, on no disk of its own; choose another --state, or leave out "
                "--allow-host-faults: faults of the disk are left out then"
            )
        self.disk = StoreDisk.make(self.at(DISK), self.at("disk"))

    def at(self, name: str) -> str:
        """Return the path of one of its files."""
        return str(self.path / name)

    def read_record(self) -> RunRecord | None:
        """Return what the last run was, None if there was none. UsageError if the file is no record of this version."""
        return self._read(RECORD)

    def read_leaving(self) -> RunRecord | None:
        """Return the run whose data is being removed, or was when a crash put an end to it; None if there is none."""
        return self._read(LEAVING)

    def retire_record(self) -> None:
        """Have the last run leave: from here on its data proves nothing, for part of it may be gone."""
        os.replace(self.path / RECORD, self.path / LEAVING)

    def forget_leaving(self) -> None:
        """Note that nothing is left of the run that was leaving."""
        (self.path / LEAVING).unlink()

    def _read(self, name: str) -> RunRecord | None:
        try:
            text = (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return _parsed(text)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{self.path}/{name}: cannot be read ({error}); move the folder away, or choose another with --state"
            ) from error

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json`, all or nothing."""
        write_atomically(self.at(RECORD), json.dumps({"schema": SCHEMA} | asdict(record), indent=1))

    def archive_ledger(self, run_id: str) -> None:
        """Move the ledger of an earlier run out of the way; only the last few are kept."""
        archive = self.path / "archive"
        archive.mkdir(exist_ok=True)
        ledger = self.path / "ledger"
        if ledger.exists():
            os.replace(ledger, archive / f"ledger-{run_id}")
        (self.path / "contended").unlink(missing_ok=True)
        _keep_newest(archive, KEPT_ARCHIVES)

    def report_path(self, run_id: str) -> str:
        """Return where the run's report goes; makes room for it."""
        reports = self.path / "reports"
        reports.mkdir(exist_ok=True)
        _keep_newest(reports, KEPT_REPORTS - 1)
        return str(reports / f"{run_id}.json")


def _parsed(text: str) -> RunRecord:
    data = json.loads(text)
    if (schema := data.pop("schema")) != SCHEMA:
        raise ValueError(f"its schema is {schema!r}, this stressd reads {SCHEMA!r}")
    return RunRecord(**data)


def boot_id() -> str:
    """Return the kernel's id of this boot: after another one, what was not synced may be gone."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _keep_newest(folder: Path, count: int) -> None:
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[count:]:
        file.unlink(missing_ok=True)

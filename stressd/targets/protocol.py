"""What a target is: the protocol that anyone's own store implements, what it claims, and what it can do besides.

A target's `setup` and `teardown` are called once per run, in the daemon; `open` once per worker thread, in its process.
A session is used by one thread. Everything else is optional and found by looking at the object, once, at the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from stressd.errors import TargetError
from stressd.parts import parse_duration_s

Frames = dict[str, pd.DataFrame]
Source = Literal["cache", "store", "none"]


class TargetRejected(Exception):  # noqa: N818 - the name is the contract's
    """Raised by `save`: definitely nothing was saved. Any other exception leaves the outcome unknown."""


class TargetCorrupt(Exception):  # noqa: N818 - beside TargetRejected
    """Raised by `read`: the store itself found that what it holds is damaged. A violation, not an error."""


class Session(Protocol):
    """One thread's connection to the store."""

    def save(self, group: str, features: Frames) -> int | None:
        """Save all frames of the group as one; return the commit's number, above all earlier of the group, or None."""
        ...

    def read(self, group: str, names: list[str]) -> Frames:
        """Return the named frames; KeyError if they were never saved."""
        ...

    def close(self) -> None:
        """Let go of what the session holds."""
        ...


class Target(Protocol):
    """A store under soak."""

    def setup(self) -> None:
        """Prepare the store, once per run."""
        ...

    def teardown(self) -> None:
        """Undo `setup`; what was saved stays."""
        ...

    def open(self) -> Session:
        """Return a session for the calling thread."""
        ...


class DetailedRead(NamedTuple):
    """A read with what the store knows about it: where the frames came from, and of which commit they are."""

    frames: Frames
    source: Source
    commit: int | None


@runtime_checkable
class DetailedSession(Protocol):
    """A session that tells where an answer came from, and can read round its cache."""

    def read_detail(self, group: str, names: list[str], *, bypass_cache: bool) -> DetailedRead:
        """Read like `read`; with `bypass_cache` from the store itself."""
        ...


@runtime_checkable
class SessionWithCommits(Protocol):
    """A session whose `save` returns the commit's number, and that can read it back: needed for contended keys.

    A group's numbers grow: a save that begins after another was acknowledged has the higher one.
    """

    def read_with_commit(self, group: str, names: list[str]) -> tuple[Frames, int]:
        """Read like `read`; beside the frames, the number of the commit that they are of."""
        ...


@dataclass(frozen=True, slots=True)
class TargetStats:
    """What a target can say about itself in this process: None where it does not know."""

    cache_bytes: int | None = None
    cache_evictions: int | None = None
    commits: int | None = None
    conflicts: int | None = None


@runtime_checkable
class TargetWithStats(Protocol):
    """A target that counts what its cache and its commits do in this process."""

    def stats(self) -> TargetStats:
        """Return the counts so far; cheap, any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a target keeps on disk."""

    bytes: int
    files: int
    features: int


@runtime_checkable
class TargetWithFootprint(Protocol):
    """A target that can measure what it keeps on disk; called in the daemon, now and then."""

    def footprint(self) -> Footprint:
        """Return bytes, files and features."""
        ...


@runtime_checkable
class TargetWithDrop(Protocol):
    """A target that can remove a group of an earlier run."""

    def drop(self, group: str) -> None:
        """Remove the group and all its frames; nothing happens if it is not there."""
        ...


ReadGuarantee = Literal["latest", "session", "bounded", "eventual"]


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a target claims, and is held to. `bound_s` belongs to `bounded` reads."""

    reads: ReadGuarantee = "latest"
    bound_s: float = 0.0
    atomic_groups: bool = True
    late_writes: bool = False

    def __str__(self) -> str:
        reads = f"bounded:{self.bound_s:g}" if self.reads == "bounded" else self.reads
        return f"reads={reads} atomic_groups={self.atomic_groups} late_writes={self.late_writes}"

    def as_claimed(self) -> dict[str, str | bool]:
        """Return them the way a target writes them down."""
        reads = f"bounded:{self.bound_s:g}" if self.reads == "bounded" else self.reads
        return {"reads": reads, "atomic_groups": self.atomic_groups, "late_writes": self.late_writes}


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a target can do, as far as criteria need it.

    `storage`: it keeps what it is given (noop does not). `cache`: it tells reads from its cache apart. `ttl_option`:
    the name of the option that sets the cache's time to live, in seconds, and `default_ttl_s` what it is if left alone.
    `scratch_option`: the name of the option for the folder it keeps files in; where it is not given, the daemon sets
    it to one in the state folder.
    """

    storage: bool = True
    cache: bool = False
    ttl_option: str | None = None
    default_ttl_s: float = float("inf")
    scratch_option: str | None = None


_CLAIMS: Final = ("reads", "atomic_groups", "late_writes")


def guarantees_of(target: object) -> Guarantees:
    """Return what the target claims in its `guarantees`; TargetError names each claim that is none."""
    claimed: Mapping[str, Any] = getattr(target, "guarantees", {})
    place = f"{type(target).__name__}.guarantees"
    if not isinstance(claimed, Mapping):
        raise TargetError(f"{place}: {claimed!r} is no mapping of claims; there are {', '.join(_CLAIMS)}")
    if unknown := [str(name) for name in claimed if name not in _CLAIMS]:
        raise TargetError(f"{place}: unknown claim {', '.join(unknown)}; there are {', '.join(_CLAIMS)}")
    for name in _CLAIMS[1:]:
        if not isinstance(claimed.get(name, True), bool):
            raise TargetError(f"{place}[{name!r}]: {claimed[name]!r} is neither True nor False")
    kind, _, bound = str(claimed.get("reads", "latest")).partition(":")
    bound_s = parse_duration_s(bound) if bound else 0.0
    if kind not in ("latest", "session", "bounded", "eventual") or not isinstance(bound_s, float):
        raise TargetError(
            f"{place}['reads']: {claimed['reads']!r} is none of latest, session, bounded:SECONDS, eventual"
        )
    if (kind == "bounded") != bool(bound):
        raise TargetError(f"{place}['reads']: {claimed['reads']!r}; only bounded takes seconds, as in bounded:5")
    return Guarantees(
        reads=kind,  # type: ignore[arg-type]  # checked above
        bound_s=bound_s,
        atomic_groups=claimed.get("atomic_groups", True),
        late_writes=claimed.get("late_writes", False),
    )


def abilities_of(target: object) -> Abilities:
    """Return what the target declares in its `abilities`; the defaults where it declares nothing."""
    declared = getattr(target, "abilities", None)
    return declared if isinstance(declared, Abilities) else Abilities()


def group_name(prefix: str, key: int) -> str:
    """Return the name of the group that holds `key` in a run whose groups begin with `prefix`."""
    return f"{prefix}{key:05d}"


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A target as text: what travels to the workers."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

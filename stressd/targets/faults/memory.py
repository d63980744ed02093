"""What this process's liar has in mind: the last versions that it saved, and the inner target under one interface."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from stressd.targets.protocol import DetailedRead, DetailedSession, Frames, Session, SessionWithCommits

VERSIONS_KEPT: Final = 3
GROUPS_KEPT: Final = 256


class Versions:
    """The last versions of the last groups saved through this process, as copies. Any thread."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, list[Frames]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, group: str, frames: Frames) -> None:
        """Remember a version that was saved."""
        with self._lock:
            versions = self._groups.pop(group, [])
            self._groups[group] = [*versions, frames][-VERSIONS_KEPT:]
            if len(self._groups) > GROUPS_KEPT:
                self._groups.popitem(last=False)

    def of(self, group: str) -> list[Frames]:
        """Return the group's versions, the newest last."""
        with self._lock:
            return list(self._groups.get(group, ()))

    def of_another(self, group: str, names: list[str]) -> list[Frames]:
        """Return the newest version of each other group that has all these names."""
        with self._lock:
            newest = [versions[-1] for other, versions in self._groups.items() if other != group]
        return [frames for frames in newest if set(frames) >= set(names)]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the liar: its number, the group it is about, what the inner target would do. For its thread."""

    number: int
    session: Session
    group: str
    delay_s: float = 0.0

    def save(self, frames: Frames) -> int | None:
        """Save as the inner target does."""
        commit = self.session.save(self.group, frames)
        time.sleep(self.delay_s)
        return commit

    def read(self, names: list[str], bypass: bool) -> DetailedRead:
        """Read as the inner target does, round the cache where it can."""
        time.sleep(self.delay_s)
        if isinstance(self.session, DetailedSession):
            return self.session.read_detail(self.group, names, bypass_cache=bypass)
        if isinstance(self.session, SessionWithCommits):
            frames, commit = self.session.read_with_commit(self.group, names)
            return DetailedRead(frames, "store", commit)
        return DetailedRead(self.session.read(self.group, names), "store", None)


class Own:
    """Frames that the liar holds on to for each group, with a copy that nobody else has. Any thread.

    A group's entry holds as long as the inner target's answer is the same as that copy.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[Frames, Frames]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, group: str, frames: Frames) -> None:
        """Hold these very frames."""
        with self._lock:
            self._held.pop(group, None)
            self._held[group] = frames, copied(frames)
            if len(self._held) > GROUPS_KEPT:
                self._held.popitem(last=False)

    def get(self, group: str, answer: Frames) -> Frames | None:
        """Return the frames held if they are of the version that `answer` is, whatever was done to them since."""
        with self._lock:
            held, pristine = self._held.get(group, ({}, {}))
        if set(held) >= set(answer) and all(pristine[name].equals(frame) for name, frame in answer.items()):
            return {name: held[name] for name in answer}
        return None


def copied(frames: Frames) -> Frames:
    """Return copies of all frames."""
    return {name: frame.copy(deep=True) for name, frame in frames.items()}

"""The lies, by name. Each is the truth but for one thing; its docstring says which.

A lie's `save` and `read` stand in for the inner target's. One lie a process, used by all its threads.
"""

import threading
import time
from dataclasses import dataclass
from typing import ClassVar, Final

from stressd.targets.faults.changes import CHANGES, Change
from stressd.targets.faults.memory import Call, Own, Versions, copied
from stressd.targets.faults.moments import Moments
from stressd.targets.protocol import DetailedRead, Frames, TargetRejected

FLICKER_WAIT_S: Final = 0.25
_LEAK_STEP_BYTES: Final = 256 * 1024
_SPIN_S: Final = 0.002  # sleeping takes at least a tenth of a millisecond: shorter waits are spun


@dataclass(frozen=True, slots=True)
class How:
    """The details of a lie: see the package."""

    on: str = "read"
    mb_per_s: float = 5.0
    slower_by: float = 0.25
    over_s: float = 180.0
    stall_s: float = 3600.0


class Lie:
    """Nothing: the truth.

    `goes_on`: from a moment on, instead of now and then. `remembers`: it needs what was saved before.
    """

    goes_on: ClassVar[bool] = False
    remembers: ClassVar[bool] = False

    def __init__(self, moments: Moments, how: How) -> None:
        self._moments = moments
        self._how = how
        self._saved = Versions()

    def save(self, call: Call, frames: Frames) -> int | None:
        """Save the frames, or do something else and say that they were saved."""
        if not self.remembers:
            return self._save(call, frames)
        copies = copied(frames)
        commit = self._save(call, frames)
        self._saved.keep(call.group, copies)
        return commit

    def read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        """Read the frames, or give something else."""
        return self._read(call, names, bypass)

    def _save(self, call: Call, frames: Frames) -> int | None:
        return call.save(frames)

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        return call.read(names, bypass)

    def _told(self, call: Call) -> bool:
        """Whether the lie is told in this call, one that it can be told in."""
        return self._moments.due(call.number) and self._moments.take(call.number, call.group)


class DropSave(Lie):
    """A save is acknowledged and dropped."""

    remembers = True

    def _save(self, call: Call, frames: Frames) -> int | None:
        return None if self._saved.of(call.group) and self._told(call) else call.save(frames)


class OldVersion(Lie):
    """A read is answered with the save before the last but one."""

    remembers = True

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        # The last save may be acknowledged to nobody yet, so that the one before it would still be right.
        versions = self._saved.of(call.group)
        if len(versions) > 2 and self._told(call):
            return _made_up(versions[-3], names)
        return call.read(names, bypass)


class OtherGroup(Lie):
    """A read is answered with what another group holds."""

    remembers = True

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        if self._moments.due(call.number) and (others := self._saved.of_another(call.group, names)):
            other = self._moments.draw(call.number).choice(others)
            if self._moments.take(call.number, call.group):
                return _made_up(other, names)
        return call.read(names, bypass)


class HalfSave(Lie):
    """Some features of a group are saved, the others left as they were, and all acknowledged."""

    remembers = True

    def _save(self, call: Call, frames: Frames) -> int | None:
        versions = self._saved.of(call.group)
        if len(frames) < 2 or not versions or not self._told(call):
            return call.save(frames)
        draw = self._moments.draw(call.number)
        left_out = draw.sample(sorted(frames), draw.randrange(1, len(frames)))
        return call.save(frames | {name: versions[-1][name].copy(deep=True) for name in left_out})


class ChangedFrame(Lie):
    """A frame is changed as it is saved, or as it is read: see `changes`."""

    remembers = True
    change: ClassVar[Change]

    def _save(self, call: Call, frames: Frames) -> int | None:
        return call.save(self._changed(call, frames) if self._how.on == "save" else frames)

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        detail = call.read(names, bypass)
        return detail._replace(frames=self._changed(call, detail.frames)) if self._how.on == "read" else detail

    def _changed(self, call: Call, frames: Frames) -> Frames:
        """Return the frames with one of them changed, if this is the moment and one can be."""
        if not self._moments.due(call.number):
            return frames
        draw, change = self._moments.draw(call.number), type(self).change
        for name in draw.sample(sorted(frames), len(frames)):
            olds = [version[name] for version in self._saved.of(call.group) if name in version]
            for old in [*olds, None]:
                if (changed := change(frames[name], old, draw)) is not None:
                    return frames | {name: changed} if self._moments.take(call.number, call.group) else frames
        return frames


class Resurrect(Lie):
    """A save is said to be rejected, and the next read answered with it."""

    remembers = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._rejected: dict[str, Frames] = {}

    def _save(self, call: Call, frames: Frames) -> int | None:
        if self._saved.of(call.group) and self._told(call):
            self._rejected[call.group] = copied(frames)
            raise TargetRejected("there is no room for this one")
        return call.save(frames)

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        rejected = self._rejected.pop(call.group, None) if self._rejected else None
        return call.read(names, bypass) if rejected is None else _made_up(rejected, names)


class Flicker(Lie):
    """A reader sees a save before it is acknowledged, and then the one before it."""

    remembers = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._shown: dict[str, _Shown] = {}

    def _save(self, call: Call, frames: Frames) -> int | None:
        versions = self._saved.of(call.group) if self._moments.due(call.number) else []
        commit = call.save(frames)
        if versions:
            shown = self._shown[call.group] = _Shown(versions[-1])
            shown.over.wait(FLICKER_WAIT_S)
            del self._shown[call.group]
        return commit

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        shown = self._shown.get(call.group) if self._shown else None
        if shown is None:
            return call.read(names, bypass)
        if shown.reader == threading.get_ident() and self._moments.take(call.number, call.group):
            shown.over.set()
            return _made_up(shown.before, names)
        detail = call.read(names, bypass)
        shown.reader = threading.get_ident()
        return detail


class _Shown:
    """A save that is there, is not acknowledged, and waits for a reader to see it."""

    def __init__(self, before: Frames) -> None:
        self.before = before
        self.reader: int | None = None
        self.over = threading.Event()


class WrongCommit(Lie):
    """A save is acknowledged with the commit number of the one before."""

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._commits: dict[str, int] = {}

    def _save(self, call: Call, frames: Frames) -> int | None:
        before, commit = self._commits.get(call.group), call.save(frames)
        if commit is not None:
            self._commits[call.group] = commit
        return commit if commit is None or before is None or not self._told(call) else before


class HandOutOwn(Lie):
    """One and the same frame is handed out to all who read it."""

    goes_on = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._own = Own()

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        detail = call.read(names, bypass)
        if bypass or not self._moments.begun(call.number):
            return detail
        own = self._own.get(call.group, detail.frames)
        if own is None:
            self._own.put(call.group, detail.frames)
            return detail
        return detail._replace(frames=own)


class KeepYours(Lie):
    """The very frame that is given to save is kept, and reads are answered with copies of it."""

    goes_on = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._own = Own()

    def _save(self, call: Call, frames: Frames) -> int | None:
        if self._moments.begun(call.number):
            self._own.put(call.group, dict(frames))
        return call.save(frames)

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        detail = call.read(names, bypass)
        kept = self._own.get(call.group, detail.frames)
        return detail if kept is None else detail._replace(frames=copied(kept))


class StaleCache(Lie):
    """What was read once is answered from a cache that never looks again."""

    goes_on = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._cache: dict[str, Frames] = {}

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        if bypass or not self._moments.begun(call.number):
            return call.read(names, bypass)
        cached = self._cache.get(call.group, {})
        if set(cached) >= set(names):
            return _made_up(cached, names)._replace(source="cache")
        detail = call.read(names, bypass)
        self._cache[call.group] = copied(detail.frames)
        return detail


class _Beside(Lie):
    """Does something before and after each call, whatever it is about."""

    def _save(self, call: Call, frames: Frames) -> int | None:
        began_s = time.perf_counter()
        self._before(call)
        commit = call.save(frames)
        self._after(call, began_s)
        return commit

    def _read(self, call: Call, names: list[str], bypass: bool) -> DetailedRead:
        began_s = time.perf_counter()
        self._before(call)
        detail = call.read(names, bypass)
        self._after(call, began_s)
        return detail

    def _before(self, call: Call) -> None:
        pass

    def _after(self, call: Call, began_s: float) -> None:
        pass


class Leak(_Beside):
    """More and more memory is held."""

    goes_on = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._began_s: float | None = None
        self._held: list[bytes] = []
        self._lock = threading.Lock()

    def _before(self, call: Call) -> None:
        if not self._moments.begun(call.number):
            return
        with self._lock:
            now_s = time.monotonic()
            self._began_s = self._began_s or now_s
            due = int((now_s - self._began_s) * self._how.mb_per_s * 1e6) - len(self._held) * _LEAK_STEP_BYTES
            for _ in range(due // _LEAK_STEP_BYTES):
                self._held.append(b"\xff" * _LEAK_STEP_BYTES)  # not zeros: the kernel gives those out for nothing


class SlowDown(_Beside):
    """Calls take longer and longer."""

    goes_on = True

    def __init__(self, moments: Moments, how: How) -> None:
        super().__init__(moments, how)
        self._began_s: float | None = None

    def _after(self, call: Call, began_s: float) -> None:
        if not self._moments.begun(call.number):
            return
        now_s = time.perf_counter()
        self._began_s = self._began_s or now_s
        longer = self._how.slower_by * (now_s - self._began_s) / self._how.over_s
        _wait_until(now_s + longer * (now_s - began_s))


class Stall(_Beside):
    """A call does not come back."""

    def _before(self, call: Call) -> None:
        if self._told(call):
            time.sleep(self._how.stall_s)


class RaiseError(_Beside):
    """A call raises: it did not get through, or its answer did not come back."""

    def _before(self, call: Call) -> None:
        if call.number % 2 and self._told(call):
            raise ConnectionError("the call did not get through")

    def _after(self, call: Call, began_s: float) -> None:  # noqa: ARG002 - as its base
        if not call.number % 2 and self._told(call):
            raise ConnectionError("no answer came back")


def _made_up(frames: Frames, names: list[str]) -> DetailedRead:
    return DetailedRead(copied({name: frames[name] for name in names}), "store", None)


def _wait_until(at_s: float) -> None:
    if (left_s := at_s - time.perf_counter()) > _SPIN_S:
        time.sleep(left_s - _SPIN_S)
    while time.perf_counter() < at_s:
        pass


def _changed_frame(change: Change) -> type[Lie]:
    return type(change.__name__, (ChangedFrame,), {"change": staticmethod(change), "__doc__": change.__doc__})


LIES: Final[dict[str, type[Lie]]] = {
    "none": Lie,
    "drop_save": DropSave,
    "old_version": OldVersion,
    **{name: _changed_frame(change) for name, change in CHANGES.items()},
    "half_save": HalfSave,
    "hand_out_own": HandOutOwn,
    "keep_yours": KeepYours,
    "resurrect": Resurrect,
    "other_group": OtherGroup,
    "stale_cache": StaleCache,
    "flicker": Flicker,
    "wrong_commit": WrongCommit,
    "leak": Leak,
    "slow_down": SlowDown,
    "stall": Stall,
    "raise_error": RaiseError,
}

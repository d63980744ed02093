"""A dict in this process: the simplest store that is right. It copies on the way in and on the way out."""

import threading

from stressd.targets.protocol import Frames


class MemoryTarget:
    """One dict and one lock for all sessions of a process; another process sees another dict."""

    def __init__(self) -> None:
        self._groups: dict[str, Frames] = {}
        self._commits = 0
        self._lock = threading.Lock()

    def setup(self) -> None:
        """Nothing to prepare."""

    def teardown(self) -> None:
        """Nothing to undo."""

    def open(self) -> "MemoryTarget":
        """Return a session: the target itself, safe for all threads."""
        return self

    def save(self, group: str, features: Frames) -> int:
        """Replace the group's frames by copies of the given ones; return the commit's number."""
        copies = {name: frame.copy(deep=True) for name, frame in features.items()}
        with self._lock:
            self._groups[group] = {**self._groups.get(group, {}), **copies}
            self._commits += 1
            return self._commits

    def read(self, group: str, names: list[str]) -> Frames:
        """Return copies of one state of the group; KeyError if it does not hold all the names."""
        with self._lock:
            held = self._groups[group]
        return {name: held[name].copy(deep=True) for name in names}

    def drop(self, group: str) -> None:
        """Forget the group."""
        with self._lock:
            self._groups.pop(group, None)

    def close(self) -> None:
        """Nothing to let go of: the dict is the target's."""

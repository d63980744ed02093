"""Sessions of a right store that do something else when they are told to."""

from stressd import scenario
from stressd.targets.memory import MemoryTarget
from stressd.targets.protocol import DetailedRead
from stressd.workload.frames import RandomContent

KEYS = 4
CONTENT = RandomContent(scenario.Content(kind="random", rows=(2, 5), columns=2, names=2), 7)


class Scripted:
    """A right store in which the next save or read can be made to do something else. `asked` are the calls so far."""

    def __init__(self):
        self.store = MemoryTarget()
        self.saves, self.reads = [], []  # what the next ones do, in turn; None is nothing special
        self.asked = []
        self.closed = False

    def save(self, group, features):
        self.asked.append(("save", group))
        special = self.saves.pop(0) if self.saves else None
        return self.store.save(group, features) if special is None else special(self.store, group, features)

    def read(self, group, names):
        self.asked.append(("read", group))
        special = self.reads.pop(0) if self.reads else None
        return self.store.read(group, names) if special is None else special(self.store, group, names)

    def close(self):
        self.closed = True

    def count(self, what):
        return sum(op == what for op, _ in self.asked)


class Cached(Scripted):
    """The same with a cache that says so. `source` overrules what it says."""

    def __init__(self):
        super().__init__()
        self.cache, self.source = {}, None

    def save(self, group, features):
        self.cache.pop(group, None)
        return super().save(group, features)

    def read_detail(self, group, names, *, bypass_cache):
        if group in self.cache and not bypass_cache:
            frames, source = self.cache[group], "cache"
        else:
            frames, source = self.read(group, names), "store"
            if not bypass_cache:
                self.cache[group] = frames
        return DetailedRead({name: frame.copy() for name, frame in frames.items()}, self.source or source, None)

"""Stores of one's own, as anyone would write them, for `--target own_stores:NAME`: good ones, and ones that lie.

They know nothing of stressd but the one exception that says "nothing was saved". Each lies at one operation in `every`,
drawn from `seed`.
"""

import hashlib
import json
import os
import pickle
import random
import sqlite3
import threading

import numpy as np
import pandas as pd

from stressd.targets.protocol import DetailedRead, TargetRejected


class Dict:
    """A dict that copies. What it saves is seen in its own process alone."""

    def __init__(self, seed=0, every=6):
        self.draw = random.Random(f"{seed}")
        self.every = int(every)
        self.groups = {}
        self.lock = threading.Lock()

    def setup(self):
        pass

    def teardown(self):
        pass

    def open(self):
        return self

    def save(self, group, features):
        with self.lock:
            self.keep(group, {name: frame.copy(deep=True) for name, frame in features.items()})

    def read(self, group, names):
        with self.lock:
            frames = self.answer(group)
            return {name: self.given(frames[name]) for name in names}

    def close(self):
        pass

    # What the liars change; called with the lock held.

    def keep(self, group, frames):
        self.groups[group] = frames

    def answer(self, group):
        return self.groups[group]

    def given(self, frame):
        return frame.copy(deep=True)

    def now(self):
        return self.draw.randrange(self.every) == 0


class Forgets(Dict):
    """Acknowledges a save now and then that it does not keep."""

    def keep(self, group, frames):
        if group not in self.groups or not self.now():
            super().keep(group, frames)


class ServesOld(Dict):
    """Answers now and then with the version before, though it has handed out the newest."""

    def __init__(self, **options):
        super().__init__(**options)
        self.old, self.seen = {}, set()

    def keep(self, group, frames):
        if group in self.groups:
            self.old[group] = self.groups[group]
        self.seen.discard(group)
        super().keep(group, frames)

    def answer(self, group):
        if group in self.seen and group in self.old and self.now():
            return self.old[group]
        self.seen.add(group)
        return super().answer(group)


class FlipsABit(Dict):
    """Hands out a frame now and then with one bit of one cell the other way round."""

    def given(self, frame):
        frame = super().given(frame)
        if self.now():
            cells = frame["c0"].to_numpy(copy=True)
            cells.view(np.uint64)[self.draw.randrange(len(cells))] ^= np.uint64(1 << self.draw.randrange(50))
            frame["c0"] = cells
        return frame


class HandsOutItsOwn(Dict):
    """Does not copy what it gives."""

    def given(self, frame):
        return frame


class KeepsYours(Dict):
    """Does not copy what it is given."""

    def save(self, group, features):
        with self.lock:
            self.keep(group, dict(features))


class SavesHalf(Dict):
    """Saves half of a group now and then."""

    def keep(self, group, frames):
        if group in self.groups and self.now():
            half = list(frames)[: len(frames) // 2]
            frames = self.groups[group] | {name: frames[name] for name in half}
        super().keep(group, frames)


class Mixes(Dict):
    """Keeps the last rows, or some columns, of the save before, now and then."""

    def keep(self, group, frames):
        if group in self.groups and self.now():
            mixed = self.draw.choice([self.rows_mixed, self.columns_mixed])
            frames = {name: mixed(self.groups[group][name], frame) for name, frame in frames.items()}
        super().keep(group, frames)

    def rows_mixed(self, old, new):
        middle = len(new) // 2
        return pd.concat([new.iloc[:middle], old.iloc[middle:]], ignore_index=True)

    def columns_mixed(self, old, new):
        return new.assign(c0=old["c0"], c2=old["c2"])


class ChangesColumns(Dict):
    """Leaves a column out, or hands its numbers out as text, now and then."""

    def given(self, frame):
        frame = super().given(frame)
        if self.now():
            return self.draw.choice([frame.drop(columns="c1"), frame.assign(c1=frame["c1"].astype(str))])
        return frame


class ServesAnother(Dict):
    """Answers now and then with what another group holds."""

    def answer(self, group):
        right = super().answer(group)
        others = [other for other in self.groups if other != group]
        return self.groups[self.draw.choice(others)] if others and self.now() else right


class Resurrects(Dict):
    """Says of a save that it was rejected, now and then, and serves it later."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rejected = {}

    def keep(self, group, frames):
        if self.now():
            self.rejected[group] = frames
            raise TargetRejected("no room for this one")
        self.rejected.pop(group, None)
        super().keep(group, frames)

    def answer(self, group):
        return self.rejected[group] if group in self.rejected and self.now() else super().answer(group)


class LosesConnections(Dict):
    """A good store with a bad connection: now and then a save does not reach it, or its answer does not come back."""

    def save(self, group, features):
        with self.lock:
            lost = self.draw.choice(["the save", "the answer"]) if self.now() else None
        if lost == "the save":
            raise ConnectionError("not sent")
        super().save(group, features)
        if lost == "the answer":
            raise ConnectionError("no answer came back")


class Sqlite:
    """A right store of several processes: one file, one transaction a save."""

    session = "SqliteSession"

    def __init__(self, path, **options):
        self.path = path
        self.options = options

    def setup(self):
        with sqlite3.connect(self.path, timeout=30) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS features (owner TEXT, name TEXT, frame BLOB, PRIMARY KEY (owner, name))"
            )
            connection.execute("CREATE TABLE IF NOT EXISTS commits (number INTEGER PRIMARY KEY)")
        connection.close()

    def teardown(self):
        pass

    def open(self):
        return globals()[self.session](self.path, **self.options)

    def drop(self, group):
        with sqlite3.connect(self.path, timeout=30) as connection:
            connection.execute("DELETE FROM features WHERE owner = ?", (group,))
        connection.close()


class SqliteSession:
    """One thread's connection."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)

    def save(self, group, features):
        rows = [(group, name, pickle.dumps(frame)) for name, frame in features.items()]
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self.connection.executemany("REPLACE INTO features VALUES (?, ?, ?)", rows)
            number = self.connection.execute("INSERT INTO commits DEFAULT VALUES").lastrowid
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        return number

    def read(self, group, names):
        found = dict(self.connection.execute("SELECT name, frame FROM features WHERE owner = ?", (group,)).fetchall())
        return {name: pickle.loads(found[name]) for name in names}

    def close(self):
        self.connection.close()


class SqliteWithStaleCache(Sqlite):
    """Each process caches what it read or saved, and is not told what others save."""

    session = "CachedSession"


class CachedSession(SqliteSession):
    """Reads through a cache that only its own saves refresh."""

    def __init__(self, path):
        super().__init__(path)
        self.cache = {}

    def save(self, group, features):
        self.cache.pop(group, None)
        return super().save(group, features)

    def read_detail(self, group, names, *, bypass_cache):
        if group in self.cache and not bypass_cache:
            return DetailedRead({name: frame.copy() for name, frame in self.cache[group].items()}, "cache", None)
        frames = super().read(group, names)
        if not bypass_cache:
            self.cache[group] = {name: frame.copy(deep=True) for name, frame in frames.items()}
        return DetailedRead(frames, "store", None)


class NeedsSecrets(Dict):
    """Writes the hash of what it was told where `told` says, and fails now and then."""

    def __init__(self, told, **secrets):
        super().__init__(every=20)
        hashes = {name: hashlib.sha256(secret.encode()).hexdigest() for name, secret in secrets.items()}
        with open(f"{told}-{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump(hashes, file)

    def answer(self, group):
        if self.now():
            raise ConnectionError("try again later")
        return super().answer(group)


class NoSession:
    """Not a target: it has no open()."""

    def setup(self):
        pass

    def teardown(self):
        pass

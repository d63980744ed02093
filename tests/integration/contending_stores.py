"""SQLite stores that number their commits, for `--target contending_stores:NAME`: a right one, and one that races."""

import pickle
import sqlite3
import time
from typing import ClassVar


class Counted:
    """One file, one transaction a save; each group's commits are numbered within it."""

    session = "CountedSession"

    def __init__(self, path):
        self.path = path

    def setup(self):
        with sqlite3.connect(self.path, timeout=30) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS groups (owner TEXT PRIMARY KEY, number INTEGER, features BLOB)"
            )
        connection.close()

    def teardown(self):
        pass

    def open(self):
        return globals()[self.session](self.path)


class CountedSession:
    """One thread's connection."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)

    def save(self, group, features):
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            number = self.number(group) + 1
            self.put(group, number, features)
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        return number

    def number(self, group):
        found = self.connection.execute("SELECT number FROM groups WHERE owner = ?", (group,)).fetchone()
        return found[0] if found else 0

    def put(self, group, number, features):
        self.connection.execute("REPLACE INTO groups VALUES (?, ?, ?)", (group, number, pickle.dumps(features)))

    def read_with_commit(self, group, names):
        query = "SELECT features, number FROM groups WHERE owner = ?"
        found = self.connection.execute(query, (group,)).fetchone()
        if found is None:
            raise KeyError(group)
        frames = pickle.loads(found[0])
        return {name: frames[name] for name in names}, found[1]

    def read(self, group, names):
        return self.read_with_commit(group, names)[0]

    def close(self):
        self.connection.close()


class Races(Counted):
    """Looks up the number before its transaction begins: of two that save at once, one goes under."""

    session = "RacingSession"


class RacingSession(CountedSession):
    def save(self, group, features):
        number = self.number(group) + 1
        time.sleep(0.02)
        self.put(group, number, features)
        return number


class Numberless(Counted):
    """Does not tell what it reads."""

    session = "NumberlessSession"


class NumberlessSession(CountedSession):
    read_with_commit = None

    def read(self, group, names):
        found = self.connection.execute("SELECT features FROM groups WHERE owner = ?", (group,)).fetchone()
        if found is None:
            raise KeyError(group)
        frames = pickle.loads(found[0])
        return {name: frames[name] for name in names}


class Eventual(Counted):
    """Claims little."""

    guarantees: ClassVar = {"reads": "eventual"}

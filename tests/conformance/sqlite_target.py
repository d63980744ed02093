"""A store of someone's own, for the suite: SQLite in a file, for several threads and processes."""

import pickle
import sqlite3


class SqliteTarget:
    def __init__(self, file):
        self.file = file

    def setup(self):
        with self.connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS frame (grp, name, bytes, PRIMARY KEY (grp, name))")
            connection.execute("CREATE TABLE IF NOT EXISTS commits (number INTEGER PRIMARY KEY AUTOINCREMENT)")
        connection.close()

    def teardown(self):
        pass

    def open(self):
        return SqliteSession(self.connect())

    def connect(self):
        return sqlite3.connect(self.file, timeout=20, isolation_level=None, check_same_thread=False)


class SqliteSession:
    def __init__(self, connection):
        self.connection = connection

    def save(self, group, features):
        rows = [(group, name, pickle.dumps(frame)) for name, frame in features.items()]
        self.connection.execute("BEGIN IMMEDIATE")
        with self.connection:  # commits, or rolls back
            self.connection.executemany("REPLACE INTO frame VALUES (?, ?, ?)", rows)
            return self.connection.execute("INSERT INTO commits VALUES (NULL)").lastrowid

    def read(self, group, names):
        query = "SELECT name, bytes FROM frame WHERE grp = ?"
        held = {name: pickle.loads(data) for name, data in self.connection.execute(query, (group,))}
        return {name: held[name] for name in names}

    def close(self):
        self.connection.close()

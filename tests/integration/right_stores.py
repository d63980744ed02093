"""Right stores that make it hard to see that they are, for `--target right_stores:NAME`: none may be accused."""

import random
import threading
import time

from own_stores import Sqlite, SqliteSession


class Far(Sqlite):
    """SQLite far away: what was asked arrives late, and so does the answer."""

    session_of = "FarSession"

    def open(self):
        return globals()[self.session_of](self.path, **self.options)


class FarSession(SqliteSession):
    """Each way takes up to `way_ms`."""

    def __init__(self, path, way_ms=2):
        super().__init__(path)
        self.way_s = float(way_ms) / 1000
        self.draw = random.Random()

    def way(self):
        time.sleep(self.draw.random() * self.way_s)

    def save(self, group, features):
        self.way()
        number = super().save(group, features)
        self.way()
        return number

    def read(self, group, names):
        self.way()
        frames = super().read(group, names)
        self.way()
        return frames


class LosesAnswers(Far):
    """Now and then a save does not arrive, or its answer does not come back: nobody knows what became of it."""

    session_of = "LosingSession"


class LosingSession(FarSession):
    """One save in fifty is not answered."""

    def save(self, group, features):
        lost = self.draw.choice(["the save", "the answer"]) if self.draw.randrange(50) == 0 else None
        if lost == "the save":
            raise ConnectionError("not sent")
        number = super().save(group, features)
        if lost == "the answer":
            raise ConnectionError("no answer came back")
        return number


class LandsLate(Far):
    """Now and then a save times out, and lands later all the same. It says so beforehand."""

    guarantees = {"late_writes": True}  # noqa: RUF012 - as anyone writes it
    session_of = "LateSession"


class LateSession(FarSession):
    """One save in a hundred lands up to a fifth of a second after it was given up."""

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.path, self.late = path, []

    def save(self, group, features):
        if self.draw.randrange(100):
            return super().save(group, features)
        copies = {name: frame.copy(deep=True) for name, frame in features.items()}
        self.late.append(threading.Thread(target=self.land, args=(group, copies, self.draw.random() / 5), daemon=True))
        self.late[-1].start()
        raise TimeoutError("gave up waiting")

    def land(self, group, features, after_s):
        time.sleep(after_s)
        session = SqliteSession(self.path)
        session.save(group, features)
        session.close()

    def close(self):
        for thread in self.late:
            thread.join(10)
        super().close()

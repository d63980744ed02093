import itertools
import json
import socket
import threading

import pytest
from scripted_sessions import CONTENT, KEYS

from stressd.stats.table import Table
from stressd.targets.protocol import Guarantees
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane, LaneParts
from stressd.worker.recollection import Recollection
from stressd.worker.trace import Trace
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger


class Told:
    """Collects what a worker says to its parent."""

    def __init__(self):
        ours, self._theirs = socket.socketpair()
        self.channel = Channel(ours)
        self._theirs.setblocking(False)
        self._text = b""

    def messages(self, event=None):
        try:
            while chunk := self._theirs.recv(65_536):
                self._text += chunk
        except BlockingIOError:
            pass
        messages = [json.loads(line) for line in self._text.splitlines()]
        return [message for message in messages if event in (None, message["event"])]

    def close(self):
        self.channel.close()
        self._theirs.close()


@pytest.fixture
def told():
    collected = Told()
    yield collected
    collected.close()


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 4)


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.create(str(tmp_path / "ledger"), KEYS, run_id="run", boot_id="boot")
    yield opened
    opened.close()


@pytest.fixture
def make_lane(tmp_path, table, ledger, told):
    """Return a lane on a session. `own` are its keys; no frame is edited unless `scribble_every` is given."""
    numbers = itertools.count()

    def make(session, content=CONTENT, guarantees=Guarantees(), *, own=range(KEYS), **changes):  # noqa: B008 - frozen
        number = next(numbers)
        parts = {
            "number": number,
            "row": table.row(number) if "row" not in changes else None,
            "control": table.control,
            "session": session,
            "names": content.names if content is not None else (),
            "group_prefix": "t-",
            "content": content,
            "batches": None,
            "ledger": ledger,
            "judge": Judge(ledger, content, guarantees, owned=own),
            "recollection": Recollection(float("inf")),
            "trace": Trace(told.channel, str(tmp_path / "specimens")),
            "own_keys": own,
            "process_keys": own,
            "cache_every": 1,
            "scribble_every": 10**9,
            "late_writes": guarantees.late_writes,
            "seed": 7,
        }
        return Lane(LaneParts(**(parts | changes)))

    return make


@pytest.fixture
def counts(table):
    """Return the sum over all lanes of a counter, by name and label values."""
    return lambda name, *values: table.snapshot().total(name, *values)


@pytest.fixture
def in_thread():
    """Start a body in a thread that must have ended when the test has."""
    threads = []

    def start(body):
        thread = threading.Thread(target=body, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()

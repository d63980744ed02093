import socket
import threading
import time

import pytest

from stressd.observe import routes
from stressd.observe.routes import Reloaded, Sources
from stressd.observe.server import Listening, ObserveServer

PATIENCE_S = 20.0


class Daemon:
    """What the server asks, to be changed while it serves."""

    def __init__(self):
        self.alive = self.ready = True
        self.status = {"schema": "stressd.status/1", "state": "running"}
        self.body = b"# metrics\n"
        self.reloads = []
        self.mistakes = []

    def sources(self, *, reload=False):
        return Sources(
            metrics=lambda form: f"# {form.name}\n".encode() + self.body,
            status=lambda: self.status,
            alive=lambda: self.alive,
            ready=lambda: self.ready,
            reload=self.reload if reload else None,
        )

    def reload(self):
        self.reloads.append(threading.current_thread().name)
        return Reloaded(not self.mistakes, self.mistakes or ["pools.mixed.rate: 62 -> 80"])


class Raw:
    """A client that sends what it likes; `read_all` gives what came until the other side closed."""

    def __init__(self, url, *sent):
        host, _, port = url.rpartition("/")[2].rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S)
        for data in sent:
            self.socket.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read_all(self):
        received = b""
        try:
            while chunk := self.socket.recv(65_536):
                received += chunk
        except ConnectionError:
            pass
        return received

    def is_cut(self):
        """Whether the other side has closed, without waiting."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(65_536) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(PATIENCE_S)


def until(condition, what):
    deadline_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.01)
    return value


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def raw():
    return Raw


@pytest.fixture
def wait_until():
    return until


@pytest.fixture
def serve(daemon):
    """Start servers of `daemon`, with whatever of Listening; return the URL of each. They are stopped at the end."""
    servers = []

    def start(*, reload=False, **listening):
        server = ObserveServer(Listening(**{"port": 0, **listening}), daemon.sources(reload=reload))
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def always_fresh(monkeypatch):
    """Nothing that was answered is answered again."""
    monkeypatch.setattr(routes, "KEPT_S", 0.0)

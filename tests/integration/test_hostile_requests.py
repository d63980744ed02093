"""A daemon under fire: rubbish, floods and clients that never finish, while Prometheus goes on scraping.

STRESSD_HOSTILE_REQUESTS says how many; `make soak-hostile` sends 20,000 and shows how long the scrapes took.
"""

import contextlib
import http.client
import os
import socket
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon import Daemon, total, until, write_scenario
from hostile import requests, send_all

COUNT = int(os.environ.get("STRESSD_HOSTILE_REQUESTS") or 4_000)
SENDERS = 4
CROWD = 500
MEMORY_MAY_GROW_BYTES = 12 * 2**20


class Scraper:
    """Scrapes five times a second, in turn on one connection that is kept and on new ones."""

    def __init__(self, port):
        self._port = port
        self._kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._done = threading.Event()
        self.scrapes, self.took_s, self.failures = [], [], []
        self.reconnected = 0

    def __enter__(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join(30)
        self._kept.close()

    def _run(self):
        while not self._done.wait(0.2):
            new = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            self._scrape(self._kept, again=True)
            self._scrape(new, again=False)
            new.close()

    def _scrape(self, connection, *, again):
        """Scrape; `again` on a new connection if the kept one turns out to be closed, as every scraper does."""
        started_s = time.perf_counter()
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if again and isinstance(error, ConnectionError):
                self.reconnected += 1
                self._scrape(connection, again=False)
            else:
                self.failures.append(("kept: " if connection is self._kept else "new: ") + repr(error))
            return
        self.took_s.append(time.perf_counter() - started_s)
        if answer.status != 200:
            self.failures.append(answer.status)
        self.scrapes.append(body)

    def times(self):
        took_ms = sorted(1e3 * took_s for took_s in self.took_s)
        middle_ms = statistics.median(took_ms)
        late_ms = took_ms[int(0.95 * (len(took_ms) - 1))]
        return f"{len(took_ms)} scrapes: median {middle_ms:.1f} ms, p95 {late_ms:.1f} ms, worst {took_ms[-1]:.1f} ms"


def slow(port, done):
    """Send a head that never ends, byte by byte."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for byte in b"GET /metrics HTTP/1.1\r\nX-Slow: " + b"a" * 1_000:
            if done.wait(0.05):
                return
            client.send(bytes([byte]))


def greedy(port, done):
    """Ask again and again, and take nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        while not done.is_set():
            client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)


def half_open(port, _done):
    """Say that nothing more will come, before the request is whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET /api/status HTTP/1.1\r\nHost: x\r\n")
        client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def besiegers(port, count):
    """Have `count` clients of each kind at it, again and again."""
    done = threading.Event()

    def besiege(kind):
        while not done.wait(0.05):
            with contextlib.suppress(OSError):
                kind(port, done)

    threads = [threading.Thread(target=besiege, args=(kind,)) for kind in (slow, greedy, half_open) * count]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(30)


def crowd_at_once(port, data):
    """Connect `CROWD` times before anything is sent, then send to all; return how often which status came."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(CROWD)]
        statuses = Counter()
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(data)
        for client in clients:
            client.settimeout(2)
            try:
                statuses[client.recv(65_536)[9:12].decode()] += 1
            except OSError:
                statuses[""] += 1
        return statuses


def fire(port, many):
    with ThreadPoolExecutor(SENDERS) as pool:
        parts = pool.map(lambda at: send_all(port, many[at::SENDERS]), range(SENDERS))
        return sum(parts, Counter())


def done_by(daemon):
    return total(daemon.metrics(), "stressd_operations_total", outcome="ok")


def names_in(body):
    """Return the series of a scrape, without the cost of parsing hundreds of them."""
    return frozenset(line.rpartition(" ")[0] for line in body.splitlines() if not line.startswith("#"))


def resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.timeout(600)
def test_thousands_of_hostile_requests_cost_nobody_anything(tmp_path, run_seed):
    many = requests(run_seed, COUNT)
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None)) as daemon:
        daemon.until_at_work()
        port = int(daemon.address.rpartition(":")[2])
        with Scraper(port) as peace:
            began, since_s = done_by(daemon), time.monotonic()
            time.sleep(3.0)
            at_peace_per_s = (done_by(daemon) - began) / (time.monotonic() - since_s)
        fire(port, requests(run_seed + 1, COUNT // 5))  # whatever is made once is made by now
        memory, fds, said = resident_bytes(daemon.pid), descriptors(daemon.pid), len(daemon.stderr)

        with Scraper(port) as war, besiegers(port, 3):
            began, started_s = done_by(daemon), time.monotonic()
            statuses = fire(port, many[: COUNT // 2])
            crowds = [
                crowd_at_once(port, data) for data in (b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            ]
            statuses += fire(port, many[COUNT // 2 :])
            lasted_s = time.monotonic() - started_s
            in_war_per_s = (done_by(daemon) - began) / lasted_s
            after = daemon.metrics()

        print(f"in peace {peace.times()}\nin war {war.times()}, {lasted_s:.1f} s, {war.reconnected} reconnected")
        print(f"statuses {dict(statuses)}, crowds {[dict(crowd) for crowd in crowds]}")
        print(f"memory {resident_bytes(daemon.pid) - memory:+,} bytes, at most {MEMORY_MAY_GROW_BYTES:,}")

        # The common refusals were provoked (each one: test_connections.py), and the server never failed.
        assert statuses.keys() >= {200, 400, 404, 405, 431}
        assert not statuses.keys() & {500, 502, 503}
        # Every good scrape was answered in full.
        assert not war.failures
        assert len(war.scrapes) > 10
        assert {names_in(body) for body in war.scrapes} == {names_in(peace.scrapes[0])}
        # Nothing is left of it: no word in the log, no memory, no descriptor.
        assert daemon.stderr[said:].count("\n") <= 3 + lasted_s / 5, daemon.stderr[said:]  # its own line of progress
        assert "Traceback" not in daemon.stderr
        assert "HTTP" not in daemon.stderr.replace("http://", "")
        assert resident_bytes(daemon.pid) - memory < MEMORY_MAY_GROW_BYTES
        until(lambda: descriptors(daemon.pid) <= fds + 1, "the descriptors are given back")
        # The load went on beside it, and rightly.
        print(f"{in_war_per_s:.0f} operations a second meanwhile, {at_peace_per_s:.0f} in peace")
        assert in_war_per_s > 0.4 * at_peace_per_s
        assert total(after, "stressd_operations_total", outcome="error") == 0
        assert total(after, "stressd_violations_total") == 0
        assert daemon.stop() == 0

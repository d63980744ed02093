import contextlib
import gzip
import json
import re
import signal
import socket
import threading
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.errors import UsageError
from stressd.observe import server as server_module
from stressd.observe.collector import Format
from stressd.observe.negotiation import wants_gzip, wants_openmetrics
from stressd.observe.server import MAX_CONNECTIONS, MAX_HEAD_BYTES, ObserveServer, Sources, parse_listen

PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Daemon:
    """What the server asks, to be changed while it serves."""

    def __init__(self):
        self.alive = self.ready = True
        self.status = {"schema": "stressd.status/1", "state": "running"}

    def sources(self):
        return Sources(
            metrics=lambda form: f"# {form.name}\n".encode(),
            status=lambda: self.status,
            alive=lambda: self.alive,
            ready=lambda: self.ready,
        )


@pytest.fixture(scope="module")
def serving():
    daemon = Daemon()
    server = ObserveServer("127.0.0.1", 0, daemon.sources())
    address = server.start()
    with httpx.Client(base_url=f"http://{address}", timeout=5) as client:
        yield daemon, client
    server.stop()


@pytest.fixture
def client(serving):
    return serving[1]


@pytest.fixture
def daemon(serving):
    daemon = serving[0]
    yield daemon
    daemon.__init__()


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        (PROMETHEUS_ACCEPTS, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain", Format.TEXT),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;version=abc", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0", Format.TEXT),
        ("application/openmetrics-text;q=much,;;;=,,", Format.TEXT),
    ],
)
def test_metrics_come_in_the_format_that_is_asked_for(client, accept, form):
    answer = client.get("/metrics", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, form.value)
    assert answer.text == f"# {form.name}\n"
    assert "accept" in answer.headers["vary"].lower()


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255)) | st.text('aq=;,.0123456789 /*+-"gzip'))
def test_no_header_makes_the_negotiation_raise(header):
    assert wants_openmetrics(header) in {True, False}
    assert wants_gzip(header) in {True, False}


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("br;q=1, gzip;q=0.2", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("", False),
    ],
)
def test_answers_are_compressed_when_asked(client, accepted, zipped):
    with client.stream("GET", "/metrics", headers={"accept-encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert ("content-encoding" in answer.headers) == zipped
    assert (gzip.decompress(raw) if zipped else raw) == b"# TEXT\n"
    assert int(answer.headers["content-length"]) == len(raw)


def test_health_follows_the_daemon_and_readiness_the_workers(client, daemon):
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    daemon.ready = False
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]
    daemon.alive = False
    assert client.get("/healthz").status_code == 503
    assert client.get("/readyz").text == "no workers at work\n"


def test_the_status_is_json(client, daemon):
    assert client.get("/api/status").json() == daemon.status


def test_the_page_brings_all_it_needs_from_here(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    needed = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert {"/page.js", "/page.css", "/favicon.svg"} <= set(needed)
    for path in needed:
        assert path.startswith("/")
        assert client.get(path).status_code == 200
    assert not re.search(r"<style|style=|onload=|<script>|https?:", page.text)  # what its CSP would refuse
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", client.get("/page.js").text)


def test_every_answer_has_the_security_headers(client):
    for path in ("/", "/metrics", "/nowhere"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/api/status"])
def test_head_says_what_get_would(client, path):
    # Uncompressed: gzip of a header alone cannot be undone.
    get, head = (client.request(method, path, headers={"accept-encoding": "identity"}) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_what_there_is_not_is_refused_in_plain_text(client):
    assert client.get("/metrics/").status_code == 404
    nowhere = client.get("/nowhere")
    assert (nowhere.status_code, nowhere.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = client.request(method, "/metrics")
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert client.post("/-/reload").status_code == 404


def test_a_failure_tells_the_client_nothing_and_the_log_once(client, daemon, caplog):
    daemon.status = {"value": float("nan")}
    for _ in range(2):
        answer = client.get("/api/status")
        assert (answer.status_code, answer.text) == (500, "internal error\n")
    assert [record.message.split(":")[0] for record in caplog.records] == ["/api/status failed"]
    assert client.get("/healthz").status_code == 200


def test_a_port_that_is_taken_is_the_callers_usage_error(serving):
    port = serving[1].base_url.port
    with pytest.raises(UsageError, match=rf"^127\.0\.0\.1:{port} is taken: use --listen 127\.0\.0\.1:0"):
        ObserveServer("127.0.0.1", port, Daemon().sources()).start()


def test_a_host_that_is_none_is_a_usage_error():
    with pytest.raises(UsageError, match="no such host"):
        ObserveServer("no-such-host.invalid", 0, Daemon().sources()).start()


def test_it_stops_frees_the_port_and_leaves_signals_and_threads_as_they_were():
    threads = set(threading.enumerate())
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    server = ObserveServer("127.0.0.1", 0, Daemon().sources())
    host, port = server.start().split(":")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    server.stop()
    server.stop()
    assert set(threading.enumerate()) == threads
    again = ObserveServer(host, int(port), Daemon().sources())
    assert again.start() == f"{host}:{port}"
    again.stop()


def test_it_serves_ipv6():
    server = ObserveServer("::1", 0, Daemon().sources())
    try:
        address = server.start()
    except UsageError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert re.fullmatch(r"\[::1\]:\d+", address)
    assert httpx.get(f"http://{address}/healthz", timeout=5).text == "ok\n"
    server.stop()


def test_listening_to_everyone_is_warned_about(caplog):
    server = ObserveServer("0.0.0.0", 0, Daemon().sources())
    server.start()
    server.stop()
    assert "reachable from other machines" in caplog.text


def raw(address, request):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_rubbish_and_a_head_without_end_are_refused(client):
    address = f"127.0.0.1:{client.base_url.port}"
    assert raw(address, b"what is this\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    endless = b"GET /metrics HTTP/1.1\r\nx: " + b"a" * (MAX_HEAD_BYTES + 100_000)
    with contextlib.suppress(ConnectionError):  # where it is closed before all of it was sent
        assert raw(address, endless).startswith(b"HTTP/1.1 4")
    assert client.get("/healthz").status_code == 200


def test_clients_that_never_finish_a_request_do_not_keep_others_out(monkeypatch):
    monkeypatch.setattr(server_module, "PATIENCE_S", 0.3)
    server = ObserveServer("127.0.0.1", 0, Daemon().sources())
    address = server.start()
    host, port = address.split(":")
    silent = [socket.create_connection((host, int(port)), timeout=5) for _ in range(MAX_CONNECTIONS)]
    try:
        silent[0].sendall(b"GET /metrics HTT")
        assert health(address) == 503  # as many as there may be
        deadline = time.monotonic() + 10
        while health(address) != 200:
            assert time.monotonic() < deadline, "the silent ones were never closed"
            time.sleep(0.05)
    finally:
        for connection in silent:
            connection.close()
        server.stop()


def health(address):
    return httpx.get(f"http://{address}/healthz", timeout=5).status_code


@pytest.mark.parametrize(
    ("listen", "parsed"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9464", ("::1", 9464)),
        ("[::]:80", ("::", 80)),
    ],
)
def test_host_and_port_are_read(listen, parsed):
    assert parse_listen(listen) == parsed


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "9464",
        ":9464",
        "localhost",
        "localhost:",
        "localhost:x",
        "h:65536",
        "h:-1",
        "[]:1",
        "::1:9464",
        "h:٣",
    ],
)
def test_what_is_no_host_and_port_is_a_usage_error(listen):
    with pytest.raises(UsageError, match=r"^--listen "):
        parse_listen(listen)


def test_the_status_stays_what_json_allows(client, daemon):
    daemon.status = {"text": "</script>\u2028ü", "none": None}
    assert json.loads(client.get("/api/status").text) == daemon.status

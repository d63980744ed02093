"""What one client can do to the server, over a real socket: nothing that others would notice."""

import contextlib
import socket

import httpx
import pytest

from stressd.observe import connections, server
from stressd.observe.connections import MAX_HEAD_BYTES

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def url(serve):
    return serve()


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"what is this\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS, where none is spoken
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"HEAD /metrics HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n", 413),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nx: " + b"a" * (MAX_HEAD_BYTES + 1_000), 431),
        (b"GET /" + b"a" * (MAX_HEAD_BYTES + 1_000), 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(url, raw, sent, status):
    with raw(url, sent) as client:
        answer = client.read_all()
    assert status_of(answer) == status
    assert b"content-security-policy" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (LAST, 200),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: \xff\xfe;q=\x80\r\nConnection: close\r\n\r\n", 200),
    ],
)
def test_what_is_one_is_answered_once(url, raw, sent, status):
    with raw(url, sent) as client:
        answer = client.read_all()
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/api/status", "/nowhere"])
def test_head_says_what_get_would(url, path):
    # Uncompressed: gzip of a header alone cannot be undone.
    get, head = (httpx.request(how, url + path, headers={"accept-encoding": "identity"}) for how in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


def test_every_answer_has_the_security_headers_and_no_name(url):
    for path in ("/", "/metrics", "/nowhere"):
        headers = httpx.get(url + path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_requests_that_come_at_once_are_answered_in_turn(url, raw):
    with raw(url, GET * 20 + LAST) as client:
        answer = client.read_all()
    assert answer.count(b"HTTP/1.1 200 OK") == 21


def test_a_request_in_single_bytes_and_a_half_closed_connection_are_served(url, raw):
    with raw(url, *(bytes([byte]) for byte in LAST)) as client:
        client.socket.shutdown(socket.SHUT_WR)
        assert status_of(client.read_all()) == 200


def test_one_who_takes_no_answers_is_not_read_on_and_is_cut(serve, daemon, raw, monkeypatch, wait_until):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.5)
    daemon.body = b"#" * 2_000_000
    url, sent = serve(), 0
    with raw(url) as greedy:
        greedy.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 50_000_000:
                sent += greedy.socket.send(GET * 100)
        assert sent < 50_000_000, "it goes on reading what it cannot answer"
        wait_until(lambda: cut(greedy), "it is cut")
    assert httpx.get(f"{url}/healthz").status_code == 200


def cut(client):
    """Whether writing fails: what was sent by the server lies unread before the news that it has closed."""
    try:
        client.socket.send(b"x")
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTT", GET + b"GET /met", GET + b"\r\n"])
def test_who_never_finishes_a_request_is_cut(serve, raw, monkeypatch, wait_until, sent):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.3)
    with raw(serve(), sent) as client:
        wait_until(client.is_cut, "the silent one is closed")


def test_who_is_silent_after_an_answer_keeps_the_connection_until_it_is_too_long(serve, raw, monkeypatch, wait_until):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.2)
    monkeypatch.setattr(connections, "IDLE_S", 1.0)
    with raw(serve(), GET) as client:
        client.socket.recv(65_536)
        assert not client.is_cut()
        client.socket.sendall(GET)
        assert status_of(client.socket.recv(65_536)) == 200
        wait_until(client.is_cut, "the idle one is closed")


def test_any_number_of_silent_clients_keep_nobody_out(serve, raw, wait_until):
    url = serve()
    with httpx.Client(base_url=url, timeout=5) as guest, contextlib.ExitStack() as stack:
        assert guest.get("/healthz").status_code == 200
        silent = [stack.enter_context(raw(url)) for _ in range(3 * server.MAX_CONNECTIONS)]
        assert httpx.get(f"{url}/healthz", timeout=5).status_code == 200
        wait_until(
            lambda: sum(client.is_cut() for client in silent) >= 2 * server.MAX_CONNECTIONS, "the others are sent away"
        )
        assert guest.get("/healthz").status_code == 200


def test_as_many_as_there_may_be_who_ask_now_and_then_keep_nobody_out(serve, raw):
    url = serve()
    with contextlib.ExitStack() as stack:
        for _ in range(2 * server.MAX_CONNECTIONS):
            client = stack.enter_context(raw(url, GET))
            assert status_of(client.socket.recv(65_536)) == 200
        assert httpx.get(f"{url}/healthz", timeout=5).status_code == 200

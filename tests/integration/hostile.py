"""Requests that nobody should send, from a seed: a small fuzz over request line, headers, paths, methods and bodies."""

import random
import socket
from collections import Counter
from itertools import islice

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PRI", "get", "G\x00T", "")
PATHS = (
    *("/", "/metrics", "/healthz", "/readyz", "/api/status", "/page.js", "/-/reload", "/nowhere", "*", "", "?", "#"),
    *("//metrics", "/metrics/", "/./metrics", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/metrics%00", "/%"),
    *("/metrics?name[]=up&x=%FF", "http://evil.example/metrics", "/api/status;x=y", "/\\metrics", "/metrics\tx"),
)
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "HTTP/1", "HTP/1.1", "")
VALUES = (
    *("", "*/*", "text/plain", "application/openmetrics-text;version=abc", "application/openmetrics-text; q=nan"),
    *(
        "gzip;q=1e999",
        ",,,;;;===",
        "a" * 3_000,
        "\xff\xfe\x80",
        "gzip\x00",
        "chunked",
        "-1",
        "0",
        "18446744073709551616",
    ),
    *("close", "keep-alive", "Upgrade", "websocket", "100-continue", "Bearer x", "Basic !!!", "null", "bytes=0-1,2-9"),
)
NAMES = (
    *("Host", "Accept", "Accept-Encoding", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Expect"),
    *("Authorization", "Origin", "Range", "Cookie", "X-Forwarded-For", "If-None-Match", "TE", "", " ", "Bad Name", "é"),
)
BODIES = (b"", b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"\x00" * 500, b"GET /metrics HTTP/1.1\r\n")


def requests(seed, count):
    """Return `count` byte strings; the same for the same seed."""
    return list(islice(_endless(random.Random(seed)), count))


def _endless(chance):
    while True:
        yield chance.choice(_KINDS)(chance)


def _request(chance):
    line = f"{chance.choice(METHODS)} {chance.choice(PATHS)} {chance.choice(VERSIONS)}"
    named = [f"{chance.choice(NAMES)}: {chance.choice(VALUES)}" for _ in range(chance.randrange(6))]
    if chance.random() < 0.7:  # else nothing gets past the first check
        named.insert(0, "Host: localhost")
    end = chance.choice(("\r\n", "\r\n", "\r\n", "\n", "\r"))
    return (end.join([line, *named]) + 2 * end).encode("latin-1", "replace") + chance.choice(BODIES)


def _valid_but_for_one_header(chance):
    name, value = chance.choice(NAMES), chance.choice(VALUES)
    return f"GET {chance.choice(PATHS)} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n\r\n".encode("latin-1", "replace")


def _noise(chance):
    return chance.randbytes(chance.randrange(1, 2_000))


def _bent(chance):
    """A good request with a few bytes changed, doubled or left out."""
    data = bytearray(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(data)


def _cut_short(chance):
    whole = _request(chance)
    return whole[: chance.randrange(len(whole))]


def _too_much(chance):
    return b"GET /" + chance.choice((b"a" * 40_000, b"x HTTP/1.1\r\n" + b"X: y\r\n" * 5_000, b"\r\n" * 10_000))


def _pipelined(chance):
    return b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * chance.randrange(2, 20) + _request(chance)


_KINDS = (_request, _request, _request, _valid_but_for_one_header, _noise, _bent, _cut_short, _too_much, _pipelined)


def send_all(port, many, *, patience_s=0.05):
    """Send each on a connection of its own; return how often which status came, 0 for none.

    Whoever gets no answer within `patience_s` goes away, as hostile clients do.
    """
    statuses = Counter()
    for data in many:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(data)
                client.settimeout(patience_s)
                statuses.update(_statuses(client.recv(65_536)))
        except OSError:  # refused half-way, reset, or no answer in time
            statuses[0] += 1
    return statuses


def _statuses(answer):
    """Return the statuses of the answers that begin in what came; AssertionError if it begins otherwise."""
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:80]
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] or [0]

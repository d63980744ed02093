"""The server as a whole: its thread, its port, TLS and what it warns of."""

import logging
import re
import signal
import ssl
import subprocess
import threading
import time

import httpx
import pytest

from stressd.errors import UsageError
from stressd.observe.server import Listening, ObserveServer

TOKEN = "a token of 24 characters"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key, in two files and in one."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key, both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stressd"
    where = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert))
    subprocess.run([*make.split(), *where], check=True, capture_output=True, timeout=60)
    both.write_text(cert.read_text() + key.read_text())
    return cert, key, both


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return str(path)


def test_a_port_that_is_taken_is_the_callers_usage_error(serve, daemon):
    port = int(serve().rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"^127\.0\.0\.1:{port} is taken: use --listen 127\.0\.0\.1:0"):
        ObserveServer(Listening(port=port), daemon.sources()).start()


def test_a_host_that_is_none_is_a_usage_error(daemon):
    with pytest.raises(UsageError, match="no such host"):
        ObserveServer(Listening("no-such-host.invalid", 0), daemon.sources()).start()


def test_it_stops_frees_the_port_and_leaves_signals_and_threads_as_they_were(daemon, raw):
    threads = set(threading.enumerate())
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    server = ObserveServer(Listening(port=0), daemon.sources())
    url = server.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    with raw(url) as idle:
        server.stop()
        server.stop()
        assert idle.read_all() == b""
    assert set(threading.enumerate()) == threads
    again = ObserveServer(Listening(port=int(url.rpartition(":")[2])), daemon.sources())
    assert again.start() == url
    again.stop()


def test_it_serves_ipv6(serve):
    try:
        url = serve(host="::1")
    except UsageError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert re.fullmatch(r"http://\[::1\]:\d+", url)
    assert httpx.get(f"{url}/healthz", timeout=5).text == "ok\n"


def test_what_others_can_see_is_warned_about(serve, caplog, token_file, certificate):
    serve(host="0.0.0.0")
    assert "reachable from other machines: anyone there may read" in caplog.text
    caplog.clear()
    serve(host="0.0.0.0", token_file=token_file)
    assert "takes its token unencrypted" in caplog.text
    caplog.clear()
    serve(host="0.0.0.0", token_file=token_file, tls_cert=str(certificate[2]))
    serve(token_file=token_file)
    assert caplog.text == ""


def test_what_asyncio_catches_is_logged_once_and_briefly(daemon, caplog):
    server = ObserveServer(Listening(port=0), daemon.sources())
    for _ in range(2):
        server._log_once(None, {"message": "out of descriptors", "exception": OSError(24, "too many")})
    assert [record.getMessage() for record in caplog.records] == [
        "HTTP: out of descriptors: OSError: [Errno 24] too many"
    ]
    assert caplog.records[0].exc_info is None


# --- TLS


def test_it_serves_over_tls_whoever_checks_the_certificate(serve, certificate):
    cert, key, both = map(str, certificate)
    trusting = ssl.create_default_context(cafile=cert)
    for url in (serve(tls_cert=cert, tls_key=key), serve(tls_cert=both)):
        assert url.startswith("https://127.0.0.1:")
        with httpx.Client(verify=trusting) as client:
            for _ in range(3):
                assert client.get(f"{url}/metrics").text.startswith("# TEXT\n")


def test_who_speaks_no_tls_or_never_shakes_hands_harms_nobody(serve, certificate, raw, monkeypatch, wait_until, caplog):
    caplog.set_level(logging.DEBUG, "stressd")
    monkeypatch.setattr("stressd.observe.connections.PATIENCE_S", 0.5)
    url = serve(tls_cert=str(certificate[2]))
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with raw(url, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") as plain, raw(url) as silent:
        with raw(url, b"\x16\x03\x01"):
            pass
        wait_until(plain.is_cut, "the one without TLS is closed")
        wait_until(silent.is_cut, "the silent one is closed")
    crowd = [raw(url) for _ in range(300)]
    assert httpx.get(f"{url}/healthz", verify=trusting, timeout=5).text == "ok\n"
    for client in crowd:
        client.socket.close()
    time.sleep(0.1)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("cert", "key", "says"),
    [
        ("missing.pem", None, "--tls-cert .*missing.pem: No such file"),
        ("empty.pem", None, "--tls-cert .*empty.pem: "),
        ("cert.pem", None, "--tls-cert .*cert.pem: "),  # no key in it
        ("cert.pem", "other.pem", "--tls-cert .*cert.pem --tls-key .*other.pem: key values mismatch"),
        ("cert.pem", "locked.pem", "the key is encrypted"),
        (None, "key.pem", "--tls-key .*key.pem: there is no certificate for it"),
    ],
)
def test_what_is_no_certificate_and_key_is_a_usage_error(certificate, daemon, cert, key, says):
    folder = certificate[0].parent
    (folder / "empty.pem").write_text("")
    made = {"other.pem": [], "locked.pem": ["-aes256", "-pass", "pass:secret"]}
    if key in made:
        command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", *made[key]]
        subprocess.run([*command, "-out", str(folder / key)], check=True, capture_output=True, timeout=60)
    files = {name: str(folder / value) for name, value in (("tls_cert", cert), ("tls_key", key)) if value}
    with pytest.raises(UsageError, match=says):
        ObserveServer(Listening(port=0, **files), daemon.sources())

import gzip
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.observe.access import Token
from stressd.observe.collector import Format
from stressd.observe.messages import Request
from stressd.observe.negotiation import wants_gzip, wants_openmetrics
from stressd.observe.routes import KEPT_S, Routes

PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TOKEN = "a token of 24 characters"


class Client:
    """Asks routes; time stands still unless it is moved."""

    def __init__(self, daemon, **options):
        self.now_s = 100.0
        reload = options.pop("reload", False)
        self.routes = Routes(daemon.sources(reload=reload), clock=lambda: self.now_s, **options)

    def ask(self, path, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.routes.answer(Request(method, path, named))

    def get(self, path, **headers):
        """Ask when nothing is kept any more."""
        self.now_s += 2 * KEPT_S
        return self.ask(path, **headers)


@pytest.fixture
def client(daemon):
    return Client(daemon)


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return Token(str(path))


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
    answer = client.get("/metrics", accept=accept)
    assert (answer.status, answer.content_type) == (200, form.value)
    assert answer.body.startswith(f"# {form.name}\n".encode())
    assert "Accept" in dict(answer.headers)["vary"]


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
    answer = client.get("/metrics", accept_encoding=accepted)
    assert (dict(answer.headers).get("content-encoding") == "gzip") == zipped
    assert (gzip.decompress(answer.body) if zipped else answer.body).startswith(b"# TEXT\n")


def test_health_follows_the_daemon_and_readiness_the_workers(client, daemon):
    assert [client.get(path).status for path in ("/healthz", "/readyz")] == [200, 200]
    daemon.ready = False
    assert [client.get(path).status for path in ("/healthz", "/readyz")] == [200, 503]
    daemon.alive = False
    assert client.get("/healthz").status == 503
    assert client.get("/readyz").body == b"no workers at work\n"


def test_the_status_is_json_whatever_stands_in_it(client, daemon):
    daemon.status = {"text": "</script>\u2028ü", "none": None}
    answer = client.get("/api/status")
    assert (answer.content_type, json.loads(answer.body)) == ("application/json", daemon.status)


def test_who_asks_again_at_once_is_given_the_same_in_each_form(client, daemon):
    forms = [{}, {"accept_encoding": "gzip"}, {"accept": "application/openmetrics-text"}]
    first = [client.ask("/metrics", **form).body for form in forms]
    daemon.body = b"# others\n"
    assert [client.ask("/metrics", **form).body for form in forms] == first
    assert len(set(first)) == len(forms)
    client.now_s += KEPT_S
    later = [client.ask("/metrics", **form).body for form in forms]
    assert later[0] == b"# TEXT\n# others\n"
    assert not set(first) & set(later)


def test_the_page_brings_all_it_needs_from_here(client):
    page = client.get("/")
    assert page.content_type == "text/html; charset=utf-8"
    text = page.body.decode()
    needed = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert {"/page.js", "/page.css", "/favicon.svg"} <= set(needed)
    assert not re.search(r"<style|style=|\son\w+=|<script>|https?:", text)  # what its policy would refuse
    while needed:
        path = needed.pop()
        answer = client.get(path)
        assert answer.status == 200, path
        if path.endswith(".js"):
            source = answer.body.decode()
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source)
            needed += re.findall(r'from "\.?(/[^"]+)"', source)


def test_what_there_is_not_is_refused(client):
    for path in (
        "/nowhere",
        "/metrics/",
        "//metrics",
        "/%6Detrics",
        "/../metrics",
        "*",
        "http://x/metrics",
        "/-/reload",
    ):
        assert client.ask(path).status == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"):
        refused = client.ask("/metrics", method)
        assert (refused.status, dict(refused.headers)["allow"]) == (405, "GET, HEAD")


def test_a_failure_tells_the_client_nothing_and_the_log_once(client, daemon, caplog):
    daemon.status = {"value": float("nan")}
    for _ in range(2):
        answer = client.get("/api/status")
        assert (answer.status, answer.body) == (500, b"internal error\n")
    assert [record.message.split(":")[0] for record in caplog.records] == ["/api/status failed"]
    assert client.get("/healthz").status == 200


# --- with a token


def test_with_a_token_only_health_is_open(daemon, token):
    client = Client(daemon, token=token)
    for path in ("/", "/metrics", "/api/status", "/page.js"):
        assert client.get(path).status == 401
        assert client.get(path, authorization="Bearer something else altogether").status == 401
        assert client.get(path, authorization=f"Bearer {TOKEN}").status == 200
    assert "Basic" in dict(client.get("/").headers)["www-authenticate"]
    assert [client.get(path).status for path in ("/healthz", "/readyz", "/nowhere")] == [200, 200, 404]


def test_a_reload_exists_only_with_a_token_and_something_to_reload(daemon, token):
    here = {"host": "localhost:9464", "authorization": f"Bearer {TOKEN}"}
    assert Client(daemon, reload=True).ask("/-/reload", "POST", **here).status == 404
    assert Client(daemon, token=token).ask("/-/reload", "POST", **here).status == 404
    client = Client(daemon, token=token, reload=True)
    assert client.ask("/-/reload", "GET", **here).status == 405
    assert daemon.reloads == []
    assert client.ask("/-/reload", "POST", **here).body == b"pools.mixed.rate: 62 -> 80\n"
    daemon.mistakes = ["soak.yaml: rate: -5 is below 0", "soak.yaml: pools: there are none"]
    refused = client.ask("/-/reload", "POST", **here)
    assert (refused.status, refused.body.decode().splitlines()) == (422, daemon.mistakes)
    assert len(daemon.reloads) == 2


BASIC = "Basic OmEgdG9rZW4gb2YgMjQgY2hhcmFjdGVycw=="  # ":a token of 24 characters"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"host": "192.0.2.1:9464"}, 200),
        ({"host": "[::1]:9464"}, 200),
        ({"host": "stressd:9464"}, 200),
        ({"host": "soak.example.org:9464"}, 200),  # what it listens on
        ({"host": "evil.example.com:9464"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://localhost:9464", "sec_fetch_site": "same-origin"}, 200),
        ({"origin": "https://localhost:9464"}, 403),
        ({"origin": "http://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer another one of 24 char"}, 401),
        ({"authorization": BASIC}, 401),  # browsers send it along with what other pages ask for
    ],
)
def test_a_reload_is_taken_from_no_foreign_page_and_nobody_unknown(daemon, token, changes, status):
    client = Client(daemon, token=token, reload=True, own_host="soak.example.org")
    headers = {"host": "localhost:9464", "authorization": f"Bearer {TOKEN}", **changes}
    assert client.ask("/-/reload", "POST", **headers).status == status
    assert len(daemon.reloads) == (status == 200)
    assert client.get("/metrics", authorization=BASIC).status == 200

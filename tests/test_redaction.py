import io
import json
import logging

import pytest

from stressd import logs, redaction
from stressd.redaction import MARK, RedactedStream, hide, redacted, redacted_tree

SECRET = "p\"w\\/ü&'x y"


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_forms", ())


def test_what_is_hidden_is_found_however_it_is_written():
    from html import escape
    from shlex import quote as shell_quote
    from urllib.parse import quote, quote_plus

    written = [SECRET, json.dumps({"a": SECRET}), repr([SECRET]), quote(SECRET), quote(SECRET, safe=""),
               quote_plus(SECRET), escape(SECRET), shell_quote(f"password={SECRET}"),
               json.dumps(SECRET, ensure_ascii=False)]  # fmt: skip
    assert all(redacted(text) == text for text in written)
    hide([SECRET])
    for text in written:
        assert MARK in redacted(text), text
        assert "p" not in redacted(text).replace("password", ""), text


def test_the_longest_goes_first_and_short_ones_and_nothing_stay():
    hide(["secret", "secretive", "abc", ""])
    assert redacted("a secretive secret of abc") == f"a {MARK} {MARK} of abc"
    assert redaction.hidden() == ["secret", "secretive"]


def test_of_a_key_of_several_lines_each_one_is_hidden():
    lines = ["-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ", "short", "-----END KEY-----"]
    hide(["\n".join(lines)])
    assert redacted(f"bad line {lines[1]}, short") == f"bad line {MARK}, short"


def test_a_tree_keeps_its_shape_and_its_numbers():
    hide(["1234"])
    tree = {"n": 1234, "text": "at 1234", "list": [True, None, ("x1234",)], "1234": 1.5}
    assert redacted_tree(tree) == {"n": 1234, "text": f"at {MARK}", "list": [True, None, [f"x{MARK}"]], MARK: 1.5}


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_is_without_it_stacks_too(form, monkeypatch):
    hide([SECRET])
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(form, "info")
        logging.getLogger("x").error("failed with %s", SECRET, exc_info=RuntimeError(f"no login with {SECRET}"))
    finally:
        root.handlers[:], root.level = before
    assert stderr.getvalue().count(MARK) == 2
    assert 'p"w' not in stderr.getvalue()
    assert "p\\" not in stderr.getvalue()


def test_a_stream_passes_on_the_rest():
    hide([SECRET])
    below = io.StringIO()
    stream = RedactedStream(below)
    print(f"a {SECRET} b", file=stream, flush=True)
    assert below.getvalue() == f"a {MARK} b\n"
    assert stream.writable()
    assert not stream.isatty()


@pytest.mark.parametrize("redact", [True, False])
def test_a_worker_tells_no_secret_and_is_told_them(redact):
    import socket

    from stressd.worker.channel import Channel

    hide([SECRET])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Channel(ours, redact=redact).send(
            {"event": "failed", "message": f"no login with {SECRET}", "n": [SECRET]}
        )
        (message,) = Channel(theirs).receive()
    shown = MARK if redact else SECRET
    assert message == {"event": "failed", "message": f"no login with {shown}", "n": [shown]}

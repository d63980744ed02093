"""One process that does one thing and says what it found."""

import os
from types import SimpleNamespace

import pytest
from scripted_children import PATIENCE_S

from stressd.supervisor.child import Child
from stressd.supervisor.errand import Errand


def errand(script, on_message=lambda message: None):
    return Errand(SimpleNamespace(scripts=[script], started=[]), on_message)


def never():
    return False


def test_an_errand_comes_back_with_what_it_found_and_is_gone():
    heard = []
    sent = errand('say("violation", kind="lost")\nsay("found", result={"a": 1})', heard.append)
    found = sent.run(PATIENCE_S, never)
    assert (found.result, found.error) == ({"a": 1}, None)
    assert [message["event"] for message in heard] == ["violation"]
    assert not os.path.exists(f"/proc/{sent.pid}")


def test_an_errand_that_failed_says_why():
    found = errand('say("failed", message="no space", trace="")\nsys.exit(1)').run(PATIENCE_S, never)
    assert (found.result, found.error) == ({}, "no space")


@pytest.mark.parametrize(
    ("script", "told"), [("os._exit(4)", "status 4"), ("os.kill(os.getpid(), 9)", "status -9"), ("pass", "status 0")]
)
def test_an_errand_that_ends_without_a_word_is_an_error(script, told):
    assert told in errand(script).run(PATIENCE_S, never).error


def test_an_errand_that_takes_too_long_is_killed():
    sent = errand("time.sleep(60)")
    found = sent.run(0.2, never)
    assert found.error == "not done after 0.2 s"
    assert not os.path.exists(f"/proc/{sent.pid}")


def test_an_errand_ends_when_the_daemon_does():
    assert errand("time.sleep(60)").run(PATIENCE_S, lambda: True).error == "stopped before it was done"


def test_what_was_found_holds_though_its_process_then_hangs():
    found = errand('say("found", result={"a": 1})\ntime.sleep(60)').run(1.0, never)
    assert (found.result, found.error) == ({"a": 1}, None)


def test_an_errand_can_be_told_something():
    sent = errand('say("found", result=json.loads(parent.recv(100)))')
    sent.tell({"saved": True})
    assert sent.run(PATIENCE_S, never).result == {"saved": True}


def test_a_killed_process_that_the_kernel_holds_on_to_does_not_hold_up_the_daemon(monkeypatch):
    """As one that waits for a disk that is gone: no kill ends it."""
    monkeypatch.setattr("stressd.supervisor.errand.REAPED_WITHIN_S", 0.1)
    monkeypatch.setattr(Child, "signal", lambda child, number: None)
    assert errand("time.sleep(60)").run(0.1, never).error == "not done after 0.1 s"

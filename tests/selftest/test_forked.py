"""A command line in a process that is forked off: its own output, signals and environment, and an end that is seen."""

import os
import signal
import sys
import time

import pytest

from stressd.selftest.forked import Forked

PATIENCE_S = 20


@pytest.fixture
def forked(tmp_path, request):
    """Fork a command off; at the end it is gone."""
    started = []

    def start(command, *arguments):
        started.append(Forked(command, arguments, str(tmp_path / "log")))
        return started[-1]

    yield start
    for one in started:
        one.signal(signal.SIGKILL)
        one.wait(PATIENCE_S)


def said(tmp_path):
    return (tmp_path / "log").read_text(encoding="utf-8")


def test_a_command_is_run_with_its_arguments_and_its_output_goes_into_the_log(forked, tmp_path, monkeypatch):
    monkeypatch.setenv("STRESSD_SEED", "5")

    def command(arguments):
        print("out", arguments, sorted(name for name in os.environ if name.startswith("STRESSD_")))
        sys.stderr.write("err ✅\n")
        os.write(1, os.read(0, 10) + b"nothing to read\n")
        return 7

    assert forked(command, "run", "x").wait(PATIENCE_S) == 7
    assert set(said(tmp_path).splitlines()) == {"out ['run', 'x'] []", "err ✅", "nothing to read"}
    assert os.environ["STRESSD_SEED"] == "5"


def test_what_it_raises_is_its_own_affair(forked, tmp_path):
    def command(arguments):
        raise ValueError("no such thing")

    assert forked(command).wait(PATIENCE_S) == 5
    assert "ValueError: no such thing" in said(tmp_path)


def test_it_can_be_ended_and_its_end_is_told_once_and_for_all(forked):
    one = forked(lambda arguments: time.sleep(PATIENCE_S))
    assert one.poll() is None
    assert one.wait(0.05) is None
    assert os.getpgid(one.pid) in (one.pid, os.getpgid(0)), "soon a group of its own"
    one.signal(signal.SIGTERM)
    assert one.wait(PATIENCE_S) == -signal.SIGTERM
    one.signal(signal.SIGTERM)  # nobody is there any more
    assert one.poll() == -signal.SIGTERM

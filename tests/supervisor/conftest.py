import socket
import subprocess
import sys

import pytest
from scripted_children import PATIENCE_S, PRELUDE

from stressd.scenario import Supervision
from stressd.stats.table import Table
from stressd.supervisor.child import Child
from stressd.supervisor.supervisor import Supervisor
from stressd.worker.channel import Channel


@pytest.fixture(autouse=True)
def scripted_children(monkeypatch):
    """Start scripts in place of workers; whatever a test leaves is killed."""
    started = []

    def start(spec):
        script = spec.scripts.pop(0) if len(spec.scripts) > 1 else spec.scripts[0]
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", PRELUDE + script, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
            )
        channel = Channel(ours)
        channel.wait_s(0.0)
        child = Child(process, channel)
        spec.started.append(child)
        started[:] = [each for each in started if each.returncode is None] + [process]
        return child

    monkeypatch.setattr(Child, "start", start)
    yield
    for process in started:
        if process.returncode is None:
            process.kill()
            process.wait(PATIENCE_S)


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 4)


@pytest.fixture
def supervise(table):
    """Return a supervisor over scripts, one slot each."""
    made = []

    def make(*scripts, replaceable=True, **settings):
        specs = []
        for number, script in enumerate(scripts):
            script.first_lane = script.process = number
            specs.append(("main", script))
        messages = []
        supervisor = Supervisor(
            specs,
            table,
            Supervision(**{"backoff_first_s": 0.01, "backoff_most_s": 0.02} | settings),
            lambda slot, message: messages.append(message),
            replaceable=replaceable,
        )
        supervisor.messages = messages
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.close()

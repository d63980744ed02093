import os
import select
import signal
import subprocess
import sys

import pytest

from stressd.supervisor.signals import Signals

PATIENCE_S = 30

# Ignores that it was told to end: someone else's code that cannot be interrupted.
DEAF = """
import os, signal, time
from stressd.supervisor import signals
signals.HURRY_S = 0.2
with signals.Signals() as asked:
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
        if asked.count == 1:
            print("one", flush=True)
            asked.count = 1.5
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_wakes_who_waits(number):
    before = signal.getsignal(number)
    with Signals() as signals:
        assert signals.count == 0
        os.kill(os.getpid(), number)
        assert select.select([signals.fileno()], [], [], PATIENCE_S)[0]
        signals.clear()
        assert not select.select([signals.fileno()], [], [], 0)[0]
        assert (signals.first, signals.count) == (number, 1)
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_a_process_that_does_not_listen(project_root):
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project_root
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"one\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()

"""Small scripts that speak the worker's side of the channel, to stand for workers."""

import time
from dataclasses import dataclass, field

PATIENCE_S = 20

PRELUDE = """
import json, os, signal, socket, sys, time
parent = socket.socket(fileno=int(sys.argv[1]))
def say(event, **more): parent.sendall(json.dumps({"event": event, **more}).encode() + b"\\n")
"""
READY = 'say("ready")\nwhile parent.recv(1): pass\n'


@dataclass
class Script:
    """Stands for a worker's spec: what its process runs. The last one is what all later processes of the slot run."""

    scripts: list = field(default_factory=lambda: [READY])
    first_lane: int = 0
    threads: int = 1
    process: int = 0
    seed: int = 7
    started: list = field(default_factory=list)


def turn_until(supervisor, holds):
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        supervisor.turn(0.05)


def turn_for(supervisor, seconds, each_turn=lambda: None):
    """Turn for so long."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        each_turn()
        supervisor.turn(0.02)


def state_of(pid):
    """Return the process's state as the kernel tells it: R, S, T (stopped), Z ..."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0]

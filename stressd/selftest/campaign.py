"""All cases, several side by side: those that take their time first, the others beside them, as the cores allow."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from stressd.selftest.cases import Case
from stressd.selftest.forked import Command
from stressd.selftest.outcome import Outcome, outcome_of
from stressd.selftest.running import Running

POLL_S: Final = 0.05
Show = Callable[[Sequence[Running], Sequence[Outcome]], None]


def run_all(cases: Sequence[Case], folder: str, command: Command, show: Show) -> list[Outcome]:
    """Run the cases, each in a folder of its own below `folder`; return how they ended, in the order of `cases`.

    `command` runs a command line of stressd. `show` is called now and then with what runs and what has ended. Whatever
    is raised, no process stays behind.
    """
    waiting, outcomes = list(cases), dict[str, Outcome]()
    with _ended() as running:
        while waiting or running:
            while waiting and (waiting[0].takes_its_time or _quick(running) < _side_by_side()):
                case = waiting.pop(0)
                running.append(Running(case, os.path.join(folder, case.lie), command))
            for one in [one for one in running if one.over()]:
                running.remove(one)
                outcomes[one.case.lie] = outcome_of(one)
            show(running, list(outcomes.values()))
            time.sleep(POLL_S)
    return [outcomes[case.lie] for case in cases]


def _quick(running: Sequence[Running]) -> int:
    return sum(not one.case.takes_its_time for one in running)


def _side_by_side() -> int:
    """One core is left idle: what drifts is only judged by moments in which others did not have the whole machine."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


@contextmanager
def _ended() -> Iterator[list[Running]]:
    running: list[Running] = []
    try:
        yield running
    finally:
        for one in running:
            one.end()


def new_folder() -> str:
    """Return a new folder for a selftest's runs."""
    return tempfile.mkdtemp(prefix="stressd-selftest-")

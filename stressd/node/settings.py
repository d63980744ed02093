"""How one run is run, beside its scenario, and how it ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stressd.observe.server import Listening
from stressd.observe.status import Status
from stressd.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Settings:
    """How one run is run, beside its scenario.

    `show` is given the status once a second, by the watch's thread; `say` what people should know on the way;
    `done` the end, before the linger. `asked_for` are the words of a command line that asks for the same run.
    `reread` reads the scenario anew, for a reload; StressdError if it cannot be.
    `allow_host_faults`: the embedded store may be given a disk of its own, for faults of the disk.
    """

    state_path: str
    show: Callable[[Status], None]
    say: Callable[[str], None]
    done: Callable[["Ended"], None]
    asked_for: Sequence[str] = ()
    movies_path: str | None = None
    seed: int | None = None
    processes: int | None = None
    listening: Listening = field(default_factory=Listening)
    linger_s: float = 0.0
    reports: Sequence[str] = ()
    strict: bool = False
    stop_on_violation: bool = False
    allow_host_faults: bool = False
    reread: Callable[[], Scenario] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: the report, and the process's exit code."""

    report: dict[str, Any]
    exit_code: int

"""The errors of stressd, told apart by type, and the exit codes that scripts rely on."""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How `stressd` ends; where several hold, the order is `SEVERITY`."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    VIOLATION = 3
    INCONCLUSIVE = 4
    ERROR = 5
    INTERRUPTED = 130
    TERMINATED = 143


class StressdError(Exception):
    """Something that ends the command with one clear message; `exit_code` says as what."""

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR


class UsageError(StressdError):
    """What was asked for cannot be done as asked: an option, a name, a file, a folder, a port."""

    exit_code = ExitCode.USAGE


class ScenarioError(UsageError):
    """A scenario holds mistakes; `mistakes` has one line for each, with its place and the way out."""

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.source = source
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class TargetError(UsageError):
    """A target cannot be found, loaded, set up, or used the way it was asked for."""


class DaemonError(StressdError):
    """The daemon or its workers failed; the run says nothing about the store."""

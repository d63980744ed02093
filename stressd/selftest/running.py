"""One case as a process: `stressd run` with a scenario, a target's options, a state folder and a report of its own."""

import json
import signal
import time
from pathlib import Path
from typing import Any, Final

from stressd.selftest.cases import LIAR, Case
from stressd.selftest.forked import Command, Forked

ENDED_WITHIN_S: Final = 5.0
_TOLD: Final = ("state", "store", "told")
_CALLS: Final = ("state", "store", "calls")


class Running:
    """A started case. Used by one thread; `end` it whatever happens."""

    def __init__(self, case: Case, folder: str, command: Command) -> None:
        self.case = case
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.began_s = time.monotonic()
        (self.folder / "scenario.json").write_text(json.dumps(case.scenario, indent=1), encoding="utf-8")
        self._process = Forked(command, self._arguments(), str(self.folder / "log"))

    def _arguments(self) -> list[str]:
        case, at = self.case, self.folder
        options = [word for name, value in case.options.items() for word in ("--target-option", f"{name}={value}")]
        return [
            *("run", str(at / "scenario.json"), "--target", LIAR, *options),
            *("--state", str(at / "state"), "--report", str(at / "report.json"), "--seed", str(case.seed)),
            *("--listen", "127.0.0.1:0", "--quiet"),
            *(["--stop-on-violation"] if case.stop_on_violation else []),
        ]

    def over(self) -> bool:
        """Whether it has ended, by itself or for having taken too long."""
        if self._process.poll() is None and time.monotonic() - self.began_s > self.case.patience_s:
            self.end()
        return self._process.poll() is not None

    def end(self) -> None:
        """End it and all its workers, if it is still there."""
        if self._process.poll() is not None:
            return
        self._process.signal(signal.SIGTERM)
        if self._process.wait(ENDED_WITHIN_S) is None:
            self._process.signal(signal.SIGKILL)  # its workers go with it
            self._process.wait(ENDED_WITHIN_S)

    @property
    def seconds(self) -> float:
        """How long it has been there."""
        return time.monotonic() - self.began_s

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it has not."""
        return self._process.poll()

    def report(self) -> dict[str, Any] | None:
        """Return its report; None if it left none."""
        return _json(self.folder / "report.json")

    def told(self) -> dict[str, Any] | None:
        """Return when the lie was told first; None if it was not."""
        path = self.folder.joinpath(*_TOLD)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        first: dict[str, Any] | None = json.loads(lines[0]) if lines else None
        return first

    def calls_ns(self) -> list[int]:
        """Return when the target was called, in monotonic nanoseconds."""
        path = self.folder.joinpath(*_CALLS)
        data = path.read_bytes() if path.exists() else b""
        return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)]

    def specimens(self) -> list[dict[str, Any]]:
        """Return the specimens that it left."""
        found = (_json(path) for path in sorted((self.folder / "state" / "specimens").glob("*.json")))
        return [specimen for specimen in found if specimen is not None]

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1].strip() if lines else ""


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found

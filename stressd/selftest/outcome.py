"""What came of a case: what caught the lie, as what, and how many operations after it was told."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stressd.errors import ExitCode
from stressd.selftest.cases import Case
from stressd.selftest.running import Running

INTEGRITY = "data_integrity"  # says by number what the violations say by name


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended. `caught_by` are the kinds of violation found and the criteria failed, the first one first.

    `told_at` is the number of the call in which the lie was told first, `after_operations` how many calls of the target
    it lived; None where nothing was told or caught. `why` says what is wrong, if anything is; then `folder` is kept.
    """

    lie: str
    expected: str | None
    caught_by: tuple[str, ...]
    told_at: int | None
    after_operations: int | None
    ok: bool
    seconds: float
    why: str = ""
    folder: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as the JSON of `stressd selftest --json` has it."""
        return asdict(self) | {"caught_by": list(self.caught_by), "seconds": round(self.seconds, 1)}


def outcome_of(running: Running) -> Outcome:
    """Look at what a case that has ended left behind."""
    case, report, told = running.case, running.report(), running.told()
    caught = caught_in(report) if report is not None else ()
    why = wrong_with(case, report, caught, told=told is not None)
    if why and report is None:
        why = f"{why}; its last words: {running.last_words()}"
    return Outcome(
        case.lie,
        case.caught_by,
        caught,
        told["call"] if told is not None else None,
        _lived(running, report, told) if caught else None,
        not why,
        running.seconds,
        why,
        str(running.folder) if why else None,
    )


def caught_in(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of violation, then the failed criteria, of a report."""
    kinds = [kind for kind, count in report["verification"]["violations"].items() if count]
    failed = [
        entry["name"] for entry in report["criteria"] if entry["verdict"] == "fail" and entry["name"] != INTEGRITY
    ]
    return (*kinds, *failed)


def wrong_with(case: Case, report: Mapping[str, Any] | None, caught: Iterable[str], *, told: bool) -> str:
    """Return what is wrong with how a case ended; an empty text if nothing is."""
    found = set(caught)
    if report is None:
        return "the run left no report"
    if case.caught_by is None:
        return f"a store that does not lie was accused: {', '.join(sorted(found))}" if found else ""
    if not told:
        return "the lie was never told"
    if not found:
        return "missed"
    if case.caught_by not in found or not found <= case.also | {case.caught_by}:
        return f"misnamed: {', '.join(sorted(found))}"
    expected = ExitCode.VIOLATION if case.stop_on_violation else ExitCode.FAIL
    return "" if report["exit_code"] == expected else f"exit code {report['exit_code']} instead of {int(expected)}"


def _lived(running: Running, report: Mapping[str, Any] | None, told: Mapping[str, Any] | None) -> int | None:
    """Return how many calls began after the lie was told and before the first violation was found.

    A criterion is judged at the end: all operations of the run, then.
    """
    if told is None or report is None:
        return None
    found_ns: list[int] = [specimen["found_at_ns"] for specimen in running.specimens()]
    if not found_ns:
        return sum(int(operation["count"]) for operation in report["operations"].values())
    told_ns: int = told["at_ns"]
    return sum(told_ns < at_ns <= min(found_ns) for at_ns in running.calls_ns())

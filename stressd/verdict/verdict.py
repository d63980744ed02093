"""The verdict: each criterion's finding against its lines, what the run comes to, and the exit code.

Three-valued: no data, too little, or an interval that lies on both sides of a line is inconclusive, never a
pass.
"""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from stressd.criteria import CRITERIA, Criterion, Line, Outcome
from stressd.errors import ExitCode
from stressd.scenario import Criteria
from stressd.verdict.evidence import Evidence
from stressd.verdict.measured import Finding, Inconclusive, Measured, NotApplicable
from stressd.verdict.measures import measure, violations_of

RunOutcome = Literal["pass", "warn", "fail", "inconclusive", "violated", "error"]

_EXIT_CODES: Final[dict[RunOutcome, ExitCode]] = {
    "violated": ExitCode.VIOLATION,
    "error": ExitCode.ERROR,
    "fail": ExitCode.FAIL,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "warn": ExitCode.PASS,
    "pass": ExitCode.PASS,
}
_MUCH_LONGER: Final = 20


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """How one criterion ended. `criterion` has its lines where the scenario moved them; `why` is for people.

    `value`, `low` and `high` are None where nothing was measured; `worst_at_s` counts from the begin of the
    load.
    """

    criterion: Criterion
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    worst_at_s: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All criteria that the scenario did not leave out, then its own objectives, and what they come to."""

    criteria: Sequence[CriterionResult]
    outcome: RunOutcome


def judge(evidence: Evidence, *, failed: bool = False) -> Verdict:
    """Judge a run, or a run as it stands. `failed`: workers or the daemon gave up, whatever was measured."""
    judged = evidence.scenario.criteria
    results = [
        _result(criterion, measure(criterion, evidence))
        for criterion in (moved(criterion, judged) for criterion in CRITERIA)
        if criterion.name not in judged.omit
    ]
    unknown = Inconclusive("nothing of it was measured")
    results += [_result(each.criterion, evidence.objectives.get(each.name, unknown)) for each in evidence.scenario.slo]
    return Verdict(results, _outcome(evidence, results, failed=failed or evidence.unresolved_workers > 0))


def exit_code(verdict: Verdict, *, interrupted_by: int | None, strict: bool, timed: bool) -> int:
    """Return the process's exit code: 3, 5, then an interruption, then 1, 4, 0.

    `timed`: the run had an end of its own. `interrupted_by` is the signal that ended a timed run before it;
    a daemon that was told to stop has done what it should, whatever its criteria say.
    """
    if verdict.outcome in ("violated", "error"):
        return int(_EXIT_CODES[verdict.outcome])
    if not timed:
        return int(ExitCode.PASS)
    if interrupted_by is not None:
        return int(ExitCode.INTERRUPTED if interrupted_by == signal.SIGINT else ExitCode.TERMINATED)
    if strict and verdict.outcome == "warn":
        return int(ExitCode.FAIL)
    return int(_EXIT_CODES[verdict.outcome])


def moved(criterion: Criterion, criteria: Criteria) -> Criterion:
    """Return the criterion with its lines where the scenario moves them."""
    threshold = criteria.thresholds.get(criterion.name)
    if threshold is None:
        return criterion
    pass_line, fail_line = criterion.pass_line, criterion.fail_line
    return replace(
        criterion,
        pass_line=Line(pass_line.comparison, threshold.pass_),
        fail_line=Line(fail_line.comparison, threshold.fail),
    )


def _outcome(evidence: Evidence, results: Sequence[CriterionResult], *, failed: bool) -> RunOutcome:
    outcomes = {result.outcome for result in results}
    if any(violations_of(evidence.total).values()):
        return "violated"
    if failed:
        return "error"
    if Outcome.FAIL in outcomes:
        return "fail"
    if Outcome.INCONCLUSIVE in outcomes or evidence.saturated or outcomes <= {Outcome.NOT_APPLICABLE}:
        return "inconclusive"
    return "warn" if Outcome.WARN in outcomes else "pass"


def _result(criterion: Criterion, finding: Finding) -> CriterionResult:
    match finding:
        case NotApplicable(reason):
            return CriterionResult(criterion, Outcome.NOT_APPLICABLE, why=reason)
        case Inconclusive(reason):
            return CriterionResult(criterion, Outcome.INCONCLUSIVE, why=reason)
        case Measured(value, low, high, note, worst_at_s):
            outcome = criterion.decide(low, high)
            why = _undecided(criterion, finding) if outcome is Outcome.INCONCLUSIVE else note
            return CriterionResult(criterion, outcome, value, low, high, worst_at_s, why)


def _undecided(criterion: Criterion, found: Measured) -> str:
    """Say between what the value lies, and how long it would take to know.

    The interval of an estimate shrinks with the root of the time sampled.
    """
    if math.isinf(found.high):
        return f"at least {found.low:.3g} {criterion.unit}, which does not tell: {found.note}"
    between = f"between {found.low:.3g} and {found.high:.3g} {criterion.unit}: cannot tell"
    distance = abs(criterion.fail_line.bound - found.value)
    if found.sampled_s is None:
        return f"{between}; {found.note}" if found.note else between
    longer = ((found.high - found.low) / 2 / distance) ** 2 if distance else float("inf")
    if longer > _MUCH_LONGER:
        return f"{between}, nor would a run of {_MUCH_LONGER} times this length"
    return f"{between}; a run of {max(longer, 1.1) * found.sampled_s:.0f} s would, if it goes on like this"

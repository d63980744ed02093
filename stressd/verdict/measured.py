"""What measuring a criterion can come to: a value with its interval, too little, or nothing to measure."""

from dataclasses import dataclass
from typing import Self

from stressd.verdict.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Measured:
    """A value in the criterion's unit, known to lie between `low` and `high`.

    `worst_at_s`: seconds since the load began, where one moment was the worst. `sampled_s`: how long was
    sampled, where more of it would make the interval narrower. `note` is what else a reader wants to know.
    """

    value: float
    low: float
    high: float
    note: str = ""
    worst_at_s: float | None = None
    sampled_s: float | None = None

    @classmethod
    def exactly(cls, value: float, note: str = "") -> Self:
        """Return a value that is no estimate."""
        return cls(value, value, value, note)

    @classmethod
    def of(
        cls,
        estimate: Estimate,
        note: str = "",
        *,
        worst_at_s: float | None = None,
        sampled_s: float | None = None,
    ) -> Self:
        """Return an estimate as measured."""
        return cls(*estimate, note, worst_at_s, sampled_s)


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Too little was measured to tell; `reason` says what was, and what it takes."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The target or the scenario has nothing that this criterion could be measured by."""

    reason: str


Finding = Measured | Inconclusive | NotApplicable

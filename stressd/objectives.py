"""The user's own objectives (`slo:` in a scenario): what a kind of operation is held to in each window of the load."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from stressd import criteria, durations
from stressd.criteria import Comparison, Criterion, Line
from stressd.parts import Mistakes, Part, Real, Span, number_or_text, refuse

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}
LEAST_OPERATIONS: Final = {
    "p50": 20,
    "p90": 50,
    "p95": 100,
    "p99": 200,
    "p999": 1_000,
    "max": 1,
    "error_ratio": 20,
    "rate": 0,
}
SOURCES: Final = {"generate": (), "save": (), "read": ("cache", "store"), "scrub": ()}
MOST: Final = 50
_MOST_WINDOW_S: Final = 86_400.0


def _bound(value: object) -> object:
    if not isinstance(value, str):
        return value
    number, percent, rest = value.strip().partition("%")
    if percent and not rest:
        try:
            return float(number)
        except ValueError as error:
            raise ValueError(f"{value[:40]!r} is no share; write 1%") from error
    return durations.parse_s(value)


_SHARE: Final = r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*%\s*$"
Bound = Annotated[
    Real,
    BeforeValidator(_bound, number_or_text("a number, a time, or a share", f"{durations.PATTERN}|{_SHARE}")),
    Field(ge=0),
]


class Objective(Part):
    """One objective: `stat` of the service times, the errors or the rate of `op`, in every `window` of the load.

    A time is in seconds, or as `10ms`; an `error_ratio` in percent, or as `1%`; a `rate` in operations a second. The
    worst whole window counts: beyond `pass` it warns, beyond `fail` it fails. Where it has been beyond `fail` for
    `abort_after` without a break, the run ends. Warm-up and injected faults do not count.
    """

    model_config = ConfigDict(populate_by_name=True)  # so that a dump by field names can be read again

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    op: Literal["generate", "save", "read", "scrub"]
    source: Literal["cache", "store"] | None = None
    stat: Literal["p50", "p90", "p95", "p99", "p999", "max", "error_ratio", "rate"]
    window: Annotated[Span, Field(ge=1, le=_MOST_WINDOW_S)] = 60.0
    pass_: Bound = Field(alias="pass")
    fail: Bound
    abort_after: Span | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
        if self.name in criteria.BY_NAME:
            yield ("name",), f"{self.name!r} is a criterion of stressd's own; choose another"
        if self.source is not None and self.source not in SOURCES[self.op]:
            yield ("source",), f"a {self.op} comes from nowhere else; leave it out"
        if self.source is not None and self.stat == "error_ratio":
            yield ("source",), "what failed came from nowhere; leave it out"
        if self.stat == "rate" and self.pass_ < self.fail:
            yield ("pass",), f"pass {self.pass_:g}, fail {self.fail:g}: more is better, so pass may not be below fail"
        if self.stat != "rate" and self.pass_ > self.fail:
            yield ("pass",), f"pass {self.pass_:g}, fail {self.fail:g}: less is better, so pass may not be above fail"

    @property
    def unit(self) -> str:
        """That of the value and its lines."""
        return {"error_ratio": "%", "rate": "ops/s"}.get(self.stat, "s")

    @property
    def subject(self) -> str:
        """What is held to it, in words."""
        return f"{self.op} from the {self.source}" if self.source else self.op

    @property
    def criterion(self) -> Criterion:
        """It as a criterion, which verdict, reports and metrics treat like the built-in ones."""
        better: Comparison = ">=" if self.stat == "rate" else "<"
        worse: Comparison = "<" if self.stat == "rate" else ">="
        what = {"error_ratio": "share of errors among", "rate": "rate of"}.get(
            self.stat, f"{self.stat} of the time of a"
        )
        return Criterion(
            self.name,
            "target",
            self.unit,
            Line(better, self.pass_),
            Line(worse, self.fail),
            measures=f"{what} {self.subject}",
            window=f"the worst {durations.text(self.window)} of the load after warm-up, faults apart",
            why="An objective of the scenario's own.",
        )


def mistakes_among(objectives: Any) -> Mistakes:
    """Return what is wrong with several beside one another."""
    names = [objective.name for objective in objectives]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield ("slo", i, "name"), f"{name!r} stands there twice; each objective needs a name of its own"

"""A scenario: what runs, how hard, how long, and what it is judged by. Frozen and validated.

The models here are the one schema: of scenario files, of the resolved scenario in `run.json`, and of what
workers are told. Fields that end in `_s` are seconds and also take `20ms`, `90s`, `3m`, `24h` or `2d`. How a
file and the command line become one scenario is told in `stressd.scenario_file`.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from stressd import criteria, durations
from stressd.spelling import suggest

_SHARE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")

ProbeName = Literal["generation", "storage", "concurrency", "memory", "cache"]


def parse_duration_s(value: object) -> object:
    """Return the seconds that a text like `90s` says; whatever else comes in goes through unchanged."""
    try:
        return durations.parse_s(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _seconds(value: object) -> object:
    return durations.parse_s(value) if isinstance(value, str) else value


# Strict: `true` is no 1 and "5" is no 5. A file that means a number writes one.
Whole = Annotated[int, Strict()]
Real = Annotated[float, Strict()]
Seconds = Annotated[Real, BeforeValidator(_seconds), Field(ge=0)]
Span = Annotated[Real, BeforeValidator(_seconds), Field(gt=0)]


def _known_criterion(name: str) -> str:
    if name not in criteria.BY_NAME:
        raise ValueError(f"{name!r} is no criterion; {suggest(name, criteria.BY_NAME)}")
    return name


CriterionName = Annotated[str, AfterValidator(_known_criterion)]

# Where in a part a mistake is, and what it is.
_Mistakes = Iterable[tuple[tuple[str | int, ...], str]]


def _refuse(mistakes: _Mistakes) -> None:
    """Raise all mistakes as one error, each with its place; do nothing if there are none."""
    details = [
        InitErrorDetails(type=PydanticCustomError("mistake", "{text}", {"text": text}), loc=place, input=None)
        for place, text in mistakes
    ]
    if details:
        raise ValidationError.from_exception_data("Scenario", details)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Target(_Part):
    """What is soaked: a built-in name or `module:factory`, and its options."""

    name: str = Field(default="embedded", min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)


FEATURE_GROUPS: Final = ("basic", "temporal", "statistical", "text", "interaction", "augmented")
FeatureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Rows = Annotated[Whole, Field(ge=1, le=1_000_000)]


class Content(_Part):
    """What a save holds: one frame for each of a key's names.

    `movies`: a slice of `rows` movies, `names` among the six feature groups. `random`: `columns` columns of
    random float64 and an `id`; `names` may be their number (`payload_0` …). `rows` is a number, or two: then
    each save takes its own, between them.
    """

    kind: Literal["movies", "random"] = "movies"
    rows: tuple[Rows, Rows] = (500, 500)
    columns: Whole = Field(default=10, ge=1, le=2_000)
    names: tuple[FeatureName, ...] = FEATURE_GROUPS

    @field_validator("rows", mode="before")
    @classmethod
    def _one_number_is_both(cls, value: object) -> object:
        if isinstance(value, list | tuple) and len(value) != 2:
            raise ValueError(f"{len(value)} values; write one number, or two: the least and the most")
        return value if isinstance(value, list | tuple) else (value, value)

    @field_validator("names", mode="before")
    @classmethod
    def _a_number_is_payloads(cls, value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if not 1 <= value <= 1_000:
            raise ValueError(f"{value} names; from 1 to 1000 are possible")
        return tuple(f"payload_{i}" for i in range(value))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _refuse(self._mistakes())
        return self

    def _mistakes(self) -> _Mistakes:
        low, high = self.rows
        if low > high:
            yield ("rows",), f"{low} to {high} is the wrong way round; write [{high}, {low}]"
        if not self.names:
            yield ("names",), "at least one is needed"
        for i, name in enumerate(self.names):
            if name in self.names[:i]:
                yield ("names", i), f"{name!r} stands there twice"
            elif self.kind == "movies" and name not in FEATURE_GROUPS:
                yield ("names", i), f"{name!r} is no feature group of movies; {suggest(name, FEATURE_GROUPS)}"


class Mix(_Part):
    """How often each operation is drawn, by weight."""

    generate: Real = Field(default=0, ge=0)
    save: Real = Field(default=0, ge=0)
    read: Real = Field(default=0, ge=0)
    read_store: Real = Field(default=0, ge=0)
    scrub: Real = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("at least one operation needs a weight above 0")
        return self


class Pool(_Part):
    """`processes` × `threads` lanes.

    With `rate`, that many operations start each second (open model), else one after the other (closed model).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    processes: Whole = Field(default=1, ge=1, le=256)
    threads: Whole = Field(default=1, ge=1, le=256)
    rate: Real | None = Field(default=None, ge=0, le=1_000_000)
    think_time_s: Seconds = 0.0
    max_late_s: Seconds = 5.0
    mix: Mix

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _refuse(self._mistakes())
        return self

    def _mistakes(self) -> _Mistakes:
        if self.name == "probe":
            yield ("name",), "'probe' is taken by the probes; choose another"
        if self.rate is not None and self.think_time_s:
            yield (
                ("think_time_s",),
                "rate and think_time_s exclude each other (open or closed model); leave one out",
            )

    @property
    def lanes(self) -> int:
        """How many threads the pool has in all."""
        return self.processes * self.threads


class Probes(_Part):
    """Short scripted phases in processes of their own, before and after the load."""

    before: tuple[ProbeName, ...] = ()
    after: tuple[ProbeName, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that run, in order."""
        return (*self.before, *self.after)


class ProbeSettings(_Part):
    """How big the probes are."""

    generation_movies: tuple[Annotated[Whole, Field(ge=1)], ...] = (100, 500, 1000)
    generation_repeats: Whole = Field(default=5, ge=1)
    storage_shapes: tuple[tuple[Annotated[Whole, Field(ge=1)], Annotated[Whole, Field(ge=1)]], ...] = (
        (1_000, 10),
        (5_000, 20),
        (10_000, 30),
    )
    storage_repeats: Whole = Field(default=5, ge=1)
    concurrency_threads: Whole = Field(default=8, ge=2, le=64)
    concurrency_rounds: Whole = Field(default=10, ge=1)
    memory_repeats: Whole = Field(default=50, ge=1)
    memory_movies: Whole = Field(default=100, ge=1)
    cache_features: Whole = Field(default=5, ge=1)
    cache_rows: Whole = Field(default=1_000, ge=1)
    cache_rounds: Whole = Field(default=20, ge=5)
    cache_ttl_s: Seconds = 1.0


class Fault(_Part):
    """A transient fault: `at` a moment (`90s`) or a share of the duration (`50%`).

    `every_s` repeats it in an endless run.
    """

    kind: Literal["target_errors"]
    at: str | float = "50%"
    every_s: Span | None = None
    duration_s: Span = 3.0

    @field_validator("at", mode="before")
    @classmethod
    def _a_moment(cls, value: object) -> str | float:
        way_out = "write a moment (90s) or a share of the duration (50%)"
        if isinstance(value, str):
            share = _SHARE.fullmatch(value.strip())
            if (share and float(share[1]) > 100) or (not share and parse_duration_s(value) is value):
                raise ValueError(f"{value[:40]!r} is no time; {way_out}")
            return value.strip()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
            raise ValueError(f"not a moment of the run; {way_out}")
        return float(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.every_s is not None and self.every_s <= self.duration_s:
            _refuse(
                [
                    (
                        ("every_s",),
                        f"{self.every_s:g} s is not longer than the fault's own {self.duration_s:g} s",
                    )
                ]
            )
        return self

    def starts_s(self, duration_s: float | None) -> float | None:
        """Return when it begins, in seconds of load; None where that needs a duration and there is none."""
        if isinstance(self.at, float):
            return self.at
        if not self.at.endswith("%"):
            return durations.parse_s(self.at)
        return None if duration_s is None else duration_s * float(self.at[:-1]) / 100


class Verification(_Part):
    """How deep reads are checked.

    Every read: shape, names, stamps. Every cell: each read from the store, one in `cache_every` from a cache.
    """

    cache_every: Whole = Field(default=16, ge=1)
    scribble_every: Whole = Field(default=16, ge=1)


class Supervision(_Part):
    """When a worker counts as hung, how long a drain may take, and how a replacement is put off."""

    hang_s: Seconds = 30.0
    drain_s: Seconds = 30.0
    backoff_first_s: Seconds = 0.1
    backoff_most_s: Seconds = 30.0


class Threshold(_Part):
    """Where a criterion's lines are moved to."""

    model_config = ConfigDict(populate_by_name=True)  # so that a dump by field names can be read again

    pass_: Real = Field(alias="pass")
    fail: Real


class Criteria(_Part):
    """What the run is judged by: all criteria but those of `omit`, with thresholds moved by `thresholds`."""

    omit: tuple[CriterionName, ...] = ()
    thresholds: dict[CriterionName, Threshold] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lines_in_order(self) -> Self:
        _refuse(self._mistakes())
        return self

    def _mistakes(self) -> _Mistakes:
        for name, threshold in self.thresholds.items():
            least = criteria.BY_NAME[name].pass_line.comparison in (">", ">=", "==")
            wrong = threshold.pass_ < threshold.fail if least else threshold.pass_ > threshold.fail
            if wrong:
                order = (
                    "more is better: pass may not be below fail"
                    if least
                    else "less is better: pass may not be above fail"
                )
                yield ("thresholds", name), f"pass {threshold.pass_:g}, fail {threshold.fail:g}: {order}"


class Scenario(_Part):
    """One scenario. `duration_s` null means: until told to stop. Without pools only the probes run."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    description: str = ""
    duration_s: Span | None = None
    warmup_s: Seconds = 10.0
    target: Target = Target()
    generated_movies: Whole = Field(default=4_000, ge=1, le=1_000_000)
    generate_batch: Whole = Field(default=100, ge=1, le=100_000)
    content: Content = Content()
    keys_per_lane: Whole = Field(default=2, ge=1, le=100_000)
    pools: tuple[Pool, ...] = ()
    probes: Probes = Probes()
    probe_settings: ProbeSettings = ProbeSettings()
    faults: tuple[Fault, ...] = ()
    verification: Verification = Verification()
    supervision: Supervision = Supervision()
    criteria: Criteria = Criteria()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _refuse(self._mistakes())
        return self

    def _mistakes(self) -> _Mistakes:
        names = [pool.name for pool in self.pools]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield ("pools", i, "name"), f"{name!r} stands there twice; each pool needs a name of its own"
        if not self.pools and not self.probes.names:
            yield (), "nothing to do: neither pools nor probes"
        if self.pools and not any(pool.mix.save or pool.mix.generate for pool in self.pools):
            yield ("pools",), "nothing is ever saved or generated, so there is nothing to read"

    @property
    def lanes(self) -> int:
        """How many lanes all pools have."""
        return sum(pool.lanes for pool in self.pools)

    @property
    def warming_s(self) -> float:
        """How long the load warms up before it is measured: `warmup_s`, but a third of the duration at most."""
        return self.warmup_s if self.duration_s is None else min(self.warmup_s, self.duration_s / 3)

    @property
    def probe_lanes(self) -> int:
        """How many threads a probe may have: rows of the table that are theirs."""
        return self.probe_settings.concurrency_threads

    @property
    def paced(self) -> bool:
        """Whether every pool leaves the target time to rest."""
        return bool(self.pools) and all(pool.rate is not None or pool.think_time_s > 0 for pool in self.pools)

"""A scenario: what runs, how hard, how long, and what it is judged by. Frozen and validated.

The models here are the one schema: of scenario files, of the resolved scenario in `run.json`, and of what
workers are told. Fields that end in `_s` are seconds and also take `20ms`, `90s`, `3m`, `24h` or `2d`. How a
file and the command line become one scenario is told in `stressd.scenario_file`.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from stressd import criteria, durations
from stressd.metrics import FaultKind
from stressd.objectives import MOST as OBJECTIVES_MOST
from stressd.objectives import Objective, mistakes_among
from stressd.parts import Mistakes, Part, Real, Seconds, Span, Whole, number_or_text, parse_duration_s, refuse
from stressd.pools import PHASES_MOST, Mix, Phase, Pool, PoolChange
from stressd.spelling import suggest

_SHARE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_UP_TO_100: Final = r"^\s*0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%\s*$"

ProbeName = Literal["generation", "storage", "concurrency", "memory", "cache"]


def _moment(value: object) -> str | float:
    way_out = "write a moment (90s) or a share of the duration (50%)"
    if isinstance(value, str):
        share = _SHARE.fullmatch(value.strip())
        if (share and float(share[1]) > 100) or (not share and parse_duration_s(value) is value):
            raise ValueError(f"{value[:40]!r} is no time; {way_out}")
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        raise ValueError(f"not a moment of the run; {way_out}")
    return float(value)


def _seconds_of(moment: str | float, duration_s: float | None) -> float | None:
    """Return the moment in seconds; None for a share of an endless run."""
    if isinstance(moment, float):
        return moment
    if not moment.endswith("%"):
        return durations.parse_s(moment)
    return None if duration_s is None else duration_s * float(moment[:-1]) / 100


def _both(value: object) -> object:
    """Return the least and the most that one number, or two, stand for."""
    if isinstance(value, list | tuple) and len(value) != 2:
        raise ValueError(f"{len(value)} values; write one number, or two: the least and the most")
    return value if isinstance(value, list | tuple) else (value, value)


def _known_criterion(name: str) -> str:
    if name not in criteria.BY_NAME:
        raise ValueError(f"{name!r} is no criterion; {suggest(name, criteria.BY_NAME)}")
    return name


CriterionName = Annotated[
    str,
    AfterValidator(_known_criterion),
    WithJsonSchema({"title": "a criterion", "type": "string", "enum": [*criteria.BY_NAME]}),
]


class Target(Part):
    """What is soaked: a built-in name or `module:factory`, and its options."""

    name: str = Field(default="embedded", min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)


FEATURE_GROUPS: Final = ("basic", "temporal", "statistical", "text", "interaction", "augmented")
FeatureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Rows = Annotated[Whole, Field(ge=1, le=1_000_000)]
_HowMany = Annotated[Whole, Field(ge=1, le=1_000)]


class Content(Part):
    """What a save holds: one frame for each of a key's names.

    `movies`: a slice of `rows` movies, `names` among the six feature groups. `random`: `columns` columns of
    random float64 and an `id`; `names` may be their number (`payload_0` …). `rows` is a number, or two: then
    each save takes its own, between them.
    """

    kind: Literal["movies", "random"] = "movies"
    rows: tuple[Rows, Rows] = (500, 500)
    columns: Whole = Field(default=10, ge=1, le=2_000)
    names: tuple[FeatureName, ...] = FEATURE_GROUPS

    @field_validator("rows", mode="before", json_schema_input_type=Rows | tuple[Rows, Rows])
    @classmethod
    def _one_number_is_both(cls, value: object) -> object:
        return _both(value)

    @field_validator("names", mode="before", json_schema_input_type=_HowMany | tuple[FeatureName, ...])
    @classmethod
    def _a_number_is_payloads(cls, value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if not 1 <= value <= 1_000:
            raise ValueError(f"{value} names; from 1 to 1000 are possible")
        return tuple(f"payload_{i}" for i in range(value))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
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


class Probes(Part):
    """Short scripted phases in processes of their own, before and after the load."""

    before: tuple[ProbeName, ...] = ()
    after: tuple[ProbeName, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that run, in order."""
        return (*self.before, *self.after)


class ProbeSettings(Part):
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


_MOMENT: Final = number_or_text("a moment, or a share", f"{durations.PATTERN}|{_UP_TO_100}", minimum=0, maximum=1e12)
_Moment = Annotated[str | float, BeforeValidator(_moment, _MOMENT)]
_ONE_WORKER_EACH: Final = ("worker_kill", "pause")


class Fault(Part):
    """A transient fault of one kind (docs/faults.md), once or again and again.

    It begins `at` a moment (`90s`) or a share of the duration (`50%`); then each `every_s`, or at random moments,
    `per_minute` on average, none later than `until`. It lasts `duration_s`: a number, or two, and each is drawn between
    them. A worker that is killed (`worker_kill`) needs none, and `slow_target` makes each call `delay_s` longer. Good
    service has to be back `recover_s` after its end.
    """

    kind: FaultKind
    at: _Moment = "50%"
    every_s: Span | None = None
    per_minute: Real | None = Field(default=None, gt=0, le=600)
    until: _Moment = "100%"
    duration_s: tuple[Span, Span] = (3.0, 3.0)
    delay_s: Annotated[Span, Field(le=10)] = 0.1
    recover_s: Span = 30.0

    @field_validator("duration_s", mode="before", json_schema_input_type=Span | tuple[Span, Span])
    @classmethod
    def _one_number_is_both(cls, value: object) -> object:
        return _both(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
        low, high = self.duration_s
        if low > high:
            yield ("duration_s",), f"{low:g} to {high:g} is the wrong way round; write [{high:g}, {low:g}]"
        if self.every_s is not None and self.per_minute is not None:
            yield ("per_minute",), "every_s and per_minute exclude each other; leave one out"
        if self.kind not in _ONE_WORKER_EACH and self.every_s is not None and self.every_s <= high:
            yield ("every_s",), f"{self.every_s:g} s is not longer than the fault's own {high:g} s"

    def starts_s(self, duration_s: float | None) -> float | None:
        """Return when it begins, in seconds of load; None where that needs a duration and there is none."""
        return _seconds_of(self.at, duration_s)

    def ends_s(self, duration_s: float | None) -> float | None:
        """Return the latest moment at which it may begin, in seconds of load; None for any."""
        return _seconds_of(self.until, duration_s)


class Verification(Part):
    """How deep reads are checked.

    Every read: shape, names, stamps. Every cell: each read from the store, one in `cache_every` from a cache.
    """

    cache_every: Whole = Field(default=16, ge=1)
    scribble_every: Whole = Field(default=16, ge=1)


class Supervision(Part):
    """When a worker counts as hung, how long a drain may take, and how a replacement is put off."""

    hang_s: Seconds = 30.0
    drain_s: Seconds = 30.0
    backoff_first_s: Seconds = 0.1
    backoff_most_s: Seconds = 30.0


class Threshold(Part):
    """Where a criterion's lines are moved to."""

    model_config = ConfigDict(populate_by_name=True)  # so that a dump by field names can be read again

    pass_: Real = Field(alias="pass")
    fail: Real


class Criteria(Part):
    """What the run is judged by: all criteria but those of `omit`, with thresholds moved by `thresholds`."""

    omit: tuple[CriterionName, ...] = ()
    thresholds: dict[CriterionName, Threshold] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lines_in_order(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
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


class Scenario(Part):
    """One scenario. `duration_s` null means: until told to stop. Without pools only the probes run.

    `phases` follow one another from the begin of the load. If the last has a duration, too, and the scenario none, the
    load ends with it; else the last goes on to the end. `keys_per_lane` keys are each lane's own; `contended_keys` more
    are saved to by all lanes, which takes a target that numbers its commits. `slo` are objectives of the user's own.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    description: str = ""
    duration_s: Span | None = None
    warmup_s: Seconds = 10.0
    target: Target = Target()
    generated_movies: Whole = Field(default=4_000, ge=1, le=1_000_000)
    generate_batch: Whole = Field(default=100, ge=1, le=100_000)
    content: Content = Content()
    keys_per_lane: Whole = Field(default=2, ge=1, le=100_000)
    contended_keys: Whole = Field(default=0, ge=0, le=1_000)
    pools: tuple[Pool, ...] = ()
    phases: Annotated[tuple[Phase, ...], Field(max_length=PHASES_MOST)] = ()
    probes: Probes = Probes()
    probe_settings: ProbeSettings = ProbeSettings()
    faults: tuple[Fault, ...] = ()
    verification: Verification = Verification()
    supervision: Supervision = Supervision()
    criteria: Criteria = Criteria()
    slo: Annotated[tuple[Objective, ...], Field(max_length=OBJECTIVES_MOST)] = ()

    @model_validator(mode="before")
    @classmethod
    def _ends_with_its_phases(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("duration_s") is not None:
            return value
        ends_s = _length_s(value.get("phases"))
        return value if ends_s is None else value | {"duration_s": ends_s}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
        yield from _twice("pools", [pool.name for pool in self.pools])
        if not self.pools and not self.probes.names:
            yield (), "nothing to do: neither pools nor probes"
        if self.pools and not any(mix.save or mix.generate for mix in self.mixes):
            yield ("pools",), "nothing is ever saved or generated, so there is nothing to read"
        yield from self._mistakes_in_phases()
        yield from mistakes_among(self.slo)
        if self.slo and not self.pools:
            yield ("slo",), "there are no pools, so no load that could be held to it; leave it out"

    def _mistakes_in_phases(self) -> Mistakes:
        yield from _twice("phases", [phase.name for phase in self.phases])
        if self.phases and not self.pools:
            yield ("phases",), "there are no pools that could change; leave it out"
        pools = {pool.name: pool for pool in self.pools}
        for i, pool in enumerate(self.pools):
            if self.phases and pool.stages:
                yield ("pools", i, "stages"), "stand beside phases, which begin anew; write them into the phases"
        for i, phase in enumerate(self.phases):
            if phase.duration_s is None and i < len(self.phases) - 1:
                yield ("phases", i, "duration_s"), "is missing; only the last phase may go on to the end"
            for name, change in phase.pools.items():
                place = ("phases", i, "pools", name)
                if name not in pools:
                    yield place, f"there is no such pool; {suggest(name, pools)}"
                    continue
                for within, what in _mistakes_in_change(pools[name], change, phase.duration_s):
                    yield (*place, *within), what

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
    def mixes(self) -> list[Mix]:
        """All mixes that some pool follows at some time."""
        phases: list[Phase | None] = [*self.phases] or [None]
        return [
            pool.in_phase(phase.pools.get(pool.name) if phase else None).mix for phase in phases for pool in self.pools
        ]

    @property
    def paced(self) -> bool:
        """Whether every pool leaves the target time to rest, always."""
        changes = [change for phase in self.phases for change in phase.pools.values()]
        hurried = any(change.think_time_s == 0 for change in changes)
        return bool(self.pools) and all(
            pool.rate is not None or (pool.think_time_s > 0 and not hurried) for pool in self.pools
        )


def _length_s(phases: Any) -> float | None:
    """Return how long all phases, as written, take together; None where one does not say, or there is none."""
    if not isinstance(phases, list | tuple) or not phases:
        return None
    total_s = 0.0
    for phase in phases:
        said = (
            phase.duration_s
            if isinstance(phase, Phase)
            else phase.get("duration_s")
            if isinstance(phase, dict)
            else None
        )
        seconds = parse_duration_s(said)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 1e12:
            return None
        total_s += seconds
    return total_s


def _twice(what: str, names: list[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield (what, i, "name"), f"{name!r} stands there twice; each {what[:-1]} needs a name of its own"


def _mistakes_in_change(pool: Pool, change: PoolChange, duration_s: float | None) -> Mistakes:
    stages_s = sum(stage.duration_s for stage in change.stages)
    if duration_s is not None and stages_s > duration_s:
        yield ("stages",), f"take {stages_s:g} s, longer than the {duration_s:g} s of the phase"
    way_out = "the model stays the same in all phases; leave it out"
    if pool.rate is None and change.rate is not None:
        yield ("rate",), f"the pool has none, so that its operations start one after the other; {way_out}"
    if pool.rate is not None and change.think_time_s is not None:
        yield ("think_time_s",), f"the pool has a rate, and needs no think time; {way_out}"
    if pool.rate is None and change.rate is None:
        yield from pool.in_phase(change).mistakes_in_stages()

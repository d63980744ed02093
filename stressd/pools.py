"""The load of a scenario: pools of lanes, how hard they work, on which keys, and how that changes over time."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from stressd.parts import Mistakes, Part, Real, Seconds, Span, Whole, refuse

MOST_PER_S: Final = 1_000_000
PHASES_MOST: Final = 32  # the counts of each are kept for the report
PARAMETERS: Final[Mapping[str, Mapping[str, float]]] = {  # of each distribution that has any, with their defaults
    "zipfian": {"theta": 0.99},
    "latest": {"theta": 0.99},
    "hotspot": {"hot_keys": 0.2, "hot_reads": 0.8},
}
_Share = Annotated[Real, Field(gt=0, lt=1)]


class Mix(Part):
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


class Keys(Part):
    """Which of the keys that were saved a read takes; `keys: zipfian` stands for `keys: {distribution: zipfian}`.

    `zipfian`: the n-th hottest with a weight of 1/n^theta, hot ones scattered over all lanes. `latest`: the same, the
    most recently saved are the hottest. `hotspot`: a share `hot_reads` of the reads goes to a share `hot_keys` of the
    keys. `sequential`: one after the other.
    """

    distribution: Literal["uniform", "zipfian", "latest", "hotspot", "sequential"] = "uniform"
    theta: _Share | None = None
    hot_keys: _Share | None = None
    hot_reads: _Share | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"distribution": value}
        if not isinstance(value, dict):
            return value
        defaults = PARAMETERS.get(str(value.get("distribution")), {})
        return value | {name: default for name, default in defaults.items() if value.get(name) is None}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
        own = PARAMETERS.get(self.distribution, {})
        for name in ("theta", "hot_keys", "hot_reads"):
            if getattr(self, name) is not None and name not in own:
                yield (name,), f"is no parameter of {self.distribution}; {_parameters(own)}"


def _parameters(own: Mapping[str, float]) -> str:
    return f"it has {' and '.join(own)}" if own else "it has none: leave it out"


class Stage(Part):
    """A way from where the load is to `target`, evenly over `duration_s`; at once if that is 0.

    `target` counts operations a second where the pool has a `rate`, lanes at work where it has none.
    """

    duration_s: Seconds
    target: Real = Field(ge=0, le=MOST_PER_S)


_Rate = Annotated[Real, Field(ge=0, le=MOST_PER_S)]
Stages = tuple[Stage, ...]


class Pool(Part):
    """`processes` × `threads` lanes.

    With `rate`, that many operations start each second (open model), evenly spaced or at random (`arrival`); else one
    after the other (closed model), with `think_time_s` between. `stages` ramp the rate, from `rate` on; in the closed
    model the lanes at work, from none on. After the last the load stays as it is.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    processes: Whole = Field(default=1, ge=1, le=256)
    threads: Whole = Field(default=1, ge=1, le=256)
    rate: _Rate | None = None
    arrival: Literal["constant", "poisson"] = "constant"
    think_time_s: Seconds = 0.0
    stages: Stages = ()
    max_late_s: Seconds = 5.0
    keys: Keys = Keys()
    mix: Mix

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Mistakes:
        if self.name == "probe":
            yield ("name",), "'probe' is taken by the probes; choose another"
        if self.rate is not None and self.think_time_s:
            yield (
                ("think_time_s",),
                "rate and think_time_s exclude each other (open or closed model); leave one out",
            )
        if self.rate is None and self.arrival == "poisson":
            yield ("arrival",), "poisson arrivals need a rate; without one, operations start one after the other"
        yield from self.mistakes_in_stages()

    def mistakes_in_stages(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Return what is wrong with targets that count lanes."""
        if self.rate is not None:
            return
        for i, stage in enumerate(self.stages):
            if not stage.target.is_integer():
                yield (
                    ("stages", i, "target"),
                    f"{stage.target:g} is no number of lanes; without a rate, it counts those",
                )
            elif stage.target > self.lanes:
                yield ("stages", i, "target"), f"{stage.target:g} is more than the {self.lanes} lanes of the pool"

    @property
    def lanes(self) -> int:
        """How many threads the pool has in all."""
        return self.processes * self.threads

    def in_phase(self, change: "PoolChange | None") -> "Pool":
        """Return the pool as it is in a phase that changes so much of it."""
        if change is None:
            return self
        said = {name: value for name, value in change if value is not None and value != ()}
        return self.model_copy(update=said)


class PoolChange(Part):
    """What is different of a pool in one phase; the rest is as the pool has it."""

    rate: _Rate | None = None
    think_time_s: Seconds | None = None
    stages: Stages = ()
    mix: Mix | None = None


class Phase(Part):
    """A stretch of the load under a name of its own; the last one may leave `duration_s` out and lasts to the end.

    `pools` says, by name, what is different of them.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    duration_s: Span | None = None
    pools: dict[str, PoolChange] = Field(default_factory=dict)

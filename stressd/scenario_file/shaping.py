"""How `--processes`, `--threads`, `--rate` and `--duration` change a scenario."""

from collections.abc import Sequence
from typing import Any, Final

from stressd.errors import UsageError
from stressd.options import Overrides
from stressd.scenario import Mix, Pool, Scenario
from stressd.scenario_file.yaml_tree import Path

_OPTIONS: Final = {
    "processes": "--processes",
    "threads": "--threads",
    "rate": "--rate",
    "duration_s": "--duration",
}


class CannotShapeError(UsageError):
    """What the options ask for does not go with the scenario; the message begins with the option."""


def shaped(scenario: Scenario, overrides: Overrides) -> Scenario:
    """Return the scenario as the options shape it; CannotShapeError or ValidationError if they cannot."""
    changes: dict[str, Any] = {}
    if overrides.duration_s is not None:
        changes["duration_s"] = overrides.duration_s
    pools = scenario.pools
    if overrides.processes is not None or overrides.threads is not None:
        _need_pools(scenario, "--processes" if overrides.processes is not None else "--threads")
        pools = (merged(pools, overrides.processes or 1, overrides.threads or 1, rate=overrides.rate),)
    if overrides.rate is not None:
        _need_pools(scenario, "--rate")
        pools = spread(pools, overrides.rate)
    if pools is not scenario.pools:
        changes["pools"] = [pool.model_dump() for pool in pools]
    return Scenario.model_validate(scenario.model_dump(by_alias=True) | changes) if changes else scenario


def option_of(path: Path) -> str:
    """Return the option that a mistake in the shaped scenario comes from."""
    return _OPTIONS.get(str(path[-1]) if path else "", "the scenario with these options")


def merged(pools: Sequence[Pool], processes: int, threads: int, *, rate: float | None = None) -> Pool:
    """Return one pool of `processes` × `threads` that does what all did.

    The mixes are merged by each pool's share of the rates, which are added, or else of the lanes. Open and
    closed pools become one only where `rate` will decide.
    """
    models = {pool.rate is None for pool in pools}
    if len(models) > 1 and rate is None:
        raise CannotShapeError(
            "--processes, --threads: some pools have a rate, some have none; say by --rate what all have"
        )
    shares = _shares(pools)
    return Pool(
        name=pools[0].name if len(pools) == 1 else "merged",
        processes=processes,
        threads=threads,
        rate=sum(pool.rate or 0.0 for pool in pools) if models == {False} else None,
        think_time_s=sum(s * pool.think_time_s for s, pool in zip(shares, pools, strict=True))
        if models == {True}
        else 0.0,
        max_late_s=max(pool.max_late_s for pool in pools),
        mix=pools[0].mix if len(pools) == 1 else _merged_mix(pools, shares),
    )


def spread(pools: Sequence[Pool], rate: float) -> tuple[Pool, ...]:
    """Return the pools with constant arrivals, `rate` in all, split by rates or else by lanes."""
    return tuple(
        pool.model_copy(update={"rate": rate * share, "think_time_s": 0.0})
        for share, pool in zip(_shares(pools), pools, strict=True)
    )


def _shares(pools: Sequence[Pool]) -> list[float]:
    rates = [pool.rate for pool in pools if pool.rate is not None]
    weights = rates if len(rates) == len(pools) and sum(rates) > 0 else [float(pool.lanes) for pool in pools]
    return [weight / sum(weights) for weight in weights]


def _merged_mix(pools: Sequence[Pool], shares: Sequence[float]) -> Mix:
    percent = dict.fromkeys(Mix.model_fields, 0.0)
    for share, pool in zip(shares, pools, strict=True):
        weights = pool.mix.model_dump()
        for operation, weight in weights.items():
            percent[operation] += 100 * share * weight / sum(weights.values())
    return Mix(**{operation: round(weight, 6) for operation, weight in percent.items()})


def _need_pools(scenario: Scenario, option: str) -> None:
    if not scenario.pools:
        raise CannotShapeError(f"{option}: scenario {scenario.name} has no pools, only probes; leave the option out")

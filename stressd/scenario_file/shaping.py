"""How `--processes`, `--threads`, `--rate` and `--duration` change a scenario."""

from collections.abc import Sequence
from typing import Any, Final

from stressd.errors import UsageError
from stressd.options import Overrides
from stressd.pools import Mix, Phase, Pool
from stressd.scenario import Scenario
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
    if overrides.rate is not None:
        _need_pools(scenario, "--rate")
        scenario = spread(scenario, overrides.rate)
    if overrides.processes is not None or overrides.threads is not None:
        _need_pools(scenario, "--processes" if overrides.processes is not None else "--threads")
        scenario = merged(scenario, overrides.processes or 1, overrides.threads or 1)
    return _changed(scenario, duration_s=overrides.duration_s) if overrides.duration_s is not None else scenario


def _changed(scenario: Scenario, **changes: Any) -> Scenario:
    return Scenario.model_validate(scenario.model_dump(by_alias=True) | changes)


def option_of(path: Path) -> str:
    """Return the option that a mistake in the shaped scenario comes from."""
    return _OPTIONS.get(str(path[-1]) if path else "", "the scenario with these options")


def merged(scenario: Scenario, processes: int, threads: int) -> Scenario:
    """Return the scenario with one pool of `processes` × `threads` that does what all did, in each phase.

    The mixes are merged by each pool's share of the rates, which are added, or else of the lanes. Open and
    closed pools do not become one, nor do several of which some have stages, or that take other keys.
    """
    pools = scenario.pools
    if len(pools) > 1:
        _refuse_to_merge(scenario)
    name = pools[0].name if len(pools) == 1 else "merged"
    size = {"name": name, "processes": processes, "threads": threads}
    phases = [
        phase.model_dump(by_alias=True) | {"pools": {name: _change(pools, phase)} if phase.pools else {}}
        for phase in scenario.phases
    ]
    return _changed(scenario, pools=[_one_of(pools).model_dump() | size], phases=phases)


def _one_of(pools: Sequence[Pool]) -> Pool:
    """Return a pool, of any size, that does what these do; the model is that of the first."""
    first = pools[0]
    if len(pools) == 1:
        return first
    shares = _shares(pools)
    return first.model_copy(
        update={
            "rate": round(sum(pool.rate or 0.0 for pool in pools), 6) if first.rate is not None else None,
            "arrival": "poisson" if any(pool.arrival == "poisson" for pool in pools) else "constant",
            "think_time_s": sum(s * pool.think_time_s for s, pool in zip(shares, pools, strict=True)),
            "max_late_s": max(pool.max_late_s for pool in pools),
            "mix": _merged_mix(pools, shares),
        }
    )


def _change(pools: Sequence[Pool], phase: Phase) -> dict[str, Any]:
    if len(pools) == 1:
        return phase.pools[pools[0].name].model_dump()
    one = _one_of([pool.in_phase(phase.pools.get(pool.name)) for pool in pools])
    pace = {"think_time_s": one.think_time_s} if one.rate is None else {"rate": one.rate}
    return {"mix": one.mix.model_dump(), **pace}


def _refuse_to_merge(scenario: Scenario) -> None:
    pools, options = scenario.pools, "--processes, --threads"
    if len({pool.rate is None for pool in pools}) > 1:
        raise CannotShapeError(f"{options}: some pools have a rate, some have none; say by --rate what all have")
    if len({pool.keys for pool in pools}) > 1:
        raise CannotShapeError(f"{options}: pools that read other keys cannot be merged; leave the option out")
    changes = [change for phase in scenario.phases for change in phase.pools.values()]
    if any(pool.stages for pool in pools) or any(change.stages for change in changes):
        raise CannotShapeError(f"{options}: pools with stages cannot be merged; say by --rate what all have")


def spread(scenario: Scenario, rate: float) -> Scenario:
    """Return the scenario with constant arrivals all the time, `rate` in all, split by rates or else by lanes."""
    pools = scenario.pools
    steady = {"arrival": "constant", "think_time_s": 0.0, "stages": ()}
    paced = [
        pool.model_dump() | steady | {"rate": rate * share} for share, pool in zip(_shares(pools), pools, strict=True)
    ]
    phases = [
        phase.model_dump() | {"pools": {name: {"mix": change.mix} for name, change in phase.pools.items()}}
        for phase in scenario.phases
    ]
    return _changed(scenario, pools=paced, phases=phases)


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

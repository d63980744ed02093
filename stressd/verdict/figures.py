"""The figures of a report, by the names that a line of `stressd compare` may use, each with what tells how sure it is.

Pure: a report in, its figures out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from stressd.metrics import CLASSES
from stressd.verdict.statistics import Series

Json = Mapping[str, Any]

STATS: Final = ("p50", "p90", "p95", "p99", "p999", "max")
LEAST_POINTS: Final = 6  # of a timeline: fewer have no interval
_AFTERMATH_S: Final = 3.0
_MORE_IS_BETTER: Final = ("MB/s", "movies/s", "x")  # units of criteria


class Rare(NamedTuple):
    """To how many of all operations something happened."""

    happened: int
    of: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a run, and what says how sure it is, where the report holds that.

    `logs`: its logarithm at each point of the timeline. `hosts`: the logarithm of what constant work took at the same
    points, where a slower host changes the figure. `rare`: of a share of operations, how many those are.
    """

    value: float
    unit: str
    logs: Series | None = None
    hosts: Series | None = None
    rare: Rare | None = None
    less_is_better: bool = True


def metrics_of(report: Json) -> dict[str, Metric]:
    """Return everything of a report that a line may name."""
    points = steady_points(report)
    operations = {op: each for op, each in report["operations"].items() if each["count"]}
    found: dict[str, Metric] = {}
    for op, source in CLASSES:
        each = operations.get(op, {}) if source == "none" else operations.get(op, {}).get("sources", {}).get(source, {})
        if each.get("count"):
            found |= _times(op if source == "none" else f"{op}.{source}", each["service_seconds"], points, (op, source))
    for op, operation in operations.items():
        found |= _times(f"{op}.latency", operation["latency_seconds"])
        found[f"{op}.rate"] = Metric(operation["rate_per_second"] or 0.0, "/s", less_is_better=False)
        errors = Rare(operation["errors"], operation["count"])
        found[f"{op}.errors"] = Metric(100 * errors.happened / errors.of, "%", rare=errors)
    total = sum(operation["rate_per_second"] or 0.0 for operation in operations.values())
    rates, _ = _over_time(points, [point["operations_per_second"] for point in points])
    found["rate"] = Metric(total, "/s", rates, less_is_better=False)
    if (memory := report["memory"].get("rss_bytes")) is not None:
        found["memory.peak"] = Metric(memory["peak"] / 1e6, "MB")
    for criterion in report["criteria"]:
        if criterion["value"] is not None and criterion["unit"] in _MORE_IS_BETTER:
            found[criterion["name"]] = Metric(criterion["value"], criterion["unit"], less_is_better=False)
    return found


def steady_points(report: Json) -> list[Json]:
    """Return the timeline after warm-up, but for a fault, what came just after, and when others had the machine."""
    scenario, timeline = report["scenario"], report["timeline"]
    duration_s, warmup_s = scenario.get("duration_s"), scenario.get("warmup_s") or 0.0
    warm_s = warmup_s if duration_s is None else min(warmup_s, duration_s / 3)
    faulty_s = [point["at_seconds"] for point in timeline if point["fault"]]
    return [
        point
        for point in timeline
        if point["at_seconds"] > warm_s
        and not point.get("crowded")
        and not any(0 <= point["at_seconds"] - fault_s < _AFTERMATH_S for fault_s in faulty_s)
    ]


def _times(
    name: str, quantiles: Json, points: Sequence[Json] = (), each: tuple[str, str] | None = None
) -> dict[str, Metric]:
    label = "/".join(each).removesuffix("/none") if each else ""
    found = {}
    for stat in STATS:
        if quantiles[stat] is not None:
            values = [point.get(f"{stat}_seconds", {}).get(label) for point in points]
            found[f"{name}.{stat}"] = Metric(quantiles[stat], "s", *_over_time(points, values))
    return found


def _over_time(points: Sequence[Json], values: Sequence[float | None]) -> tuple[Series | None, Series | None]:
    """Return the logarithms of what is known of the values, and of what constant work took then; None of too few."""
    known = [(value, point.get("seconds_per_cell")) for value, point in zip(values, points, strict=True) if value]
    if len(known) < LEAST_POINTS:
        return None, None
    logs = np.log([value for value, _ in known])
    hosts = [host for _, host in known if host]
    return logs, np.log(hosts) if len(hosts) == len(known) else None

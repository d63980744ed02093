"""Two reports side by side: what changed, how surely, and whether it got worse. Pure: reports in, changes out.

How sure: each run's timeline is cut into blocks, since neighbouring ticks resemble each other, and the blocks are drawn
anew (a bootstrap of the logarithms' middle half). The host's own speed is taken out of each tick, as far as times
followed it, as the criterion `degradation` does. Why a change counts: docs/decisions/comparing-runs.md.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from stressd.errors import UsageError
from stressd.metrics import CLASSES
from stressd.spelling import suggest
from stressd.verdict.statistics import Estimate, Series, bootstrap_error, interquartile_mean

Json = Mapping[str, Any]
Outcome = Literal["worse", "better", "same", "unsure"]

STATS: Final = ("p50", "p90", "p95", "p99", "p999", "max")
ALLOWED_CHANGE: Final = 0.10
_SIGMAS: Final = 3.0  # between equal runs a metric seldom lies further apart than so many standard errors
_BLOCKS: Final = 16
_LEAST_BLOCKS: Final = 6
_AFTERMATH_S: Final = 3.0
_LINE: Final = re.compile(r"(?P<metric>[a-z0-9_.]+)\s*(?P<sign>[<>])\s*(?P<change>[+-][0-9]+(?:\.[0-9]+)?)\s*%")
_RANKS: Final = {"pass": 0, "warn": 1, "not_applicable": 1, "inconclusive": 2, "fail": 3, "error": 4, "violated": 5}
_MORE_IS_BETTER: Final = ("MB/s", "movies/s", "x")  # units of criteria
_GENTLE: Final = ("pass", "warn", "not_applicable", "inconclusive")  # to come to these is no regression


class Line(NamedTuple):
    """What is not to be crossed: by how much a metric may change, as a share; `up`: it may not grow by more."""

    metric: str
    up: bool
    change: float

    def __str__(self) -> str:
        return f"{self.metric}{'>' if self.up else '<'}{100 * self.change:+g}%"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a run. `logs`: its logarithm at each point of the timeline; none where there is one figure alone.

    `hosts`: the logarithm of what constant work took at the same points, where a slower host changes the figure.
    """

    value: float
    unit: str
    logs: Series | None = None
    hosts: Series | None = None
    less_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """How a metric went from A to B. `change` is relative, with its interval; None where A has nothing to divide by.

    `line` is what it was held to, if it was.
    """

    metric: str
    unit: str
    before: float
    after: float
    change: float | None
    low: float | None
    high: float | None
    outcome: Outcome
    line: Line | None = None

    @property
    def regressed(self) -> bool:
        """Whether it crossed its line, and surely changed that way at all.

        Where it is known less well than the line is wide, the whole interval has to lie beyond the line.
        """
        if self.line is None or self.change is None:
            return False
        sign = 1 if self.line.up else -1
        line, change = sign * self.line.change, sign * self.change
        if self.low is None or self.high is None:
            return change >= line
        least = self.low if self.line.up else -self.high
        return change >= line and least > (0 if change - least <= line else line)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, those of verdicts in words, and what makes the two runs hard to compare."""

    changes: Sequence[Change]
    verdicts: Sequence[str]
    worse_verdicts: Sequence[str]
    differences: Sequence[str]
    host: float | None

    @property
    def regressions(self) -> list[str]:
        """What got worse, a line each; empty where nothing did."""
        crossed = [
            f"{change.metric} {change.change:+.1%}: over {change.line}" for change in self.changes if change.regressed
        ]
        return [*crossed, *self.worse_verdicts]


def parse_line(text: str) -> Line:
    """Take `save.p99>+10%` or `save.rate<-10%`. UsageError says what is wrong with it."""
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--fail-on {text[:40]!r} is no line; write METRIC>+10% or METRIC<-10%, as in save.p99>+10%")
    change = float(match["change"]) / 100
    if (match["sign"] == ">") != (change >= 0):
        raise UsageError(
            f"--fail-on {text[:40]!r} is crossed by what does not change; write METRIC>+10% or METRIC<-10%"
        )
    return Line(match["metric"], match["sign"] == ">", change)


def compare(before: Json, after: Json, lines: Sequence[Line] = ()) -> Comparison:
    """Compare two reports. Without `lines`: no median time may grow, no rate may fall, by more than a tenth.

    UsageError for a metric that neither run has.
    """
    of_both = [metrics_of(report) for report in (before, after)]
    wanted = {line.metric: line for line in lines} or _default_lines(*of_both)
    for name in wanted:
        if name not in of_both[0] or name not in of_both[1]:
            known = sorted(of_both[0].keys() & of_both[1].keys())
            missing = "in neither" if not any(name in metrics for metrics in of_both) else "not in both"
            raise UsageError(f"--fail-on {wanted[name]}: {name} is {missing} of the reports; {suggest(name, known)}")
    host = _host(before, after)
    names = [name for name in of_both[0] if name in of_both[1] and (name in wanted or _is_shown(name))]
    verdicts = list(_changed_verdicts(before, after))
    return Comparison(
        [_change(name, of_both[0][name], of_both[1][name], host, wanted.get(name)) for name in names],
        [text for text, _ in verdicts],
        [text for text, worse in verdicts if worse],
        list(_differences(before, after)),
        None if host is None else math.expm1(host.slower),
    )


def metrics_of(report: Json) -> dict[str, Metric]:
    """Return everything of a report that a line may name."""
    points = list(_steady(report))
    operations = {op: each for op, each in report["operations"].items() if each["count"]}
    found: dict[str, Metric] = {}
    for op, source in CLASSES:
        each = operations.get(op, {}) if source == "none" else operations.get(op, {}).get("sources", {}).get(source, {})
        if each.get("count"):
            found |= _times(op if source == "none" else f"{op}.{source}", each["service_seconds"], points, (op, source))
    for op, operation in operations.items():
        found |= _times(f"{op}.latency", operation["latency_seconds"])
        found[f"{op}.rate"] = Metric(operation["rate_per_second"] or 0.0, "/s", less_is_better=False)
        found[f"{op}.errors"] = Metric(100 * operation["errors"] / operation["count"], "%")
    total = sum(operation["rate_per_second"] or 0.0 for operation in operations.values())
    rates, _ = _over_time(points, [point["operations_per_second"] for point in points])
    found["rate"] = Metric(total, "/s", rates, less_is_better=False)
    if (memory := report["memory"].get("rss_bytes")) is not None:
        found["memory.peak"] = Metric(memory["peak"] / 1e6, "MB")
    for criterion in report["criteria"]:
        if criterion["value"] is not None and criterion["unit"] in _MORE_IS_BETTER:
            found[criterion["name"]] = Metric(criterion["value"], criterion["unit"], less_is_better=False)
    return found


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


def _is_shown(name: str) -> bool:
    """Whether a metric is worth a row where no line names it."""
    return not (".latency." in name or name.endswith((".p90", ".p95", ".p999", ".max")))


def _default_lines(before: Mapping[str, Metric], after: Mapping[str, Metric]) -> dict[str, Line]:
    both = [name for name in before if name in after]
    slower = {
        name: Line(name, True, ALLOWED_CHANGE)
        for name in both
        if before[name].logs is not None and name.endswith(".p50")
    }
    return slower | {"rate": Line("rate", False, -ALLOWED_CHANGE)}


# --- Over time -------------------------------------------------------------------------------------


def _steady(report: Json) -> Iterator[Json]:
    """Yield the points after warm-up, without those of a fault or just after, or when others had the machine."""
    scenario, timeline = report["scenario"], report["timeline"]
    duration_s, warmup_s = scenario.get("duration_s"), scenario.get("warmup_s") or 0.0
    warm_s = warmup_s if duration_s is None else min(warmup_s, duration_s / 3)
    faulty_s = [point["at_seconds"] for point in timeline if point["fault"]]
    for point in timeline:
        at_s = point["at_seconds"]
        if (
            at_s > warm_s
            and not point.get("crowded")
            and not any(0 <= at_s - fault_s < _AFTERMATH_S for fault_s in faulty_s)
        ):
            yield point


def _over_time(points: Sequence[Json], values: Sequence[float | None]) -> tuple[Series | None, Series | None]:
    """Return the logarithms of what is known of the values, and of what constant work took then; None of too few."""
    known = [(value, point.get("seconds_per_cell")) for value, point in zip(values, points, strict=True) if value]
    if len(known) < _LEAST_BLOCKS:
        return None, None
    logs = np.log([value for value, _ in known])
    hosts = [host for _, host in known if host]
    return logs, np.log(hosts) if len(hosts) == len(known) else None


class _Host(NamedTuple):
    """How far times followed the host's speed in both runs, 0 (not at all) to 1 (as one), and its standard error."""

    followed: float
    error: float
    slower: float


def _host(before: Json, after: Json) -> _Host | None:
    hosts = [report.get("host") for report in (before, after)]
    if any(not host or not host["seconds_per_cell"] for host in hosts):
        return None
    first, second = (host for host in hosts if host)
    return _Host(
        (first["followed"] + second["followed"]) / 2,
        math.hypot(first["followed_error"], second["followed_error"]) / 2,
        math.log(second["seconds_per_cell"] / first["seconds_per_cell"]),
    )


# --- What changed ----------------------------------------------------------------------------------


def _change(name: str, before: Metric, after: Metric, host: _Host | None, line: Line | None) -> Change:
    change = partial(Change, name, before.unit, before.value, after.value, line=line)
    if before.value <= 0 or after.value <= 0:
        same = before.value == after.value
        worse = (after.value > before.value) == before.less_is_better
        return change(None, None, None, "same" if same else "worse" if worse else "better")
    logs = _log_change(before, after, host)
    if logs is None:
        return change(after.value / before.value - 1, None, None, "unsure")
    value, low, high = (math.expm1(log) for log in logs)
    return change(value, low, high, _outcome(low, high, before.less_is_better))


def _log_change(before: Metric, after: Metric, host: _Host | None) -> Estimate | None:
    """Return by how much the logarithm grew, what the host did taken out, within `_SIGMAS` standard errors."""
    if before.logs is None or after.logs is None:
        return None
    logs, unsure = (before.logs, after.logs), 0.0
    if host is not None and before.hosts is not None and after.hosts is not None:
        hosts = before.hosts, after.hosts
        logs = before.logs - host.followed * before.hosts, after.logs - host.followed * after.hosts
        unsure = host.error * abs(float(np.median(hosts[1]) - np.median(hosts[0])))
    (first, first_error), (second, second_error) = map(_middle, logs)
    reach = _SIGMAS * math.hypot(first_error, second_error, unsure)
    return Estimate(second - first, second - first - reach, second - first + reach)


def _middle(logs: Series) -> tuple[float, float]:
    """Return the mean of the middle half, and its standard error, from blocks of neighbours drawn anew."""
    blocks = np.array([interquartile_mean(part) for part in np.array_split(logs, min(_BLOCKS, len(logs)))])
    return float(interquartile_mean(blocks)), bootstrap_error(blocks, interquartile_mean)


def _outcome(low: float, high: float, less_is_better: bool) -> Outcome:
    if low > 0 or high < 0:
        return "worse" if (low > 0) == less_is_better else "better"
    return "same" if max(abs(low), abs(high)) < ALLOWED_CHANGE else "unsure"


def _changed_verdicts(before: Json, after: Json) -> Iterator[tuple[str, bool]]:
    """Yield each verdict that changed, the run's first, and whether it is a regression."""
    was = {criterion["name"]: criterion["verdict"] for criterion in before["criteria"]}
    pairs = [("verdict", before["verdict"], after["verdict"])]
    pairs += [(each["name"], was[each["name"]], each["verdict"]) for each in after["criteria"] if each["name"] in was]
    for name, old, new in pairs:
        if old != new:
            yield f"{name}: {old} -> {new}", _RANKS.get(new, 0) > _RANKS.get(old, 0) and new not in _GENTLE


def _differences(before: Json, after: Json) -> Iterator[str]:
    """Yield what of the two runs is not alike, and so may be what changed the figures."""
    for what, of in _ALIKE.items():
        old, new = of(before), of(after)
        if old != new:
            yield f"{what}: {_short(old)} and {_short(new)}"
    for name, report in (("A", before), ("B", after)):
        if report["interrupted"]:
            yield f"{name} was interrupted"
        if report["harness"]["saturated"]:
            yield f"{name} did not reach the load that was asked for"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_ALIKE: Final[Mapping[str, Callable[[Json], Any]]] = {
    "scenario": lambda report: report["scenario"]["name"],
    "target": lambda report: report["target"]["name"],
    "target options": lambda report: report["target"].get("options"),
    "pools": lambda report: report["scenario"].get("pools"),
    "content": lambda report: report["scenario"].get("content"),
    "movies": lambda report: report["movies"].get("path") and report["movies"].get("sha256"),
    "faults": lambda report: sorted({fault["kind"] for fault in report["faults"]}),
    **{
        fact: partial(lambda name, report: report["environment"].get(name), fact)
        for fact in ("cores", "machine", "kernel", "filesystem", "python", "stressd")
    },
}

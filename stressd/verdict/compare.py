"""Two reports side by side: what changed, how surely, and whether it got worse. Pure: reports in, changes out.

How sure: each run's timeline is cut into blocks, since neighbouring ticks resemble each other, and the blocks are drawn
anew (a bootstrap of the logarithms' middle half). The host's own speed is taken out of each tick, as far as times
followed it, as the criterion `degradation` does. Why a change counts: docs/decisions/comparing-runs.md.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from stressd.errors import UsageError
from stressd.spelling import suggest
from stressd.verdict.differences import differences
from stressd.verdict.figures import Metric, metrics_of, steady_points
from stressd.verdict.statistics import Estimate, Series, bootstrap_error, interquartile_mean, wilson
from stressd.verdict.wording import growth

Json = Mapping[str, Any]
Outcome = Literal["worse", "better", "same", "unsure"]

ALLOWED_CHANGE: Final = 0.10
_SIGMAS: Final = 3.0  # between equal runs a metric seldom lies further apart than so many standard errors
_CONFIDENCE: Final = 2 * NormalDist().cdf(_SIGMAS) - 1
_BLOCKS: Final = 16
_LINE: Final = re.compile(r"(?P<metric>[a-z0-9_.]+)\s*(?P<sign>[<>])\s*(?P<change>[+-][0-9]+(?:\.[0-9]+)?)\s*%")
_RANKS: Final = {"pass": 0, "warn": 1, "not_applicable": 1, "inconclusive": 2, "fail": 3, "error": 4, "violated": 5}
_GENTLE: Final = ("pass", "warn", "not_applicable", "inconclusive")  # to come to these is no regression


class Line(NamedTuple):
    """What is not to be crossed: by how much a metric may change, as a share; `up`: it may not grow by more."""

    metric: str
    up: bool
    change: float

    def __str__(self) -> str:
        return f"{self.metric}{'>' if self.up else '<'}{100 * self.change:+g}%"


@dataclass(frozen=True, slots=True)
class Change:
    """How a metric went from A to B: by how much, as a share, with the interval that it surely lies in.

    From nothing to something it is infinite. `low` and `high` are None where one figure a run is all there is. `line`
    is what it was held to, if it was.
    """

    metric: str
    unit: str
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    outcome: Outcome
    line: Line | None = None

    @property
    def regressed(self) -> bool:
        """Whether it crossed its line, and surely changed that way at all.

        Where it is known less well than the line is wide, the whole interval has to lie beyond the line.
        """
        if self.line is None:
            return False
        sign = 1 if self.line.up else -1
        line, change = sign * self.line.change, sign * self.change
        if self.low is None or self.high is None:
            return change >= line
        least = self.low if self.line.up else -self.high
        return change >= line and least > (0 if change - least <= line else line)

    @property
    def is_sure(self) -> bool:
        """Whether there is an interval that it surely lies in."""
        return self.low is not None

    @property
    def in_doubt(self) -> bool:
        """Whether it may have crossed its line, and may not."""
        if self.line is None or self.regressed or self.low is None or self.high is None:
            return False
        return self.high >= self.line.change if self.line.up else self.low <= self.line.change


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, those of verdicts in words, and what makes the two runs hard to compare.

    `gone`: lines of what B does not have. `host`: by which share the host was slower in B, None where that is not
    known. `points`: how many of the timeline of A, and of B's, could be compared.
    """

    changes: Sequence[Change]
    gone: Sequence[Line]
    verdicts: Sequence[str]
    worse_verdicts: Sequence[str]
    differences: Sequence[str]
    host: float | None
    points: tuple[int, int]

    @property
    def regressions(self) -> list[str]:
        """What got worse of what was asked about, a line each; empty where nothing did."""
        crossed = [
            f"{each.metric} {growth(each.change)}: over {each.line}{'' if each.is_sure else ', by one figure a run'}"
            for each in self.changes
            if each.regressed
        ]
        return [*crossed, *(f"{line.metric}: B has none" for line in self.gone), *self.worse_verdicts]

    @property
    def inconclusive(self) -> bool:
        """Whether nothing is known to have got worse because nothing could be held to a line."""
        return not self.regressions and not any(change.line for change in self.changes)


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
    """Compare two reports. Without `lines`: no median time may grow, nor the rate fall, by a tenth or more.

    UsageError for a metric that A does not have: there is nothing that B could be held to.
    """
    old, new = metrics_of(before), metrics_of(after)
    for line in lines:
        if line.metric not in old:
            raise UsageError(f"--fail-on {line}: {line.metric} is not in A; {suggest(line.metric, old)}")
    wanted = list(lines) or _usual_lines(old, new, alike=_load(before) == _load(after))
    host, verdicts = _host(before, after), list(_changed_verdicts(before, after))
    return Comparison(
        list(_changes(old, new, host, wanted)),
        [line for line in wanted if line.metric not in new],
        [text for text, _ in verdicts],
        [text for text, worse in verdicts if worse],
        list(differences(before, after)),
        None if host is None else math.expm1(host.slower),
        (len(steady_points(before)), len(steady_points(after))),
    )


def _usual_lines(old: Mapping[str, Metric], new: Mapping[str, Metric], *, alike: bool) -> list[Line]:
    """Return lines for what both timelines can tell and, of a load that is `alike`, for what B does not do at all."""

    def told(name: str, metric: Metric) -> bool:
        if metric.logs is None:
            return False
        return new[name].logs is not None or not new[name].value if name in new else alike

    slower = [
        Line(name, True, ALLOWED_CHANGE) for name, each in old.items() if name.endswith(".p50") and told(name, each)
    ]
    return slower + [Line("rate", False, -ALLOWED_CHANGE)] * told("rate", old["rate"])


def _load(report: Json) -> Any:
    return [report["scenario"].get(name) for name in ("pools", "phases")]


def _is_shown(name: str) -> bool:
    """Whether a metric is worth a row where no line names it; an operation's share of the rate is the draw's."""
    return not (".latency." in name or name.endswith((".p90", ".p95", ".p999", ".max", ".rate")))


# --- How far a metric went -------------------------------------------------------------------------


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


def _changes(
    old: Mapping[str, Metric], new: Mapping[str, Metric], host: _Host | None, lines: Sequence[Line]
) -> Iterator[Change]:
    """Yield a change for each line of a metric, and one for each that is shown anyway."""
    for name in (name for name in old if name in new):
        mine: list[Line | None] = [line for line in lines if line.metric == name]
        happened = old[name].value or new[name].value
        if mine or (happened and _is_shown(name)):
            yield from (_change(name, old[name], new[name], host, line) for line in mine or [None])


def _change(name: str, before: Metric, after: Metric, host: _Host | None, line: Line | None) -> Change:
    change = partial(Change, name, before.unit, before.value, after.value, line=line)
    found = _over_time(before, after, host) or _of_rare(before, after)
    if found is None:
        return change(
            _ratio(before.value, after.value), None, None, "unsure" if before.value or after.value else "same"
        )
    return change(*found, _outcome(found, before.less_is_better))


def _ratio(before: float, after: float) -> float:
    """Return by how much it grew, as a share."""
    if before == after:
        return 0.0
    return after / before - 1 if before else math.inf


def _over_time(before: Metric, after: Metric, host: _Host | None) -> Estimate | None:
    """Return how much a figure grew, what the host did taken out, within `_SIGMAS` standard errors."""
    if before.logs is None or after.logs is None:
        return None
    logs, unsure = (before.logs, after.logs), 0.0
    if host is not None and before.hosts is not None and after.hosts is not None:
        hosts = before.hosts, after.hosts
        logs = before.logs - host.followed * before.hosts, after.logs - host.followed * after.hosts
        unsure = host.error * abs(float(np.median(hosts[1]) - np.median(hosts[0])))
    (first, first_error), (second, second_error) = map(_middle, logs)
    reach = _SIGMAS * math.hypot(first_error, second_error, unsure)
    return Estimate(*(math.expm1(second - first + off) for off in (0.0, -reach, reach)))


def _middle(logs: Series) -> tuple[float, float]:
    """Return the mean of the middle half, and its standard error, from blocks of neighbours drawn anew."""
    blocks = np.array([interquartile_mean(part) for part in np.array_split(logs, min(_BLOCKS, len(logs)))])
    return float(interquartile_mean(blocks)), bootstrap_error(blocks, interquartile_mean)


def _of_rare(before: Metric, after: Metric) -> Estimate | None:
    """Return how much the share of rare events grew: had it not, they would fall on A and B as operations do."""
    if before.rare is None or after.rare is None or not (before.rare.happened or after.rare.happened):
        return None
    share_of_after = wilson(after.rare.happened, before.rare.happened + after.rare.happened, _CONFIDENCE)
    fewer = before.rare.of / after.rare.of
    return Estimate(*((share / (1 - share) * fewer - 1 if share < 1 else math.inf) for share in share_of_after))


def _outcome(found: Estimate, less_is_better: bool) -> Outcome:
    if found.low > 0 or found.high < 0:
        return "worse" if (found.low > 0) == less_is_better else "better"
    return "same" if max(abs(found.low), abs(found.high)) < ALLOWED_CHANGE else "unsure"


def _changed_verdicts(before: Json, after: Json) -> Iterator[tuple[str, bool]]:
    """Yield each verdict that changed, the run's first, and whether it is a regression."""
    was = {criterion["name"]: criterion["verdict"] for criterion in before["criteria"]}
    pairs = [("verdict", before["verdict"], after["verdict"])]
    pairs += [(each["name"], was[each["name"]], each["verdict"]) for each in after["criteria"] if each["name"] in was]
    for name, old, new in pairs:
        if old != new:
            yield f"{name}: {old} -> {new}", _RANKS.get(new, 0) > _RANKS.get(old, 0) and new not in _GENTLE

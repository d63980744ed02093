"""The metrics that the daemon keeps itself: those with home `node`, all series there from the start."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from threading import Lock
from typing import Final, TypeVar

from stressd.criteria import STATUS_CODE, Outcome
from stressd.metrics import METRICS, PREFIX, RESTART_REASONS, WORKER_STATES, Metric
from stressd.observe.derived import DERIVED, Series
from stressd.stats.histogram import Histogram, ladder

NODE_METRICS: Final = tuple(metric for metric in METRICS if metric.home == "node")

_FIRST: Final[Mapping[str, float]] = {
    "build_info": 1.0,
    "run_info": 1.0,
    "criterion_status": float(STATUS_CODE[Outcome.INCONCLUSIVE]),
    "criterion_value": math.nan,
}

_T = TypeVar("_T")


class NodeMetrics:
    """Values of all metrics with home `node`. Any thread may call anything, any time.

    `pools` maps each pool to its number of worker slots, `criteria` names those judged, `info` has the
    labels of `build_info` and `run_info` (version, python, commit, run_id, scenario, target, hash). Series
    are closed sets: an unknown name or label, or a metric of another kind, is a ValueError.
    """

    def __init__(self, *, pools: Mapping[str, int], criteria: Sequence[str], info: Mapping[str, str]) -> None:
        self._lock = Lock()
        self._metrics = {metric.name: metric for metric in NODE_METRICS}
        closed = {
            "pool": tuple(pools),
            "worker": tuple(str(slot) for slot in range(max(pools.values(), default=0))),
            "state": WORKER_STATES,
            "reason": RESTART_REASONS,
            "criterion": tuple(criteria),
            **{label: (value,) for label, value in info.items()},
        }
        self._values: dict[str, dict[Series, float]] = {}
        self._histograms: dict[str, dict[Series, Histogram]] = {}
        for metric in NODE_METRICS:
            series = [values for values in _series(metric, closed) if _exists(metric, values, pools)]
            if metric.kind == "histogram":
                self._histograms[metric.name] = {values: Histogram() for values in series}
            else:
                self._values[metric.name] = dict.fromkeys(series, _FIRST.get(metric.name, 0.0))
            if metric.kind == "stateset":
                self._values[metric.name][series[0]] = 1.0

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge, or a counter that is counted elsewhere; a counter keeps its highest value."""
        series = self._series_of(name, ("gauge", "counter"))
        with self._lock:
            old = _look_up(name, series, labels)
            series[labels] = max(old, float(value)) if self._metrics[name].kind == "counter" else float(value)

    def set_state(self, name: str, state: str) -> None:
        """Make `state` the one of a stateset that holds."""
        series = self._series_of(name, ("stateset",))
        with self._lock:
            _look_up(name, series, (state,))
            series.update({(other,): float(other == state) for (other,) in series})

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Add to a counter; `amount` is not below 0."""
        if not amount >= 0:
            raise ValueError(f"{PREFIX}{name}: {amount} is no amount to add to a counter; it must be 0 or more")
        series = self._series_of(name, ("counter",))
        with self._lock:
            series[labels] = _look_up(name, series, labels) + amount

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Count a duration into a histogram."""
        if name not in self._histograms:
            raise ValueError(self._refusal(name, ("histogram",)))
        with self._lock:
            _look_up(name, self._histograms[name], labels).observe_s(seconds)

    def values(self, name: str) -> dict[Series, float]:
        """Return a copy of all series of a counter, gauge or stateset, by label values."""
        with self._lock:
            return dict(self._values[name])

    def histograms(self, name: str) -> dict[Series, tuple[list[int], float]]:
        """Return by label values: cumulative counts along the ladder, total last, and the sum in seconds."""
        with self._lock:
            return {
                labels: (ladder(histogram.counts), histogram.sum_ns / 1e9)
                for labels, histogram in self._histograms[name].items()
            }

    def _series_of(self, name: str, kinds: tuple[str, ...]) -> dict[Series, float]:
        if name in DERIVED or name not in self._metrics or self._metrics[name].kind not in kinds:
            raise ValueError(self._refusal(name, kinds))
        return self._values[name]

    def _refusal(self, name: str, kinds: tuple[str, ...]) -> str:
        if name in DERIVED:
            return f"{PREFIX}{name} is computed from the lanes and cannot be set"
        if name not in self._metrics:
            return f"{PREFIX}{name} is no metric of the node; those of metrics.py with home 'node' are"
        return f"{PREFIX}{name} is a {self._metrics[name].kind}; this is for a {' or a '.join(kinds)}"


def _look_up(name: str, series: Mapping[Series, _T], labels: Series) -> _T:
    try:
        return series[labels]
    except KeyError:
        known = ", ".join("/".join(values) for values in series) or "none"
        raise ValueError(f"{PREFIX}{name}: {'/'.join(labels)!r} is none of its series: {known}") from None


def _series(metric: Metric, closed: Mapping[str, tuple[str, ...]]) -> Iterable[Series]:
    """Return all label values: the metric's own, each with every value of the labels that the run decides."""
    own = len(metric.series[0])
    unknown = [label for label in metric.labels[own:] if label not in closed]
    if unknown:
        raise ValueError(f"{metric.full_name}: label {unknown[0]!r} has no closed set of values")
    decided = [closed[label] for label in metric.labels[own:]]
    return ((*values, *rest) for values in metric.series for rest in product(*decided))


def _exists(metric: Metric, values: Series, pools: Mapping[str, int]) -> bool:
    """Say whether the pool has the worker's slot; pools differ in how many they have."""
    labels = dict(zip(metric.labels, values, strict=True))
    return "worker" not in labels or int(labels["worker"]) < pools[labels["pool"]]

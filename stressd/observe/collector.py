"""From the shared table and the node's metrics to what Prometheus reads."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, exposition
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from stressd.metrics import METRICS, Metric
from stressd.observe.derived import DERIVED, LaneInfo, Moment, Series
from stressd.observe.node_metrics import NodeMetrics
from stressd.stats.histogram import BUCKETS, LADDER_S, Counts, ladder
from stressd.stats.table import Table, column

_log = logging.getLogger(__name__)

_EXPORTED: Final = tuple(metric for metric in METRICS if metric.exported)
_EDGES: Final = (*(str(le) for le in LADDER_S), "+Inf")

Clock = Callable[[], tuple[float, int]]
LeftOut = Callable[[str, Exception], None]


class Format(Enum):
    """A format of `/metrics`; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exporter:
    """Writes one scrape: our metrics, and `process_*` and `python_info` of the daemon. One caller at a time.

    A part that fails is left out, counted in `collector_errors_total`, and logged once a kind of failure.
    """

    def __init__(self, table: Table, lanes: Sequence[LaneInfo], node: NodeMetrics, clock: Clock | None = None) -> None:
        self._node = node
        self._failures: set[tuple[str, str]] = set()
        self._registry = CollectorRegistry()
        soak = SoakCollector(table, lanes, node, self._left_out, clock or _now)
        for name, collector in (
            ("soak", soak),
            ("process", ProcessCollector(registry=None)),
            ("platform", PlatformCollector(registry=None)),
        ):
            self._registry.register(_Guarded(name, collector, self._left_out))

    def render(self, form: Format) -> bytes:
        """Return the scrape. `collector_seconds` in it is that of the scrape before."""
        started = time.perf_counter()
        write = openmetrics.generate_latest if form is Format.OPENMETRICS else exposition.generate_latest
        body = write(self._registry)
        self._node.set("collector_seconds", time.perf_counter() - started)
        return body

    def _left_out(self, part: str, error: Exception) -> None:
        self._node.add("collector_errors_total")
        kind = (part, type(error).__name__)
        if kind not in self._failures:
            self._failures.add(kind)
            _log.error("%s is left out of /metrics: %s: %s", part, kind[1], error, exc_info=error)


def _now() -> tuple[float, int]:
    return time.time(), time.monotonic_ns()


class _Guarded(Collector):
    """A collector whose failure costs its own families alone."""

    def __init__(self, name: str, collector: Collector, left_out: LeftOut) -> None:
        self._name = name
        self._collector = collector
        self._left_out = left_out

    def collect(self) -> list[Family]:
        families: list[Family] = []
        try:
            families.extend(self._collector.collect())
        except Exception as error:  # noqa: BLE001 - someone else's code reading /proc; the scrape goes on
            self._left_out(self._name, error)
        return families


class SoakCollector(Collector):
    """Every exported metric of `METRICS` as a family.

    Rows are added up for each pool where `pool` is a label, over the whole table where it is not.
    """

    def __init__(
        self, table: Table, lanes: Sequence[LaneInfo], node: NodeMetrics, left_out: LeftOut, clock: Clock
    ) -> None:
        self._table = table
        self._lanes = tuple(lanes)
        self._node = node
        self._left_out = left_out
        self._clock = clock
        pools = tuple(dict.fromkeys(lane.pool for lane in lanes))
        self._rows = [[lane.row for lane in lanes if lane.pool == pool] for pool in pools]
        self._lane_families = {metric.name: LaneFamily(metric, pools) for metric in _EXPORTED if metric.home == "lane"}

    def collect(self) -> Iterator[Family]:
        """Yield the families; one that cannot be made is reported and left out."""
        moment = self._look()
        sums = None if moment is None else self._add_up(moment.snapshot.cells)
        for metric in _EXPORTED:
            try:
                family = self._family(metric, moment, sums)
            except Exception as error:  # noqa: BLE001 - the top of a scrape: what can be shown is shown
                self._left_out(metric.name, error)
            else:
                if family is not None:
                    yield family

    def _look(self) -> Moment | None:
        try:
            return Moment(self._table.snapshot(), self._lanes, *self._clock())
        except Exception as error:  # noqa: BLE001 - without the table the node's own metrics remain
            self._left_out("the table", error)
            return None

    def _add_up(self, cells: Counts) -> Counts:
        """Return one row of sums a pool, and last the sum of all rows of the table."""
        return np.stack([*(cells[rows].sum(axis=0) for rows in self._rows), cells.sum(axis=0)])

    def _family(self, metric: Metric, moment: Moment | None, sums: Counts | None) -> Family | None:
        if metric.home == "lane":
            return None if sums is None else self._lane_families[metric.name].read(sums)
        if metric.kind == "histogram":
            return _node_histogram(metric, self._node)
        if metric.name not in DERIVED:
            return _flat(metric, self._node.values(metric.name))
        return None if moment is None else _flat(metric, _derived(metric, self._node, moment))


class LaneFamily:
    """A lane metric's way from sums to samples; labels and places are made once, here."""

    def __init__(self, metric: Metric, pools: tuple[str, ...]) -> None:
        self._metric = metric
        scopes: list[tuple[int, Series]] = (
            [(row, (pool,)) for row, pool in enumerate(pools)] if "pool" in metric.labels else [(len(pools), ())]
        )
        keys = [(row, values, pool) for values in metric.series for row, pool in scopes]
        self._labels = [_labels(metric, (*values, *pool)) for _, values, pool in keys]
        self._rows: NDArray[np.intp] = np.array([row for row, _, _ in keys], dtype=np.intp)
        self._columns: NDArray[np.intp] = np.array(
            [column(metric.name, *values) for _, values, _ in keys], dtype=np.intp
        )
        self._edges = [_with_edges(labels) for labels in self._labels] if metric.kind == "histogram" else []

    def read(self, sums: Counts) -> Family:
        """Return the family with the values of now."""
        family = _empty(self._metric)
        if self._metric.kind == "histogram":
            for row, at, labels, edges in zip(self._rows, self._columns, self._labels, self._edges, strict=True):
                counts = ladder(sums[row, at : at + BUCKETS])
                family.samples += _histogram(family.name, labels, edges, counts, float(sums[row, at + BUCKETS]) / 1e9)
            return family
        values = (sums[self._rows, self._columns] * self._metric.scale).tolist()
        name = self._metric.full_name
        family.samples = [Sample(name, labels, value) for labels, value in zip(self._labels, values, strict=True)]
        return family


def _node_histogram(metric: Metric, node: NodeMetrics) -> Family:
    family = _empty(metric)
    for values, (counts, sum_s) in node.histograms(metric.name).items():
        labels = _labels(metric, values)
        family.samples += _histogram(family.name, labels, _with_edges(labels), counts, sum_s)
    return family


def _derived(metric: Metric, node: NodeMetrics, moment: Moment) -> Mapping[Series, float]:
    """Return every series the node declares, and no other: the probes' lanes beat too, but are no workers."""
    found = DERIVED[metric.name](moment)
    return {values: found.get(values, nothing) for values, nothing in node.values(metric.name).items()}


def _flat(metric: Metric, series: Mapping[Series, float]) -> Family:
    family = _empty(metric)
    family.samples = [Sample(metric.full_name, _labels(metric, values), value) for values, value in series.items()]
    return family


def _empty(metric: Metric) -> Family:
    # A family of counters is called without the _total that its samples end in.
    name = metric.full_name.removesuffix("_total") if metric.kind == "counter" else metric.full_name
    return Family(name, metric.help, metric.kind)


def _labels(metric: Metric, values: Series) -> dict[str, str]:
    return dict(zip(metric.labels, values, strict=True))


def _with_edges(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{**labels, "le": le} for le in _EDGES]


def _histogram(
    name: str, labels: dict[str, str], edges: Sequence[dict[str, str]], counts: Sequence[int], sum_s: float
) -> list[Sample]:
    return [
        *(Sample(f"{name}_bucket", edge, count) for edge, count in zip(edges, counts, strict=True)),
        Sample(f"{name}_count", labels, counts[-1]),
        Sample(f"{name}_sum", labels, sum_s),
    ]

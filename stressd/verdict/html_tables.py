"""The tables of the report's page: what its charts show, in figures, for whoever has no script or reads by ear."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from statistics import median
from typing import Final

from stressd.verdict import wording
from stressd.verdict.chart_data import CLASS_NAMES, classes_seen, memory_by_process
from stressd.verdict.wording import Json

_HUES: Final = 8  # of the page's style
_MOST_ROWS: Final = 24
_SERVICE: Final = ("p50", "p90", "p99", "max")
_LATENCY: Final = ("p50", "p99", "max")
_NOTHING: Final = "–"


def safe(value: object) -> str:
    """Return the text as a page may hold it."""
    return escape(wording.clean(value))


def _heads(names: Iterable[str]) -> str:
    return "".join(f'<th scope="col">{safe(name)}</th>' for name in names)


OPERATION_HEADS: Final = (
    '<tr><th scope="col" rowspan="2">operation</th><th scope="col" rowspan="2">count</th>'
    '<th scope="col" rowspan="2">per s</th><th scope="col" rowspan="2">errors</th>'
    f'<th scope="colgroup" colspan="{len(_SERVICE)}">from its start</th>'
    f'<th scope="colgroup" colspan="{len(_LATENCY)}">from when it was due</th></tr>'
    f"<tr>{_heads((*_SERVICE, *_LATENCY))}</tr>"
)


def operation_rows(report: Json) -> str:
    """Return a row for each operation that happened and, where there are several, one for each of its sources."""
    return "".join(_row(*each) for each in _operations(report))


def _operations(report: Json) -> Iterator[tuple[str, Sequence[str], str]]:
    for op, each in report["operations"].items():
        if not each["count"]:
            continue
        rate = each["rate_per_second"]
        known = (f"{each['count']:,}", _NOTHING if rate is None else wording.number(rate), f"{each['errors']:,}")
        latency = [wording.seconds(each["latency_seconds"][stat]) for stat in _LATENCY]
        yield op, (*known, *_service(each), *latency), ""
        sources = {name: one for name, one in each.get("sources", {}).items() if one["count"]}
        for name, one in sources.items() if len(sources) > 1 else ():
            yield f"from the {name}", (f"{one['count']:,}", "", "", *_service(one), *("" for _ in _LATENCY)), "part"


def _service(each: Json) -> list[str]:
    return [wording.seconds(each["service_seconds"][stat]) for stat in _SERVICE]


def process_rows(report: Json) -> str:
    """Return a row for each process whose memory is known: what it had at first, at last and at most."""
    rows = []
    for number, (name, sizes) in enumerate(memory_by_process(report)["memory_bytes"].items()):
        known = [size for size in sizes if size]
        if known:
            key = f'<i class="key hue{number % _HUES}"></i>'
            rows.append(_row(name, [_megabytes(size) for size in (known[0], known[-1], max(known))], key=key))
    return "".join(rows)


def time_heads(report: Json) -> str:
    """Return the heads of `time_rows`."""
    times = [f"{CLASS_NAMES[name]} {stat}" for name in classes_seen(report) for stat in ("p50", "p99")]
    return _heads(("until", "operations a second", "errors", "memory", *times))


def time_rows(report: Json) -> str:
    """Return the timeline in at most 24 rows: a median p50, the worst p99, the most memory, and all errors of each."""
    points, names = report["timeline"], classes_seen(report)
    step = -(-len(points) // _MOST_ROWS) or 1
    return "".join(_time_row(points[start : start + step], names) for start in range(0, len(points), step))


def _time_row(points: Sequence[Json], names: Sequence[str]) -> str:
    rates = _known(point["operations_per_second"] for point in points)
    memory = max(point["pss_bytes"] or point["rss_bytes"] for point in points)
    cells = [
        f"{wording.number(float(f'{sum(rates) / len(rates):.3g}'))}" if rates else _NOTHING,
        f"{sum(point['errors'] for point in points):,}",
        _megabytes(memory) if memory else _NOTHING,
    ]
    for name in names:
        p50_s, p99_s = (_known(point[f"{stat}_seconds"].get(name) for point in points) for stat in ("p50", "p99"))
        cells += [wording.seconds(median(p50_s) if p50_s else None), wording.seconds(max(p99_s, default=None))]
    faulty = any(point["fault"] for point in points)
    return _row(wording.clock(points[-1]["at_seconds"]) + (" (fault)" if faulty else ""), cells)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _row(head: str, cells: Iterable[str], look: str = "", key: str = "") -> str:
    figures = "".join(f"<td>{safe(cell)}</td>" for cell in cells)
    return f'<tr class="{look}"><th scope="row">{key}{safe(head)}</th>{figures}</tr>'


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"

"""What the charts of the report's page are drawn from: plain JSON, of no more points than the report has."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from stressd.metrics import CLASSES

Json = Mapping[str, Any]

CLASS_NAMES: Final = {
    "/".join(each).removesuffix("/none"): " from the ".join(each).removesuffix(" from the none") for each in CLASSES
}
_SPREAD_QUANTILES: Final = ("p50", "p99")


def chart_data(report: Json) -> dict[str, Any]:
    """Return the lines over time and the histograms."""
    return {"history": _history(report), "spreads": _spreads(report)}


def _history(report: Json) -> dict[str, Any]:
    points = report["timeline"]
    at_s = [point["at_seconds"] for point in points]
    spans_s = [until_s - from_s for from_s, until_s in pairwise([0.0, *at_s])]
    return {
        "at_s": at_s,
        "step_s": spans_s[0] if spans_s else 1.0,
        "rates_per_s": [point["operations_per_second"] for point in points],
        "errors_per_s": [
            point["errors"] / span_s if span_s > 0 else None for point, span_s in zip(points, spans_s, strict=True)
        ],
        "cores": [point["cpu_cores"] for point in points],
        "memory": memory_by_process(report),
        "latencies": [
            {"name": CLASS_NAMES[name], "p50_s": _times(points, "p50", name), "p99_s": _times(points, "p99", name)}
            for name in classes_seen(report)
        ],
        "faults": [
            {"kind": fault["kind"], "from_s": fault["from_seconds"], "until_s": fault["until_seconds"]}
            for fault in report["faults"]
        ],
    }


def classes_seen(report: Json) -> list[str]:
    """Return the classes of operation that the timeline has times of."""
    return [name for name in CLASS_NAMES if any(_times(report["timeline"], "p99", name))]


def _times(points: list[Json], stat: str, name: str) -> list[float | None]:
    return [point[f"{stat}_seconds"].get(name) for point in points]


def memory_by_process(report: Json) -> dict[str, Any]:
    """Return the memory of each process at `at_s`, or of all together where a report has no more."""
    known = report["memory"].get("by_process")
    if known and known["bytes"]:
        return {"at_s": known["at_seconds"], "memory_bytes": known["bytes"]}
    points = report["timeline"]
    whole = [point["pss_bytes"] or point["rss_bytes"] for point in points]
    return {"at_s": [point["at_seconds"] for point in points], "memory_bytes": {"all processes": whole}}


def _spreads(report: Json) -> list[dict[str, Any]]:
    return [
        {
            "name": CLASS_NAMES.get(f"{op}/{source}".removesuffix("/none"), f"{op} from the {source}"),
            "bars": each["histogram"],
            "quantiles": [[stat, each["service_seconds"][stat]] for stat in _SPREAD_QUANTILES],
        }
        for op, operation in report["operations"].items()
        for source, each in operation.get("sources", {}).items()
        if each.get("histogram")
    ]

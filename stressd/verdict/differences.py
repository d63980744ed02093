"""What of two runs was not alike, and so may be what changed their figures. Pure: two reports in, sentences out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Mapping[str, Any]

MOST: Final = 12
_ENVIRONMENT: Final = ("cores", "machine", "kernel", "filesystem", "python", "stressd")
_NOT_LOAD: Final = ("target", "description")  # of a scenario: told elsewhere, and no matter
_NONE: Final = "none"


def differences(before: Json, after: Json) -> Iterator[str]:
    """Yield what was not alike, a line each; `MOST` of what was asked for, and how many more there are."""
    if before["run_id"] == after["run_id"]:
        yield "A and B are reports of the same run"
    old, new = _conditions(before), _conditions(after)
    names = [name for name in old | new if old.get(name, _NONE) != new.get(name, _NONE)]
    for name in names[:MOST]:
        yield f"{name}: {_short(old.get(name, _NONE))} and {_short(new.get(name, _NONE))}"
    if names[MOST:]:
        yield f"{len(names) - MOST} more of their settings"
    for name, report in (("A", before), ("B", after)):
        yield from (f"{name} {what}" for what in _mishaps(report))


def _conditions(report: Json) -> dict[str, Any]:
    """Return all that decides what a run does and on what, by dotted names."""
    scenario, movies, environment = report["scenario"], report["movies"], report["environment"]
    asked_for = {
        "scenario": {name: each for name, each in scenario.items() if name not in _NOT_LOAD},
        "target": {name: report["target"].get(name) for name in ("name", "options")},
        "guarantees": report["guarantees"],
        "movies": movies.get("sha256") if movies.get("path") else "generated",
        "faults that struck": ", ".join(sorted({fault["kind"] for fault in report["faults"]})) or _NONE,
        "environment": {name: environment.get(name) for name in _ENVIRONMENT},
    }
    return dict(_leaves("", asked_for))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case Mapping():
            each = list(value.items())
        case list() if any(isinstance(item, list | Mapping) for item in value):
            each = [(item.get("name", index) if isinstance(item, Mapping) else index, item)
                    for index, item in enumerate(value)]  # fmt: skip
        case _:
            yield place, value
            return
    for name, inner in each:
        yield from _leaves(f"{place}.{name}" if place else str(name), inner)


def _mishaps(report: Json) -> Iterator[str]:
    if report["interrupted"]:
        yield "was interrupted"
    if report.get("unfinished"):
        yield "had not ended yet"
    if report.get("aborted"):
        yield "was aborted"
    if report.get("reloads"):
        yield "went on with another scenario half-way"
    if report["harness"]["saturated"]:
        yield "did not reach the load that was asked for"


def _short(value: Any) -> str:
    text = _NONE if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

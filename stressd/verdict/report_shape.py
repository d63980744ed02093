"""What of a report the renderings and the comparison rely on, so that a file that is none is refused before them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_ANY: Final = "*"  # as a key: whatever else the object holds
_OPTIONAL: Final = "?"  # at the end of a key: may be missing

_FIGURE: Final = (int, float)
_NUMBER: Final = (int, float, None)
_TEXT: Final = (str, None)
_QUANTILES: Final = dict.fromkeys(("p50", "p90", "p95", "p99", "p999", "max"), _NUMBER)
_SOURCE: Final = {"count": int, "service_seconds": _QUANTILES, "histogram?": [[_FIGURE]]}
_OPERATION: Final = {
    **dict.fromkeys(("count", "errors"), int),
    "rate_per_second": _NUMBER,
    **dict.fromkeys(("latency_seconds", "service_seconds"), _QUANTILES),
    "sources?": {_ANY: _SOURCE},
}
_POINT: Final = {
    **dict.fromkeys(("at_seconds", "errors", "rss_bytes", "pss_bytes"), _FIGURE),
    **dict.fromkeys(("operations_per_second", "cpu_cores", "seconds_per_cell?"), _NUMBER),
    "p50_seconds": {_ANY: _NUMBER},
    "p99_seconds": {_ANY: _NUMBER},
    "fault": bool,
    "crowded?": bool,
}
_CRITERION: Final = {
    **dict.fromkeys(("name", "subject", "verdict", "unit", "pass", "fail", "why"), str),
    "value": _NUMBER,
    "worst_at": _TEXT,
    "measures?": str,
    "worst_at_seconds?": _NUMBER,
}
_FAULT: Final = {
    "kind": str,
    "on?": str,
    **dict.fromkeys(("from_seconds", "until_seconds"), _FIGURE),
    "recovery_seconds": _NUMBER,
}
_SIZES: Final = ({"peak": _FIGURE}, None)
_HOST: Final = dict.fromkeys(("seconds_per_cell", "followed", "followed_error"), _NUMBER)
_HARNESS: Final = {
    "overhead_seconds_per_operation": _NUMBER,
    "saturated": bool,
    "saturated_by?": _TEXT,
    **dict.fromkeys(("verification_share?", "offered_per_second?", "reached_per_second?"), _NUMBER),
    "verification_seconds?": {_ANY: _FIGURE},
}
# A type, None, a tuple of what it may be, the shape of an object, or in a list the shape of all items.
_REPORT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("verdict", "run_id", "started_at", "run_again"), str),
    "exit_code": int,
    "interrupted": bool,
    "unfinished?": bool,
    "aborted?": _TEXT,
    "reloads?": [{"at_seconds": _FIGURE, "changes": [str]}],
    "seed": int,
    "duration_seconds": _FIGURE,
    "scenario": {"name": str, **dict.fromkeys(("duration_s?", "warmup_s?"), _NUMBER)},
    "target": {"name": str},
    "guarantees": dict,
    "movies": {"path?": _TEXT, **dict.fromkeys(("good?", "bad?"), int)},
    "environment": dict,
    "criteria": [_CRITERION],
    "operations": {**dict.fromkeys(("save", "read", "generate"), _OPERATION), _ANY: _OPERATION},
    "verification": {
        **dict.fromkeys(("reads_checked", "cells_checked", "writes_acknowledged", "writes_verified"), int),
        "violations": {_ANY: int},
        "specimens": list,
    },
    "workers": dict.fromkeys(("deaths", "restarts"), int),
    "memory": {
        **dict.fromkeys(("rss_bytes?", "pss_bytes?"), _SIZES),
        "by_process?": {"at_seconds": [_FIGURE], "bytes": {_ANY: [_FIGURE]}},
    },
    "host?": (_HOST, None),
    "harness": _HARNESS,
    "timeline": [_POINT],
    "faults": [_FAULT],
}


def mistakes_in(report: Any) -> list[str]:
    """Return what keeps this from being a report, each with its place: `report.seed: missing`."""
    return list(_mistakes(report, _REPORT, "report"))


def _mistakes(value: Any, shape: Any, place: str) -> Iterator[str]:
    match shape:
        case tuple():
            found = [list(_mistakes(value, each, place)) for each in shape]
            if all(found):
                yield from found[0]
        case Mapping():
            yield from _mistakes_of_object(value, shape, place)
        case [item]:
            if not isinstance(value, list):
                yield f"{place}: {value!r:.40} is no list"
                return
            for index, each in enumerate(value):
                yield from _mistakes(each, item, f"{place}[{index}]")
        case None:
            if value is not None:
                yield f"{place}: {value!r:.40} is not null"
        case _:
            if not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
                yield f"{place}: {value!r:.40} is no {shape.__name__}"


def _mistakes_of_object(value: Any, shape: Mapping[str, Any], place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {value!r:.40} is no object"
        return
    known = {key.removesuffix(_OPTIONAL): each for key, each in shape.items() if key != _ANY}
    yield from (f"{place}.{key}: missing" for key in shape if key in known and key not in value)
    for key, each in value.items():
        inner = known.get(key, shape.get(_ANY))
        if inner is not None:
            yield from _mistakes(each, inner, f"{place}.{key}")

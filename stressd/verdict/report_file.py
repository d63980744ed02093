"""Reports as files: written whole or not at all, in the format the ending says; read and checked."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from stressd.errors import UsageError
from stressd.files import write_atomically
from stressd.verdict.render_html import render_html
from stressd.verdict.render_junit import render_junit
from stressd.verdict.render_markdown import render_markdown
from stressd.verdict.report import SCHEMA, Report

_FORMATS: Final[dict[str, Callable[[Report], str]]] = {
    ".json": lambda report: json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    ".html": render_html,
    ".md": render_markdown,
    ".xml": render_junit,
}
_MOST_BYTES: Final = 64 << 20

_NUMBER: Final = (int, float, type(None))
_TEXT: Final = (str, type(None))
_QUANTILES: Final = dict.fromkeys(("p50", "p90", "p95", "p99", "p999", "max"), _NUMBER)
_OPERATION: Final = {"count": int, "errors": int, "rate_per_second": _NUMBER, "service_seconds": _QUANTILES}
_POINT: Final = {
    **dict.fromkeys(("at_seconds", "errors", "rss_bytes", "pss_bytes"), (int, float)),
    **dict.fromkeys(("operations_per_second", "cpu_cores"), _NUMBER),
    **dict.fromkeys(("p50_seconds", "p99_seconds"), dict),
    "fault": bool,
}
_CRITERION: Final = {
    **dict.fromkeys(("name", "subject", "verdict", "unit", "pass", "fail", "why"), str),
    "value": _NUMBER,
    "worst_at": _TEXT,
}
# What the renderings rely on: a type, several, the shape of an object, or the shape of a list's items.
_SHAPE: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("verdict", "run_id", "started_at", "run_again"), str),
    "exit_code": int,
    "interrupted": bool,
    "seed": int,
    "duration_seconds": (int, float),
    "scenario": {"name": str},
    "target": {"name": str},
    "guarantees": dict,
    "movies": dict,
    "environment": dict,
    "criteria": [_CRITERION],
    "operations": dict.fromkeys(("save", "read", "generate"), _OPERATION),
    "verification": {
        **dict.fromkeys(("reads_checked", "cells_checked", "writes_acknowledged", "writes_verified"), int),
        "violations": dict,
        "specimens": list,
    },
    "workers": {"deaths": int, "restarts": int},
    "timeline": [_POINT],
    "faults": [{"kind": str}],
    "harness": {"overhead_seconds_per_operation": _NUMBER, "saturated": bool},
}


def check_report_path(path: str) -> None:
    """Raise UsageError if no report can be written to `path`: better before a run than after it."""
    _format_of(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"--report {path}: there is no folder {folder}; create it first")
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise UsageError(f"--report {path}: cannot be written there; name a file in a folder of yours")


def write_report(report: Report, path: str) -> None:
    """Write the report in the format of the path's ending; UsageError without one, OSError by the disk."""
    write_atomically(path, _format_of(path)(report))


def load_report(path: str) -> Report:
    """Read a report written as JSON; UsageError says what is wrong with a file that is none."""
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise UsageError(f"{path}: larger than any report; name a JSON report that stressd wrote")
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON ({error}); name a report written with --report FILE.json") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise UsageError(f"{path}: its schema is {schema!r:.60}; this stressd reads {SCHEMA!r}")
    if mistakes := _mistakes(report, _SHAPE, "report"):
        raise UsageError(f"{path}: {mistakes[0]}" + (f", and {len(mistakes) - 1} more" if mistakes[1:] else ""))
    checked: Report = report
    return checked


def _format_of(path: str) -> Callable[[Report], str]:
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMATS:
        formats = ", ".join(_FORMATS)
        raise UsageError(f"--report {path}: no format for {ending or 'a name without ending'}; there are {formats}")
    return _FORMATS[ending]


def _mistakes(value: Any, shape: Any, place: str) -> list[str]:
    match shape:
        case Mapping():
            if not isinstance(value, dict):
                return [f"{place}: {value!r:.40} is no object"]
            missing = [f"{place}.{key}: missing" for key in shape if key not in value]
            found = [_mistakes(value[key], each, f"{place}.{key}") for key, each in shape.items() if key in value]
            return missing + [mistake for mistakes in found for mistake in mistakes]
        case [item]:
            if not isinstance(value, list):
                return [f"{place}: {value!r:.40} is no list"]
            found = [_mistakes(each, item, f"{place}[{index}]") for index, each in enumerate(value)]
            return [mistake for mistakes in found for mistake in mistakes]
        case _:
            kinds = shape if isinstance(shape, tuple) else (shape,)
            fits = isinstance(value, shape) and (bool in kinds or not isinstance(value, bool))
            return [] if fits else [f"{place}: {value!r:.40} is no {kinds[0].__name__}"]

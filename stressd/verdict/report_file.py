"""Reports as files: written whole or not at all, in the format the ending says; read and checked."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stressd.errors import UsageError
from stressd.files import write_atomically
from stressd.verdict.render_html import render_html
from stressd.verdict.render_junit import render_junit
from stressd.verdict.render_markdown import render_markdown
from stressd.verdict.report import SCHEMA, Report
from stressd.verdict.report_shape import mistakes_in

_FORMATS: Final[dict[str, Callable[[Report], str]]] = {
    ".json": lambda report: json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    ".html": render_html,
    ".md": render_markdown,
    ".xml": render_junit,
}
_MOST_BYTES: Final = 64 << 20


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


def render_report(report: Report, kind: str) -> str:
    """Return the report in a format named like the ending of its files: `json`, `html`, `md`, `xml`."""
    return _FORMATS[f".{kind}"](report)


def load_report(path: str) -> Report:
    """Read a report written as JSON; UsageError says what is wrong with a file that is none."""
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise UsageError(f"{path}: larger than any report; name a JSON report that stressd wrote")
        report = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON ({error}); name a report written with --report FILE.json") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise UsageError(f"{path}: its schema is {schema!r:.60}; this stressd reads {SCHEMA!r}")
    if mistakes := mistakes_in(report):
        raise UsageError(f"{path}: {mistakes[0]}" + (f", and {len(mistakes) - 1} more" if mistakes[1:] else ""))
    checked: Report = report
    return checked


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _format_of(path: str) -> Callable[[Report], str]:
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMATS:
        formats = ", ".join(_FORMATS)
        raise UsageError(f"--report {path}: no format for {ending or 'a name without ending'}; there are {formats}")
    return _FORMATS[ending]

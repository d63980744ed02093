"""A comparison for the terminal, and as JSON for machines."""

import json
import math
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stressd.verdict import wording
from stressd.verdict.compare import Change, Comparison
from stressd.verdict.figures import LEAST_POINTS
from stressd.verdict.render_text import speech

SCHEMA: Final = "stressd.comparison/1"
_STYLES: Final = {"worse": "yellow", "better": "green", "same": "", "unsure": "dim"}
_HOST_SHOWN: Final = 0.03


def render_comparison(found: Comparison, file: TextIO, *, as_json: bool = False, width: int | None = None) -> None:
    """Print what changed and what of it is a regression, `width` columns wide; None: as wide as the terminal, or 80."""
    if as_json:
        print(json.dumps(_as_json(found), indent=1, ensure_ascii=False, allow_nan=False), file=file)
        return
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    say = speech(file)
    with console.capture() as capture:
        console.print(_table(found, say))
        for text in _notes(found):
            console.print(Text(say(text)), soft_wrap=True)
    file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _table(found: Comparison, say: Any) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("metric", "A", "B", "change", "surely within", "", "line"):
        table.add_column(say(head), justify="left" if head in ("metric", "", "line") else "right", no_wrap=True)
    for change in found.changes:
        style = "bold red" if change.regressed else _STYLES[change.outcome]
        cells = (
            change.metric,
            *(_value(each, change.unit) for each in (change.before, change.after)),
            wording.growth(change.change),
            _interval(change) or "–",
            _mark(change),
            "" if change.line is None else str(change.line).removeprefix(change.metric),
        )
        table.add_row(*(Text(say(cell), style=style) for cell in cells))
    return table


def _mark(change: Change) -> str:
    if change.regressed:
        return "REGRESSED"
    unsure = change.in_doubt or change.outcome == "unsure"
    return "" if not _interval(change) else "cannot tell" if unsure else change.outcome


def _notes(found: Comparison) -> list[str]:
    notes = [""]
    if found.host is not None and abs(found.host) >= _HOST_SHOWN:
        way = "slower" if found.host > 0 else "faster"
        notes.append(
            f"The host was {abs(found.host):.0%} {way} in B, by constant work that both runs did; "
            "as far as times follow it, that is taken out."
        )
    notes += [f"Not alike: {difference}." for difference in found.differences]
    notes += [f"Changed: {text}." for text in found.verdicts]
    notes += _too_little(found)
    notes += [
        f"Cannot tell: {each.line}: {_interval(each)}. A longer run can." for each in found.changes if each.in_doubt
    ]
    notes += [f"REGRESSION: {text}" for text in found.regressions] or [_END[found.inconclusive]]
    return [wording.clean(note) for note in notes]


_END: Final = {False: "No regression.", True: "INCONCLUSIVE: nothing could be held to a line."}


_COUNTS: Final = "after the warm-up, without faults, and while no other programs had the machine"


def _too_little(found: Comparison) -> list[str]:
    if min(found.points) >= LEAST_POINTS:
        return []
    each = " and ".join(f"{count} of {name}" for name, count in zip("AB", found.points, strict=True))
    needed = f"{each}, where {LEAST_POINTS} are needed"
    return [f"Too little to compare over time: {needed}. What counts: {_COUNTS}."]


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return ""
    return f"{wording.growth(change.low)} … {wording.growth(change.high)}"


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return wording.seconds(value)
    return f"{wording.number(value)}{unit}" if unit == "/s" else f"{wording.number(value)} {unit}"


def _as_json(found: Comparison) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "outcome": "regressed" if found.regressions else "inconclusive" if found.inconclusive else "no_regression",
        "regressions": found.regressions,
        "changes": [_change(change) for change in found.changes],
        "verdicts": list(found.verdicts),
        "differences": list(found.differences),
        "host": found.host,
        "points": list(found.points),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "metric": change.metric,
        "unit": change.unit,
        "before": change.before,
        "after": change.after,
        "change": _finite(change.change),
        "low": _finite(change.low),
        "high": _finite(change.high),
        "outcome": change.outcome,
        "line": None if change.line is None else str(change.line),
        "regressed": change.regressed,
        "in_doubt": change.in_doubt,
    }


def _finite(share: float | None) -> float | None:
    return None if share is None or not math.isfinite(share) else share

"""A report as one HTML file: the live page's picture, frozen. No network; the verdict is readable without a script."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from stressd.page import asset
from stressd.verdict import wording
from stressd.verdict.chart_data import chart_data
from stressd.verdict.html_tables import OPERATION_HEADS, operation_rows, process_rows, safe, time_heads, time_rows
from stressd.verdict.wording import Json

_SCRIPTS: Final = ("words.js", "theme.js", "charts.js", "report.js")  # each after what it imports
_LOOKS: Final = {"pass": "good", "warn": "warn", "fail": "bad", "violated": "bad", "error": "bad"}
_SIGNS: Final = {
    "pass": ("✓", "passes"),
    "warn": ("▲", "warning"),
    "fail": ("✗", "fails"),
    "inconclusive": ("?", "not decided"),
    "not_applicable": ("·", "not applicable"),
}
_NAMED: Final = ("warn", "fail", "inconclusive")
_SHOWN_FAULTS: Final = 50


def render_html(report: Json) -> str:
    """Return the page."""
    script = _script()
    parts = {
        "css": asset("page.css").decode(),
        "script": script,
        "icon": f"data:image/svg+xml;base64,{base64.b64encode(asset('favicon.svg')).decode()}",
        "data": json.dumps(chart_data(report), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        **{name: make(report) for name, make in _STATIC.items()},
    }
    parts["policy"] = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_fingerprint(parts['css'])}'; script-src '{_fingerprint(script)}'"
    )
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], asset("report.html").decode())


def _script() -> str:
    """Return all modules as one: what one exports to another is simply there."""
    text = "\n".join(asset(name).decode() for name in _SCRIPTS)
    return re.sub(r"^import .*\n|^export ", "", text, flags=re.MULTILINE)


def _fingerprint(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# --- What is there without a script ----------------------------------------------------------------


def _headline(verdict: str) -> str:
    return wording.HEADLINES.get(verdict, verdict).capitalize()


def _tally(report: Json) -> str:
    by_verdict = {
        name: [_plain(each["name"]) for each in report["criteria"] if each["verdict"] == name] for name in _SIGNS
    }
    return "".join(
        f'<li class="{name}"><span class="sign" aria-hidden="true">{_SIGNS[name][0]}</span> '
        f"{len(found)} {_plain(name)}{safe(': ' + ', '.join(found)) if name in _NAMED else ''}</li>"
        for name, found in by_verdict.items()
        if found
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _criteria(report: Json) -> str:
    return "".join(_criterion(criterion) for criterion in report["criteria"])


def _criterion(criterion: Json) -> str:
    verdict = criterion["verdict"] if criterion["verdict"] in _SIGNS else "inconclusive"
    sign, word = _SIGNS[verdict]
    wanted = "" if criterion["unit"] == "yes" else f"passes at {wording.threshold(criterion)}"
    note = "; ".join(
        filter(None, [wording.clean(criterion["why"]) or criterion.get("measures", ""), wanted, _worst(criterion)])
    )
    figure = "" if criterion["value"] is None else wording.value(criterion)
    return (
        f'<li class="{verdict}" data-name="{safe(criterion["name"])}">'
        f'<span class="sign" role="img" aria-label="{word}">{sign}</span>'
        f'<span class="name">{safe(_plain(criterion["name"]))}</span>'
        f'<span class="value">{safe(figure)}</span><span class="quiet">{safe(note)}</span></li>'
    )


def _worst(criterion: Json) -> str:
    at_s = criterion.get("worst_at_seconds")
    return "" if at_s is None else f"worst at {wording.clock(at_s)}"


def _tiles(report: Json) -> str:
    return "".join(
        f'<div class="{look}"><dt>{name}</dt><dd class="big">{safe(figure)}</dd>'
        f'<dd class="quiet">{safe(note)}</dd></div>'
        for name, figure, note, look in _in_all(report)
    )


def _in_all(report: Json) -> Iterable[tuple[str, str, str, str]]:
    verification, operations, workers = report["verification"], report["operations"].values(), report["workers"]
    kinds = [f"{count:,} {_plain(kind)}" for kind, count in verification["violations"].items() if count]
    found, checked = sum(verification["violations"].values()), verification["reads_checked"]
    note = ", ".join(kinds) or f"in {checked:,} reads checked"
    yield "Violations", f"{found:,}", note, "bad" if found else "good" if checked else ""
    count, errors = (sum(each[name] for each in operations) for name in ("count", "errors"))
    share = 100 * errors / count if count else 0.0
    yield "Errors", f"{errors:,}", f"{share:.2f} % of {count:,} operations", "bad" if share >= 1 else ""
    rate = sum(each["rate_per_second"] or 0 for each in operations)
    yield "Operations a second", wording.number(float(f"{rate:.3g}")), "after the warm-up", ""
    sizes = report.get("memory", {}).get("pss_bytes") or report.get("memory", {}).get("rss_bytes")
    if sizes:
        yield "Memory", f"{sizes['peak'] / 1e6:,.0f} MB", "all processes, at the peak", ""
    deaths = workers["deaths"]
    yield "Worker deaths", f"{deaths:,}", f"{workers['restarts']:,} restarted", "bad" if deaths else ""


def _faults(report: Json) -> str:
    faults = report["faults"]
    if not faults:
        return ""
    told = [_fault(fault) for fault in faults[:_SHOWN_FAULTS]]
    more = f"<li>and {len(faults) - _SHOWN_FAULTS} more</li>" if len(faults) > _SHOWN_FAULTS else ""
    items = f'<ol class="remarks">{"".join(told)}{more}</ol>'
    return f'<section aria-labelledby="h-faults"><h2 id="h-faults">Faults</h2>{items}</section>'


def _fault(fault: Json) -> str:
    kind, on = _plain(fault["kind"]), f" of {fault['on']}" if fault.get("on") else ""
    recovery_s = fault.get("recovery_seconds")
    after = "no good service since" if recovery_s is None else f"good service again after {wording.seconds(recovery_s)}"
    when = f"{wording.clock(fault['from_seconds'])} to {wording.clock(fault['until_seconds'])}"
    return f"<li>{safe(f'{kind}{on}, {when}: {after}')}</li>"


def _facts(report: Json) -> str:
    movies = report["movies"]
    facts = {
        "run": report["run_id"],
        "began": re.sub(r"T(.{8}).*", r" \1 UTC", report["started_at"]),
        "seed": report["seed"],
        "claims": wording.claims(report),
        "movies": movies.get("path") or "generated",
        "movies, good and broken": f"{movies.get('good', 0):,}, {movies.get('bad', 0):,}",
        **wording.environment(report),
    }
    return "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(fact)}</dd></div>" for name, fact in facts.items())


def _list(lines: Iterable[str]) -> str:
    return "".join(f"<li>{safe(line)}</li>" for line in lines)


def _specimens(report: Json) -> str:
    told = wording.specimens(report)
    return f'<p class="note">Specimens of what was wrong:</p><ul class="remarks">{_list(told)}</ul>' if told else ""


def _again(report: Json) -> str:
    return f'<p class="again">{safe(report["run_again"])}</p>' if report["run_again"] else ""


_STATIC: Final[Mapping[str, Callable[[Json], str]]] = {
    "title": lambda report: f"{safe(report['verdict'])}: {safe(report['scenario']['name'])} – stressd",
    "scenario": lambda report: safe(report["scenario"]["name"]),
    "look": lambda report: _LOOKS.get(report["verdict"], ""),
    "ended": lambda report: safe(wording.ending(report)),
    "verdict": lambda report: safe(report["verdict"]),
    "headline": lambda report: safe(_headline(report["verdict"])),
    "tally": _tally,
    "subject": lambda report: safe(wording.subject_line(report)),
    "again": _again,
    "tiles": _tiles,
    "specimens": _specimens,
    "criteria": _criteria,
    "operation_heads": lambda _: OPERATION_HEADS,
    "operations": operation_rows,
    "processes": process_rows,
    "without_time": lambda report: "" if len(report["timeline"]) > 1 else "hidden",
    "time_heads": time_heads,
    "times": time_rows,
    "faults": _faults,
    "remarks": lambda report: _list([wording.checked(report), *wording.remarks(report)]),
    "facts": _facts,
    "version": lambda report: safe(f"stressd {report['environment'].get('stressd', '')}"),
}

"""A report as one HTML file: the live page's picture, frozen. No network; the verdict is readable without a script."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any, Final

from stressd.metrics import CLASSES
from stressd.page import asset
from stressd.verdict import wording
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
_SHOWN_FAULTS: Final = 50
_SPREAD_QUANTILES: Final = ("p50", "p99")


def render_html(report: Json) -> str:
    """Return the page."""
    script = _script()
    parts = {
        "css": asset("page.css").decode(),
        "script": script,
        "icon": f"data:image/svg+xml;base64,{base64.b64encode(asset('favicon.svg')).decode()}",
        "data": json.dumps(_data(report), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
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


def _safe(value: object) -> str:
    return escape(wording.clean(value))


def _headline(verdict: str) -> str:
    return wording.HEADLINES.get(verdict, verdict).capitalize()


def _tally(report: Json) -> str:
    verdicts = [criterion["verdict"] for criterion in report["criteria"]]
    return "".join(
        f'<li class="{name}"><span class="sign" aria-hidden="true">{sign}</span> {count} {name.replace("_", " ")}</li>'
        for name, (sign, _) in _SIGNS.items()
        if (count := verdicts.count(name))
    )


def _criteria(report: Json) -> str:
    return "".join(_criterion(criterion) for criterion in report["criteria"])


def _criterion(criterion: Json) -> str:
    verdict = criterion["verdict"] if criterion["verdict"] in _SIGNS else "inconclusive"
    sign, word = _SIGNS[verdict]
    wanted = "" if criterion["unit"] == "yes" else f"passes at {wording.threshold(criterion)}"
    note = "; ".join(filter(None, [wording.why(criterion) or criterion.get("measures", ""), wanted]))
    figure = "" if criterion["value"] is None else wording.value(criterion)
    return (
        f'<li class="{verdict}" data-name="{_safe(criterion["name"])}">'
        f'<span class="sign" role="img" aria-label="{word}">{sign}</span>'
        f'<span class="name">{_safe(criterion["name"].replace("_", " "))}</span>'
        f'<span class="value">{_safe(figure)}</span><span class="quiet">{_safe(note)}</span></li>'
    )


def _tiles(report: Json) -> str:
    return "".join(
        f'<div class="{look}"><dt>{name}</dt><dd class="big">{_safe(figure)}</dd>'
        f'<dd class="quiet">{_safe(note)}</dd></div>'
        for name, figure, note, look in _in_all(report)
    )


def _in_all(report: Json) -> Iterable[tuple[str, str, str, str]]:
    verification, operations, workers = report["verification"], report["operations"].values(), report["workers"]
    kinds = [f"{count:,} {kind.replace('_', ' ')}" for kind, count in verification["violations"].items() if count]
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


def _operation_rows(report: Json) -> str:
    return "".join(
        f'<tr><th scope="row">{_safe(name)}</th>{"".join(f"<td>{_safe(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in wording.operations(report)
    )


def _faults(report: Json) -> str:
    faults = report["faults"]
    if not faults:
        return ""
    told = [_fault(fault) for fault in faults[:_SHOWN_FAULTS]]
    more = f"<li>and {len(faults) - _SHOWN_FAULTS} more</li>" if len(faults) > _SHOWN_FAULTS else ""
    items = f'<ol class="remarks">{"".join(told)}{more}</ol>'
    return f'<section aria-labelledby="h-faults"><h2 id="h-faults">Faults</h2>{items}</section>'


def _fault(fault: Json) -> str:
    kind, on = fault["kind"].replace("_", " "), f" of {fault['on']}" if fault.get("on") else ""
    recovery_s = fault.get("recovery_seconds")
    after = "no good service since" if recovery_s is None else f"good service again after {wording.seconds(recovery_s)}"
    when = f", {fault['from_seconds']:.1f} to {fault['until_seconds']:.1f} s" if "from_seconds" in fault else ""
    return f"<li>{_safe(f'{kind}{on}{when}: {after}')}</li>"


def _facts(report: Json) -> str:
    movies = report["movies"]
    facts = {
        "run": report["run_id"],
        "began": report["started_at"],
        "seed": report["seed"],
        "claims": wording.claims(report),
        "movies": movies.get("path") or "generated",
        "movies, good and broken": f"{movies.get('good', 0):,}, {movies.get('bad', 0):,}",
        **{name.replace("_", " "): wording.fact(name, fact) for name, fact in report["environment"].items()},
    }
    return "".join(f"<div><dt>{_safe(name)}</dt><dd>{_safe(fact)}</dd></div>" for name, fact in facts.items())


def _list(lines: Iterable[str]) -> str:
    return "".join(f"<li>{_safe(line)}</li>" for line in lines)


def _specimens(report: Json) -> str:
    told = wording.specimens(report)
    return f'<p class="note">Specimens of what was wrong:</p><ul class="remarks">{_list(told)}</ul>' if told else ""


def _again(report: Json) -> str:
    return f'<p class="again">{_safe(report["run_again"])}</p>' if report["run_again"] else ""


_STATIC: Final[Mapping[str, Callable[[Json], str]]] = {
    "title": lambda report: f"{_safe(report['verdict'])}: {_safe(report['scenario']['name'])} – stressd",
    "scenario": lambda report: _safe(report["scenario"]["name"]),
    "look": lambda report: _LOOKS.get(report["verdict"], ""),
    "ended": lambda report: _safe(f"exit code {report['exit_code']}" + (", interrupted" * report["interrupted"])),
    "verdict": lambda report: _safe(report["verdict"]),
    "headline": lambda report: _safe(_headline(report["verdict"])),
    "tally": _tally,
    "subject": lambda report: _safe(wording.subject_line(report)),
    "again": _again,
    "tiles": _tiles,
    "specimens": _specimens,
    "criteria": _criteria,
    "operation_heads": lambda _: "".join(f'<th scope="col">{_safe(head)}</th>' for head in wording.OPERATION_HEADS),
    "operations": _operation_rows,
    "faults": _faults,
    "remarks": lambda report: _list([wording.checked(report), *wording.remarks(report)]),
    "facts": _facts,
    "version": lambda report: _safe(f"stressd {report['environment'].get('stressd', '')}"),
}

# --- What the script draws -------------------------------------------------------------------------


def _data(report: Json) -> dict[str, Any]:
    return {"history": _history(report), "spreads": _spreads(report)}


def _history(report: Json) -> dict[str, Any]:
    points = report.get("timeline", [])
    at_s = [point["at_seconds"] for point in points]
    step_s = (at_s[-1] - at_s[0]) / (len(at_s) - 1) if len(at_s) > 1 else 1.0
    names = ["/".join(each).removesuffix("/none") for each in CLASSES]
    times = {
        name: [[point[f"{stat}_seconds"].get(name) for point in points] for stat in ("p50", "p99")] for name in names
    }
    return {
        "at_s": at_s,
        "step_s": step_s,
        "rates_per_s": [point["operations_per_second"] for point in points],
        "errors_per_s": [point["errors"] / step_s for point in points],
        "cores": [point["cpu_cores"] for point in points],
        "memory": _memory(report, points),
        "latencies": [
            {"name": name.replace("/", " from the "), "p50_s": p50_s, "p99_s": p99_s}
            for name, (p50_s, p99_s) in times.items()
            if any(p99_s)
        ],
        "faults": [
            {"kind": fault["kind"], "from_s": fault["from_seconds"], "until_s": fault["until_seconds"]}
            for fault in report["faults"]
            if "from_seconds" in fault
        ],
    }


def _memory(report: Json, points: list[Json]) -> dict[str, Any]:
    known = report.get("memory", {}).get("by_process")
    if known:
        return {"at_s": known["at_seconds"], "memory_bytes": known["bytes"]}
    whole = [point["pss_bytes"] or point["rss_bytes"] for point in points]
    return {"at_s": [point["at_seconds"] for point in points], "memory_bytes": {"all processes": whole}}


def _spreads(report: Json) -> list[dict[str, Any]]:
    return [
        {
            "name": op if source == "none" else f"{op} from the {source}",
            "bars": each["histogram"],
            "quantiles": [[stat, each["service_seconds"][stat]] for stat in _SPREAD_QUANTILES],
        }
        for op, operation in report["operations"].items()
        for source, each in operation.get("sources", {}).items()
        if each.get("histogram")
    ]

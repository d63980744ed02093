"""How a report's figures are written for people: the same words in every rendering, from the JSON alone."""

import math
from collections.abc import Mapping
from typing import Any, Final

MARKS: Final = {"pass": "✅", "warn": "⚠️", "fail": "❌", "inconclusive": "❔", "not_applicable": "–"}
HEADLINES: Final = {
    "pass": "PASS",
    "warn": "PASS with warnings",
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "violated": "DATA VIOLATION",
    "error": "ERROR",
}
_RUN_MARKS: Final = {**MARKS, "violated": "❌", "error": "❌"}
_COUNTED: Final = ("violations", "deaths")  # the criterion's name says it already
_SIGNS: Final = {">=": "≥", "<=": "≤", "==": "="}
_UNITS_S: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_WAITED: Final = 1.5  # as long from when it was due as from its start
_SHOWN_QUANTILES: Final = ("p50", "p90", "p99", "max")

Json = Mapping[str, Any]


def clean(value: object) -> str:
    """Return the text without what a terminal, or XML, would take for a command."""
    return "".join(char if char.isprintable() else " " for char in str(value))


def mark(verdict: str) -> str:
    """Return the sign of a criterion's verdict or the run's."""
    return _RUN_MARKS.get(verdict, "❔")


def headline(report: Json) -> str:
    """Return the verdict, and how the run ended, in one line."""
    return f"{HEADLINES.get(report['verdict'], clean(report['verdict']))} ({ending(report)})"


def ending(report: Json) -> str:
    """Return how the run ended, if it had when the report was written."""
    if report.get("unfinished"):
        return "so far: the run had not ended"
    interrupted = ", interrupted" if report["interrupted"] else ""
    return f"exit code {report['exit_code']}{interrupted}"


def subject_line(report: Json) -> str:
    """Return what was soaked, for how long, from which seed."""
    return (
        f"{clean(report['scenario']['name'])} on {clean(report['target']['name'])}, "
        f"{duration(report['duration_seconds'])}, seed {report['seed']}"
    )


def claims(report: Json) -> str:
    """Return what the target claims, and is held to."""
    return ", ".join(f"{clean(name)}={clean(claim)}" for name, claim in report["guarantees"].items())


def value(criterion: Json) -> str:
    """Return what a criterion measured, with its unit."""
    measured, unit = criterion["value"], criterion["unit"]
    if measured is None:
        return "–"
    if unit == "yes":
        return "yes" if measured else "no"
    return figure(measured, unit)


def figure(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    return seconds(value) if unit == "s" else _with_unit(number(value), unit)


def threshold(criterion: Json) -> str:
    """Return the line of pass, with its unit."""
    if criterion["unit"] == "yes":
        return "yes"
    comparison, _, bound = clean(criterion["pass"]).partition(" ")
    return f"{_SIGNS.get(comparison, comparison)} {_with_unit(bound, criterion['unit'])}"


def why(criterion: Json) -> str:
    """Return the note, and when it was worst."""
    when = f" (worst at {clean(criterion['worst_at'])})" if criterion["worst_at"] else ""
    return clean(criterion["why"]) + when


def number(figure: float) -> str:
    """Return three digits, or all of a whole number, with commas."""
    if float(figure).is_integer() or abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"


def seconds(figure: float | None) -> str:
    """Return a time in the unit that suits it."""
    if figure is None:
        return "–"
    scale, unit = next((each for each in _UNITS_S if figure >= each[0]), _UNITS_S[-1])
    return f"{number(float(f'{figure / scale:.3g}'))} {unit}"


def growth(share: float) -> str:
    """Return by how much something grew: `+12.5%`, `∞` from nothing."""
    return f"{share:+.1%}" if math.isfinite(share) else "∞"


def clock(figure: float) -> str:
    """Return a moment of a run as a clock shows it: `0:07`, `1:02:03`, `2 d 0:00:00`."""
    days, rest = divmod(int(figure), 86_400)
    hours, minutes = rest // 3_600, rest // 60 % 60
    shown = f"{hours}:{minutes:02}:{rest % 60:02}" if days or hours else f"{minutes}:{rest % 60:02}"
    return f"{days} d {shown}" if days else shown


def duration(figure: float) -> str:
    """Return a length of time: `3 m 2 s`, `2 d 1 h`."""
    if figure < 60:
        return f"{figure:.3g} s"
    rest, parts = round(figure), []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        whole, rest = divmod(rest, size)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts[:2])


OPERATION_HEADS: Final = ("operation", "count", "per s", "errors", *_SHOWN_QUANTILES)


def operations(report: Json) -> list[tuple[str, ...]]:
    """Return a row under `OPERATION_HEADS` for each operation that happened: its service times."""
    return [
        (
            clean(name),
            f"{each['count']:,}",
            "–" if each["rate_per_second"] is None else number(each["rate_per_second"]),
            f"{each['errors']:,}",
            *(seconds(each["service_seconds"][quantile]) for quantile in _SHOWN_QUANTILES),
        )
        for name, each in report["operations"].items()
        if each["count"]
    ]


def troubles(report: Json) -> list[str]:
    """Return which criteria failed, could not be told, or warn: a line for each kind."""
    by_verdict = {
        kind: [clean(each["name"]) for each in report["criteria"] if each["verdict"] == kind]
        for kind in ("fail", "inconclusive", "warn")
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in by_verdict.items() if names]


def checked(report: Json) -> str:
    """Return how much was verified, and what came of it."""
    found = report["verification"]
    kinds = [f"{count:,} {clean(kind)}" for kind, count in found["violations"].items() if count]
    return (
        f"{found['reads_checked']:,} reads and {found['cells_checked']:,} cells checked, "
        f"{found['writes_verified']:,} of {found['writes_acknowledged']:,} saves read back: "
        + (f"violations: {', '.join(kinds)}" if kinds else "no violation")
    )


def specimens(report: Json) -> list[str]:
    """Return where the specimens of violations lie, or what they say."""
    return [
        ", ".join(f"{clean(name)} {clean(fact)}" for name, fact in each.items())
        if isinstance(each, Mapping)
        else clean(each)
        for each in report["verification"]["specimens"]
    ]


def remarks(report: Json) -> list[str]:
    """Return what else decides how to take the verdict."""
    workers, harness = report["workers"], report["harness"]
    told = [f"Aborted: {clean(report['aborted'])}."] if report.get("aborted") else []
    if harness["saturated"]:
        told.append(_saturation(harness))
    told += _waits(report)
    if report["faults"]:
        kinds = sorted({clean(fault["kind"]) for fault in report["faults"]})
        told.append(f"Not a clean run: faults were injected ({', '.join(kinds)}).")
    if workers["deaths"] or workers["restarts"]:
        told.append(f"Worker deaths: {workers['deaths']}, restarts: {workers['restarts']}.")
    overhead_s = harness["overhead_seconds_per_operation"]
    if overhead_s is not None:
        told.append(f"The soak's own cost: {seconds(overhead_s)} an operation{_checking(harness)}.")
    told += [
        f"Went on otherwise after {clock(reload['at_seconds'])}: {clean('; '.join(reload['changes']))}."
        for reload in report.get("reloads", ())
    ]
    return told


def environment(report: Json) -> dict[str, str]:
    """Return what it ran on, by names for people."""
    return {clean(name.removesuffix("_bytes").replace("_", " ")): fact(name, each)
            for name, each in report["environment"].items()}  # fmt: skip


def ran_on(report: Json) -> list[str]:
    """Return what it ran on in one line; none where a report does not say."""
    known = ", ".join(f"{name} {each}" for name, each in environment(report).items())
    return [f"Ran on: {known}."] if known else []


def _waits(report: Json) -> list[str]:
    """Say where operations waited for a free lane: no time of theirs, but one of whoever waits for them."""
    p99s = {
        clean(op): (each["latency_seconds"]["p99"], each["service_seconds"]["p99"])
        for op, each in report["operations"].items()
    }
    waited = [
        f"{op} {seconds(due_s)}" for op, (due_s, own_s) in p99s.items() if due_s and own_s and due_s > _WAITED * own_s
    ]
    return [f"Operations waited for a free lane. p99 from when they were due: {', '.join(waited)}."] if waited else []


def _checking(harness: Json) -> str:
    """Return what part of the target's time checks took, and which; nothing where a report does not say."""
    share, spent_s = harness.get("verification_share"), harness.get("verification_seconds", {})
    if not share:
        return ""
    whole_s = sum(spent_s.values())
    each = [f"{clean(check)} {100 * share * one_s / whole_s:.1f} %" for check, one_s in spent_s.items() if one_s]
    return f"; checks took {100 * share:.1f} % of the target's time: {', '.join(each)}"


def _saturation(harness: Json) -> str:
    offered, reached = harness.get("offered_per_second"), harness.get("reached_per_second")
    if offered is None or reached is None:
        return "The generator was the bottleneck: these are its limits, not the target's."
    limit = "this machine's processors were in use" if harness["saturated_by"] == "processor" else "its lanes were busy"
    rates = f"{number(reached)} of {number(offered)} operations a second"
    return f"The load asked for was not reached: {limit} at {rates}. All figures are of that load."


def fact(name: str, value: Any) -> str:
    """Return a fact of the environment: sizes in GB, all else as it is."""
    return f"{value / 1e9:.1f} GB" if name.endswith("_bytes") and isinstance(value, int) else clean(value)


def _with_unit(figure: str, unit: str) -> str:
    if unit in _COUNTED:
        return figure
    if unit == "s":
        return seconds(float(figure.replace(",", "")))
    if unit == "%":
        return f"{figure} %"
    return f"{figure}×" if unit == "x" else f"{figure} {clean(unit)}"

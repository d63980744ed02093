"""A report as Markdown, for a pull request or a wiki."""

from collections.abc import Iterable

from stressd.verdict import wording
from stressd.verdict.wording import Json


def render_markdown(report: Json) -> str:
    """Return the report as Markdown; nothing in it can break out of its cell."""
    lines = [
        f"## {wording.mark(report['verdict'])} stressd: {_safe(wording.headline(report))}",
        "",
        f"{_safe(wording.subject_line(report))}. The target claims {_safe(wording.claims(report))}.",
        *(f"- {_safe(line)}" for line in wording.troubles(report)),
        "",
        _row(("", "criterion", "value", "passes at", "why")),
        "|---|---|---:|---|---|",
        *(_row(_cells(criterion)) for criterion in report["criteria"]),
        "",
        _row(wording.OPERATION_HEADS),
        "|---" + "|---:" * (len(wording.OPERATION_HEADS) - 1) + "|",
        *(_row(map(_safe, row)) for row in wording.operations(report)),
        "",
        f"- {_safe(wording.checked(report))}",
        *(f"- specimen: {_safe(specimen)}" for specimen in wording.specimens(report)),
        *(f"- {_safe(line)}" for line in (*wording.remarks(report), *wording.ran_on(report))),
    ]
    if report["run_again"]:
        lines += ["", "Run it again:", "", f"    {wording.clean(report['run_again'])}"]
    return "\n".join(lines) + "\n"


def _cells(criterion: Json) -> Iterable[str]:
    yield wording.mark(criterion["verdict"])
    yield f"`{wording.clean(criterion['name']).replace('`', '')}`"
    for text in (wording.value, wording.threshold, wording.why):
        yield _safe(text(criterion))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    for char in ("\\", "|", "`", "*", "_", "[", "]", "<", ">"):
        text = text.replace(char, "&lt;" if char == "<" else "\\" + char)
    return text

"""A report for the terminal: the verdict at a glance, why, and how to run it again.

On a terminal with colours; into a pipe plain text, without a control code; in ASCII where the encoding
knows no more.
"""

from collections.abc import Callable
from typing import Final, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stressd.verdict import wording
from stressd.verdict.wording import Json

_STYLES: Final = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "violated": "bold red",
    "error": "bold red",
    "inconclusive": "magenta",
    "not_applicable": "dim",
}
_ASCII: Final = {
    "✅": "[ok]",
    "⚠️": "[!!]",
    "❌": "[XX]",
    "❔": "[??]",
    "–": "-",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "µ": "u",
    "→": "->",
    "…": "..",
    "∞": "inf",
}


def render_text(report: Json, file: TextIO, width: int | None = None) -> None:
    """Print the report to `file`, `width` columns wide; None: as wide as the terminal, or 80."""
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    say = speech(file)
    with console.capture() as capture:
        _print(report, console, say)
    file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _print(report: Json, console: Console, say: Callable[[str], str]) -> None:
    style = _STYLES.get(report["verdict"], "")
    console.print(Text(say(f"{wording.mark(report['verdict'])} {wording.headline(report)}"), style=style))
    for line in wording.troubles(report):
        _paragraph(console, say(line), style)
    _paragraph(console, say(f"{wording.subject_line(report)}; claims {wording.claims(report)}"))
    if report["run_again"]:
        console.print(Text(say(f"   again: {wording.clean(report['run_again'])}")), soft_wrap=True)
    console.print()
    console.print(_criteria(report, say))
    console.print()
    if wording.operations(report):
        console.print(_operations(report, say))
        console.print()
    _paragraph(console, say(wording.checked(report)))
    for specimen in wording.specimens(report):
        _paragraph(console, say(f"specimen: {specimen}"), "red")
    for line in (*wording.remarks(report), *wording.ran_on(report)):
        _paragraph(console, say(line), "dim")


def speech(file: TextIO) -> Callable[[str], str]:
    """Return what turns a text into one that the file's encoding can write."""
    encoding = file.encoding or "utf-8"
    try:
        "".join(_ASCII).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _in_ascii
    return lambda text: text


def _in_ascii(text: str) -> str:
    for sign, plain in _ASCII.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode("ascii")


def _criteria(report: Json, say: Callable[[str], str]) -> Table:
    table = _table()
    sign_width = max(cell_len(say(sign)) for sign in wording.MARKS.values())
    table.add_column(f"{'':{sign_width}} criterion", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("passes at", no_wrap=True)
    table.add_column("why", overflow="fold")
    for criterion in report["criteria"]:
        sign = set_cell_size(say(wording.mark(criterion["verdict"])), sign_width)
        cells = (
            f"{sign} {wording.clean(criterion['name'])}",
            *(text(criterion) for text in (wording.value, wording.threshold, wording.why)),
        )
        style = "" if criterion["verdict"] == "pass" else _STYLES.get(criterion["verdict"], "")
        styles = (style, style, "dim", "dim")
        table.add_row(*(Text(say(cell), style=each) for cell, each in zip(cells, styles, strict=True)))
    return table


def _operations(report: Json, say: Callable[[str], str]) -> Table:
    table = _table()
    table.add_column("  ")
    for head in wording.OPERATION_HEADS:
        table.add_column(head, justify="left" if head == "operation" else "right", no_wrap=True)
    for row in wording.operations(report):
        table.add_row("", *(Text(say(cell)) for cell in row))
    return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _paragraph(console: Console, text: str, style: str = "") -> None:
    """Print a text, its further lines indented like its first."""
    console.print(Padding(Text(text, style=style), (0, 0, 0, 3)))

"""What a selftest shows: while it runs, to stderr; at its end, the table or the JSON, to stdout."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stressd.selftest.outcome import Outcome
from stressd.selftest.running import Running

SCHEMA: Final = "stressd.selftest/1"
_SIGNS: Final = {True: ("✅", "[ok]"), False: ("❌", "[XX]")}


class Progress:
    """Shows how far it is: a region of a terminal, redrawn; a line for each case that has ended elsewhere."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._told = 0
        console = Console(file=stream, highlight=False)
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if live else None
        if self._live is not None:
            self._live.start()

    def show(self, running: Sequence[Running], outcomes: Sequence[Outcome]) -> None:
        """Show what runs and what has ended."""
        if self._live is not None:
            at_work = ", ".join(f"{one.case.lie} {one.seconds:.0f} s" for one in running)
            wrong = sum(not outcome.ok for outcome in outcomes)
            text = f"{len(outcomes)} of {self._total} runs done, {wrong} wrong\n{at_work}"
            self._live.update(Text(text, overflow="fold"), refresh=True)
            return
        for outcome in outcomes[self._told :]:
            self._told += 1
            line = f"{self._told}/{self._total} {outcome.lie}: {_came_to(outcome)} ({outcome.seconds:.1f} s)"
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()


def print_table(outcomes: Sequence[Outcome], seed: int, seconds: float, file: TextIO) -> None:
    """Print how all cases ended, and what that comes to."""
    sign = _signs(file)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "lie", "caught by", "expected"):
        table.add_column(heading, no_wrap=True)
    table.add_column("told at call", justify="right", no_wrap=True)
    table.add_column("after calls", justify="right", no_wrap=True)
    for outcome in outcomes:
        caught = ", ".join(outcome.caught_by) or "-"
        figures = (_figure(outcome.told_at), _figure(outcome.after_operations))
        table.add_row(sign(outcome.ok), outcome.lie, caught, outcome.expected or "-", *figures)
    console = Console(file=file, highlight=False, markup=False, emoji=False, width=None if file.isatty() else 120)
    console.print(table)
    for outcome in outcomes:
        if not outcome.ok:
            said = f"{sign(False)} {outcome.lie}: {outcome.why}; all that it left is in {outcome.folder}"
            console.print(said, soft_wrap=True)
    right = sum(outcome.ok for outcome in outcomes)
    every = all(outcome.ok for outcome in outcomes)
    console.print(f"{sign(every)} {right} of {len(outcomes)} as expected, in {seconds:.0f} s, seed {seed}")


def print_json(outcomes: Sequence[Outcome], seed: int, seconds: float, file: TextIO) -> None:
    """Print the same as one JSON object."""
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "seed": seed,
        "ok": all(outcome.ok for outcome in outcomes),
        "seconds": round(seconds, 1),
        "lies": [outcome.as_json() for outcome in outcomes],
    }
    json.dump(told, file, indent=1)
    file.write("\n")


def _came_to(outcome: Outcome) -> str:
    if not outcome.ok:
        return f"WRONG: {outcome.why}"
    if outcome.expected is None:
        return "not accused of anything"
    return f"caught as {', '.join(outcome.caught_by)}"


def _figure(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _signs(file: TextIO) -> Callable[[bool], str]:
    try:
        "✅❌".encode(file.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return lambda ok: _SIGNS[ok][1]
    return lambda ok: _SIGNS[ok][0]

"""The terminal's view of a running soak: a live region on a terminal, a plain line now and then elsewhere.

Both go to stderr; stdout is left to the verdict.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from stressd.criteria import Outcome
from stressd.observe.status import CriterionStatus, OperationStatus, Status

LINE_EVERY_S: Final = 10.0
_CRITERION_WIDTH: Final = 39
# Signs of one column each, in every terminal; the second where the encoding has no such characters.
_SIGNS: Final = {
    Outcome.PASS: ("✓", "ok", "green"),
    Outcome.WARN: ("▲", "!", "yellow"),
    Outcome.FAIL: ("✗", "FAIL", "bold red"),
    Outcome.INCONCLUSIVE: ("?", "?", "dim"),
    Outcome.NOT_APPLICABLE: ("·", "-", "dim"),
}


class _View(Protocol):
    def show(self, status: Status) -> None: ...
    def close(self) -> None: ...


class LiveView:
    """Shows each `update` within `with`; one thread updates. Whatever ends it, the terminal is left sane.

    On a terminal a region is redrawn, and what others print appears above it. Elsewhere a line appears every
    `LINE_EVERY_S` seconds of `clock`, at each change of state and with each new violation. `quiet`: nothing.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet = quiet
        self._clock = clock
        self._stream = stream
        self._view: _View | None = None

    def __enter__(self) -> Self:
        if not self._quiet:
            console = Console(file=self._stream, stderr=self._stream is None, highlight=False)
            live = console.is_terminal and not console.is_dumb_terminal
            self._view = _Region(console) if live else _Lines(self._stream or sys.stderr, self._clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; what is updated after it is not shown."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def update(self, status: Status) -> None:
        """Show the status of now; a terminal that went away is no reason to end a run."""
        if self._view is None:
            return
        try:
            self._view.show(status)
        except (OSError, ValueError):  # gone, or closed
            self._view = None


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._next_s = self._clock()
        self._last: tuple[str, str, int] | None = None

    def show(self, status: Status) -> None:
        news = (status.facts.state, status.facts.phase, status.violation_count)
        now_s = self._clock()
        if news == self._last and now_s < self._next_s:
            return
        self._last = news
        while self._next_s <= now_s:  # a grid: what came late does not put off the next one
            self._next_s += LINE_EVERY_S
        print(line_of(status), file=self._stream, flush=True)

    def close(self) -> None:
        """Leave what was printed."""


class _Region:
    """A region of a terminal, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._size = console.size
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()

    def show(self, status: Status) -> None:
        if self._console.size != self._size:
            # A terminal wraps what it shows when it gets narrower: where the region began is no longer known.
            self._size = self._console.size
            self._console.control(Control((ControlType.HOME,), (ControlType.CLEAR,)))
        self._live.update(picture(status, self._console), refresh=True)

    def close(self) -> None:
        self._live.stop()


def line_of(status: Status) -> str:
    """Return one line of `key=value` pairs without blanks in them."""
    facts = status.facts
    outcomes = Counter(criterion.outcome for criterion in status.criteria)
    parts = [
        _clock(facts.elapsed_s) + (f"/{_clock(facts.duration_s)}" if facts.duration_s is not None else ""),
        f"state={facts.state}",
        *([f"phase={facts.phase.replace(' ', ':')}"] if facts.phase else []),
        f"ops/s={status.rate_per_s:.1f}",
        *(
            f"{operation.name.replace(' (', '.').rstrip(')')}.p99={seconds(operation.recent_p99_s)}"
            for operation in status.operations
            if operation.recent_p99_s is not None
        ),
        f"errors={status.errors}",
        f"violations={status.violation_count}",
        f"memory={mega(facts.memory_bytes)}",
        f"workers={status.workers_running}/{status.workers_desired}",
        f"deaths={facts.deaths}",
        *(f"{outcome}={outcomes[outcome]}" for outcome in Outcome if outcomes[outcome]),
    ]
    return " ".join(parts)


def picture(status: Status, console: Console) -> RenderableType:
    """Return the region for a terminal of `console`'s size; 80 × 24 holds all of it."""
    plain = not console.encoding.lower().startswith("utf")
    rows: list[RenderableType] = [
        _headline(status, plain),
        _progress(status, plain),
        _operations(status.operations),
        _counts(status),
        _criteria(status.criteria, console.width, plain),
    ]
    return Group(*rows)


def _headline(status: Status, plain: bool) -> Text:
    facts = status.facts
    between = " - " if plain else " · "
    told = (facts.phase or facts.state, facts.scenario, f"target {facts.target}", f"seed {facts.seed}")
    line = Text("stressd ", style="bold", no_wrap=True, overflow="crop" if plain else "ellipsis")
    return line.append(between.join(told), style="not bold")


def _progress(status: Status, plain: bool) -> RenderableType:
    facts = status.facts
    if facts.duration_s is None:
        return Text(f"{_clock(facts.elapsed_s)} until told to stop")
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    share = min(1.0, facts.elapsed_s / facts.duration_s) if facts.duration_s else 1.0
    bar: RenderableType = Text("#" * round(40 * share)) if plain else ProgressBar(total=1.0, completed=share)
    grid.add_row(bar, f"{_clock(facts.elapsed_s)} of {_clock(facts.duration_s)}")
    return grid


def _operations(operations: Sequence[OperationStatus]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("operation", no_wrap=True)
    for heading in ("ops/s", "p50", "p99", "p99 in all", "count"):
        table.add_column(heading, justify="right", no_wrap=True)
    for shown in operations:
        quantiles = (shown.recent_p50_s, shown.recent_p99_s, shown.p99_s)
        table.add_row(shown.name, f"{shown.rate_per_s:.1f}", *map(seconds, quantiles), f"{shown.count:,}")
    return table


def _counts(status: Status) -> Text:
    facts = status.facts
    share = status.errors / status.attempts if status.attempts else 0.0
    text = Text(no_wrap=False)
    text.append(f"{status.reads_verified:,} reads checked, ")
    found = status.violation_count
    kinds = ", ".join(f"{count} {kind}" for kind, count in status.violations.items() if count)
    text.append(f"{found:,} violations" + (f" ({kinds})" if kinds else ""), style="bold red" if found else "green")
    text.append(f"; {status.errors:,} errors ({share:.2%})", style="red" if share >= 0.01 else "")
    limit = f" of {mega(facts.memory_limit_bytes)}" if facts.memory_limit_bytes else ""
    restarts = sum(facts.restarts.values())
    text.append(
        f"\nmemory {mega(facts.memory_bytes)}{limit}; workers {status.workers_running} of "
        f"{status.workers_desired}, {restarts} restarted, {facts.deaths} died"
    )
    if facts.faults:
        back = sum(fault.recovery_s is not None for fault in facts.faults)
        text.append(f"; faults: {len(facts.faults)} injected, {back} recovered from")
    return text


def _criteria(criteria: Sequence[CriterionStatus], width: int, plain: bool) -> Table:
    """Return the criteria in columns, filled from top to bottom, as many as `width` has room for."""
    columns = max(1, min(3, width // _CRITERION_WIDTH))
    height = -(-len(criteria) // columns)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in range(height):
        grid.add_row(*(_criterion(criterion, plain) for criterion in criteria[row::height]))
    return grid


def _criterion(criterion: CriterionStatus, plain: bool) -> Text:
    sign, word, style = _SIGNS[Outcome(criterion.outcome)]
    text = Text(f"{word if plain else sign} ", style=style, no_wrap=True, overflow="crop" if plain else "ellipsis")
    text.append(criterion.name)
    if criterion.value is not None:
        text.append(f" {amount(criterion.value, criterion.unit)}")
    return text


def amount(value: float, unit: str) -> str:
    """Return a criterion's value for people: `412 MB/s`, `0.3 %`, `yes`."""
    if unit == "yes":
        return "yes" if value else "no"
    return f"{value:,.0f} {unit}" if abs(value) >= 100 or value == int(value) else f"{value:.2g} {unit}"


def seconds(value: float | None) -> str:
    """Return a duration with three digits and its unit: `850us`, `12.3ms`, `1.25s`; `-` for None."""
    if value is None:
        return "-"
    for scale, unit in ((1e-6, "us"), (1e-3, "ms")):
        if value < scale * 999.5:
            return f"{_three_digits(value / scale)}{unit}"
    return f"{_three_digits(value)}s"


def mega(value: float | None) -> str:
    """Return bytes as `412MB` or `1.25GB`."""
    if value is None:
        return "-"
    return f"{value / 1e6:.0f}MB" if value < 9.995e8 else f"{_three_digits(value / 1e9)}GB"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _clock(elapsed_s: float) -> str:
    minutes, second = divmod(int(elapsed_s), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"

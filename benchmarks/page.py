"""A run as a table for the terminal, and as docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from goals import ROWS, Row

MARKS = {"met": "✅", "missed": "❌", "given": "·"}
COLUMNS = ("what", "ours", "beside it", "ratio", "goal", "spread", "")


def table(run: Mapping[str, Any]) -> str:
    """Return the rows of the run, aligned."""
    cells = [COLUMNS, *(_cells(row, figure) for row, figure in _found(run))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    about = ", ".join(f"{name} {value}" for name, value in run["machine"].items())
    return "\n".join([about, "", *lines])


def rendered(run: Mapping[str, Any]) -> str:
    """Return the page."""
    found = list(_found(run))
    lines = [
        "# Performance",
        "",
        "> **Made from one run, not written.** `make bench` measures and prints the table;",
        "> `make bench ARGS='--page docs/performance.md'` writes this page anew. Names, goals and texts come from",
        "> `benchmarks/goals.py`, figures from the run.",
        "",
        "Ours and what stands beside it took turns. Machines differ: the ratios are what carries over.",
        "",
        *_machine(run),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|---:|---|---:|---|---:|---|",
        *("| " + " | ".join(_cells(row, figure)) + " |" for row, figure in found),
        "",
        "Medians of interleaved rounds; the spread is the quartiles' distance over the median, of the noisier side:",
        "the higher, the less the figure means. ✅ the goal is met, ❌ it is missed, · no goal: the figure is given.",
        "",
        "## What limits each now",
        "",
        *(f"- *{row.name}*{_beside(row)}: {row.limit.format(**(figure['facts'] or {}))}" for row, figure in found),
        "",
    ]
    return "\n".join(lines)


def _machine(run: Mapping[str, Any]) -> Iterable[str]:
    about = run["machine"]
    libraries = ", ".join(
        f"{name} {about[name]}" for name in ("python", "numpy", "pandas", "pyarrow", "xxhash", "deltalake", "pylance")
    )
    yield f"Measured {about['measured_at']} on {about['cores']} cores of {about['processor']}, {about['memory_gb']} GB,"
    yield f"Linux {about['kernel']}, {about['file_system']}; {libraries}. {run['rounds']} rounds; load before:"
    yield f"{about['load_before']}."


def _found(run: Mapping[str, Any]) -> Iterable[tuple[Row, Mapping[str, Any]]]:
    figures = {figure["key"]: figure for figure in run["rows"]}
    return [(row, figures[row.key]) for row in ROWS if row.key in figures]


def _cells(row: Row, figure: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row.name,
        f"{_number(figure['ours'])} {row.unit}",
        f"{_number(figure['peer'])} {row.unit}, {row.peer}" if figure["peer"] is not None else "",
        f"{figure['ratio']:.2g}×" if figure["ratio"] is not None else "",
        row.goal.said(row.unit) if row.goal else "",
        f"{figure['spread']:.0%}" if figure["spread"] is not None else "",
        MARKS[figure["verdict"]],
    )


def _beside(row: Row) -> str:
    return f", beside {row.peer}" if row.peer else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"

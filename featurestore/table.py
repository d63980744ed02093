"""Plain text tables: aligned for people, with two spaces or more between columns for awk and cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime


def lines(records: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Iterator[str]:
    """Yield a line of upper-case names and one per record: numbers to the right, all else to the left."""
    rows = [[record[column] for column in columns] for record in records]
    cells = [[column.upper() for column in columns], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(columns))]
    for row in cells:
        padded = [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True)]
        yield "  ".join(padded).rstrip()


def iso(seconds: float) -> str:
    """Return seconds since the epoch as UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "-"
    return str(value) if value not in (None, "") else "-"

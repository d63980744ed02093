"""Markdown of pages that are made: what a page, a paragraph and a table look like."""

import textwrap
from collections.abc import Iterable, Sequence


def page(source: str, title: str, texts: Iterable[str], *parts: str) -> str:
    """Return a page that says what it is made from: title, paragraphs, then the parts as they are."""
    made = f"<!-- Made by `make render`; edit {source} instead. -->"
    return "\n\n".join([made, f"# {title}", *map(paragraph, texts), *parts]) + "\n"


def paragraph(text: str) -> str:
    """Return a text in lines of 120 characters."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, a line each row."""
    return "\n".join(map(_row, (head, ["---"] * len(head), *rows)))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

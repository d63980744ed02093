"""Which series a PromQL expression selects, and narrowing all of them to a choice of labels.

No parser: an expression here is one of ours, and every selector in it begins with a name of `_NAME`.
"""

import re
from collections.abc import Iterator
from typing import Final

HERE: Final = 'job=~"$job", instance=~"$instance"'  # what a dashboard's variables choose
GENERIC: Final = 'job="stressd"'  # for names that other jobs export too

# The braces belong to the match, so that a label called as a metric is (`stressd_state`) is passed over.
_NAME: Final = r"(?:stressd[_:][\w:]*|process_\w+|python_info|scrape_\w+|up|ALERTS)"
_SELECTOR: Final = re.compile(rf"(?<![\w:$]){_NAME}(?![\w:(])(?:\{{(?P<matchers>[^}}]*)\}})?")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")


def scoped(expression: str, matchers: str = HERE) -> str:
    """Return the expression with the matchers in every selector; a `job` of its own gives way."""
    return "".join(
        part if is_grouping else _SELECTOR.sub(lambda found: _narrowed(found, matchers), part)
        for part, is_grouping in _parts(expression)
    )


def names_in(expression: str) -> set[str]:
    """Return the names of all series that the expression selects."""
    return {
        found[0].partition("{")[0]
        for part, is_grouping in _parts(expression)
        if not is_grouping
        for found in _SELECTOR.finditer(part)
    }


def selectors_in(expression: str) -> list[str]:
    """Return all selectors of the expression, with their braces."""
    return [
        found[0] for part, is_grouping in _parts(expression) if not is_grouping for found in _SELECTOR.finditer(part)
    ]


def _narrowed(found: re.Match[str], matchers: str) -> str:
    name = found[0].partition("{")[0]
    own = [matcher for matcher in (found["matchers"] or "").split(", ") if matcher and matcher != GENERIC]
    return f"{name}{{{', '.join([matchers, *own])}}}"


def _parts(expression: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of the expression, and of each whether it is a list of labels, such as `by (job)`."""
    at = 0
    for grouping in _GROUPING.finditer(expression):
        yield expression[at : grouping.start()], False
        yield grouping[0], True
        at = grouping.end()
    yield expression[at:], False

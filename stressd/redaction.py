"""What must not be told: values that, once they are hidden, leave this process only as `MARK`.

Process-wide, as its log is. Logs, reports, the status, specimens and what workers tell their daemon go through here;
what a worker is told to connect with does not.
"""

import io
import json
import shlex
from collections.abc import Iterable
from html import escape
from typing import Any, Final, TextIO
from urllib.parse import quote, quote_plus

MARK: Final = "***"
SHORTEST: Final = 4  # what is shorter would be found in every other word, and is no secret
_SHORTEST_LINE: Final = 16

_hidden: set[str] = set()
_forms: tuple[str, ...] = ()  # longest first, so that none is found within another


def hide(values: Iterable[str]) -> None:
    """From now on, and for the whole process, replace these values, also as they are written in JSON, URLs and HTML.

    Of several lines, as a key file has them, each long one counts for itself too. Any thread may call this.
    """
    global _forms  # noqa: PLW0603 - one process, one log
    _hidden.update(value for value in values if len(value) >= SHORTEST)
    forms = {form for value in _hidden for part in _parts(value) for form in _written(part)}
    _forms = tuple(sorted(forms, key=len, reverse=True))


def hidden() -> list[str]:
    """Return what is hidden, for a child process to hide it too."""
    return sorted(_hidden)


def redacted(text: str) -> str:
    """Return the text without what is hidden."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MARK)
    return text


def redacted_tree(value: Any) -> Any:
    """Return a tree of mappings and lists with every text in it, keys too, without what is hidden."""
    if not _forms:
        return value
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted_tree(key): redacted_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_tree(item) for item in value]
    return value


class RedactedStream(io.TextIOBase):
    """A text stream that passes on what is written to it without what is hidden; a write for itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, redacted."""
        self._stream.write(redacted(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the descriptor below; what is written there directly is not redacted."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Say whether a person reads it."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True


def _parts(value: str) -> Iterable[str]:
    yield value
    if "\n" in value:
        yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE)


def _written(value: str) -> Iterable[str]:
    """Yield the ways in which a value is written where it stands amid other text."""
    yield value
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    yield from (quote(value), quote(value, safe=""), quote_plus(value), escape(value), shlex.quote(value).strip("'"))

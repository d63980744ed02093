"""YAML as plain data, with the line of every part.

Read is the core schema of YAML 1.2, so `1e6` is a number and a date is text, and less than that: a key stands
in a mapping once and is text, a file is one document, and tags are refused, so no file can name code.
`yes`, `no`, `on` and `off` are refused too: half of all YAML readers take them for text. Size, depth and the
number of values are bounded, aliases counted in full. Data is built from the parser's events.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

import yaml

MOST_BYTES: Final = 1 << 20
MOST_DEPTH: Final = 32
MOST_NODES: Final = 50_000

Path = tuple[str | int, ...]

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_AMBIGUOUS: Final = re.compile(r"(?i:yes|no|on|off)")
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")


class NotReadable(ValueError):  # noqa: N818 - it says what the text is
    """The text is no YAML as described above; `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        self.line = line
        super().__init__(what)


class Tree(NamedTuple):
    """What a text says, and the line (from 1) of each part. No two parts share a mapping or list."""

    value: Any
    lines: dict[Path, int]


def read(text: str) -> Tree:
    """Return what `text` says; NotReadable if it is no YAML, or more than what is read here."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise NotReadable(f"larger than {MOST_BYTES >> 20} MiB", 1)
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "a syntax error"
        raise NotReadable(f"no YAML: {what}", mark.line + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotReadable(f"no YAML: the character U+{error.character:04X} may not stand here", line) from error
    except NotReadable:
        raise
    except ValueError as error:  # an escape or a version beyond what Python's own types hold
        raise NotReadable(f"no YAML: {error}", 1) from error


def write(value: Any) -> str:
    """Return plain data as a YAML text that `read` reads back."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return text


class _Builder:
    """Makes data of a parser's events, once."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._lines: dict[Path, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def document(self) -> Tree:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return Tree(None, {})
        value = self._value(self._next(), ())
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            _refuse("a second document begins here; one is all a file may hold", after)
        return Tree(value, self._lines)

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _value(self, event: yaml.Event, path: Path) -> Any:
        self._lines.setdefault(path, _line(event))
        self._count(event, 1)
        if len(path) > MOST_DEPTH:
            _refuse(f"nested deeper than {MOST_DEPTH} levels", event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._nodes
        value = self._made(event, path)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = value, self._nodes - before
        return value

    def _made(self, event: yaml.Event, path: Path) -> Any:
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TEXT_TAGS:
            _refuse(f"the tag {_short(tag)} is not allowed; only plain data is read", event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - the parser yields nothing else here
        return _whole_text(event) if tag or event.style else _plain(event)

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                _refuse("a key must be plain text", event)
            key = _whole_text(event)
            here = (*path, key)
            if key in mapping:
                _refuse(f"the key {_short(key)} stands here twice, first in line {self._lines[here]}", event)
            self._lines[here] = _line(event)
            mapping[key] = self._value(self._next(), here)
        return mapping

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _alias(self, event: yaml.AliasEvent) -> Any:
        name = event.anchor or ""
        if name not in self._anchors:
            _refuse(f"*{_short(name)} stands for nothing that ended before it", event)
        value, nodes = self._anchors[name]
        self._count(event, nodes)
        return copy(value)

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            _refuse(f"more than {MOST_NODES} values, aliases counted in full", event)


def copy(value: Any) -> Any:
    """Return a copy that shares no mapping or list with `value`."""
    if isinstance(value, dict):
        return {key: copy(item) for key, item in value.items()}
    return [copy(item) for item in value] if isinstance(value, list) else value


def _plain(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _AMBIGUOUS.fullmatch(text):
        _refuse(f"{text} is text to some and true or false to others; write true, false or '{text}'", event)
    try:
        if _INT.fullmatch(text):
            return int(text, 0) if text[1:2] in ("o", "x") else int(text)
    except ValueError:
        _refuse("a number of too many digits", event)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return _whole_text(event)


def _whole_text(event: yaml.ScalarEvent) -> str:
    """Return the text, its surrogate pairs (JSON escapes come in them) put together; refuse half a pair."""
    text: str = event.value
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        _refuse("half of a surrogate pair is no character", event)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _refuse(what: str, event: yaml.Event) -> NoReturn:
    raise NotReadable(what, _line(event))


def _short(text: str) -> str:
    return text.removeprefix("tag:yaml.org,2002:")[:60]


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the texts that `read` would take for something else; never writes an alias."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Other styles fold these breaks into a space.
    style = '"' if re.search("[\x85\u2028\u2029]", text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
for _kind, _pattern in (
    ("null", _NULL),
    ("bool", _BOOL),
    ("bool", _AMBIGUOUS),
    ("int", _INT),
    ("float", _FLOAT),
):
    # PyYAML looks with match, not fullmatch.
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern.pattern})$"), None)

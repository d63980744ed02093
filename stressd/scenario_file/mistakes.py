"""Words for mistakes in a scenario: the value, what is wrong with it, the way out."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from stressd.scenario import Scenario
from stressd.scenario_file.yaml_tree import Path
from stressd.spelling import suggest

# The way out where a bound alone does not show it, by the field's path without its numbers.
_HINTS: Final = {
    "name": "every scenario has one",
    "duration_s": "leave it out to run until told to stop",
    "pools.name": "every pool has one",
    "pools.rate": "use 0 to pause",
    "pools.mix": "write how often each operation is drawn, as in {save: 10, read: 90}",
    "pools.stages.duration_s": "write how long it takes to get there; 0 is at once",
    "pools.stages.target": "write operations a second where the pool has a rate, else lanes at work",
    "phases.name": "every phase has one",
}


def dotted(path: Path) -> str:
    """Return the path as people write it: `pools[1].rate`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def path_of(error: ErrorDetails) -> Path:
    """Return where the mistake is, without the parts that only pydantic knows."""
    return tuple(part for part in error["loc"] if part != "[key]")


def wording(error: ErrorDetails) -> str:
    """Return what is wrong, in words; the place is not in it, nor is any value of a target's options."""
    words = _WORDS.get(error["type"], _as_told)
    return words(error, path_of(error))


def _missing(_error: ErrorDetails, path: Path) -> str:
    if isinstance(path[-1], int):
        return "a value is missing here"
    return f"is missing; {_hint(path, 'write it')}"


def _unknown_key(_error: ErrorDetails, path: Path) -> str:
    return f"there is no such key; {suggest(str(path[-1]), keys_at(path[:-1]))}"


def _unknown_choice(error: ErrorDetails, _path: Path) -> str:
    choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
    return f"{_shown(error)} is not known; {suggest(str(error['input']), choices)}"


def _too_low(error: ErrorDetails, path: Path) -> str:
    bounds = error["ctx"]
    if "gt" in bounds:
        return f"{_shown(error)} is not above {bounds['gt']:g}; {_hint(path, 'write more')}"
    return f"{_shown(error)} is below {bounds['ge']:g}; {_hint(path, 'that is the least')}"


def _too_high(error: ErrorDetails, _path: Path) -> str:
    if "lt" in error["ctx"]:
        return f"{_shown(error)} is not below {error['ctx']['lt']:g}; write less"
    return f"{_shown(error)} is above {error['ctx']['le']:g}; that is the most"


def _bad_name(error: ErrorDetails, _path: Path) -> str:
    dash = "_ or -" if "_-" in error["ctx"]["pattern"] else "_"
    return f"{_shown(error)} is no name; write a few lower-case letters, digits and {dash}, a letter first"


def _bad_feature_name(error: ErrorDetails, path: Path) -> str:
    if error["ctx"]["pattern"].startswith("^[a-z]"):
        return _bad_name(error, path)
    return f"{_shown(error)} is no name; write a few letters, digits and . _ -, no sign first"


def _needs(what: str) -> Callable[[ErrorDetails, Path], str]:
    return lambda error, _path: f"{_shown(error)} is {_kind(error['input'])}; {what}"


def _as_told(error: ErrorDetails, _path: Path) -> str:
    return error["msg"].removeprefix("Value error, ")


_A_NUMBER: Final = _needs("a number is needed")
_A_WHOLE_NUMBER: Final = _needs("a whole number is needed")
_A_LIST: Final = _needs("a list is needed, as in [a, b]")
_A_MAPPING: Final = _needs("a mapping is needed, as in {key: value}")
_TEXT: Final = _needs("text is needed; put it in quotes if it is meant as text")

_WORDS: Final[Mapping[str, Callable[[ErrorDetails, Path], str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "literal_error": _unknown_choice,
    "greater_than": _too_low,
    "greater_than_equal": _too_low,
    "less_than": _too_high,
    "less_than_equal": _too_high,
    "too_long": lambda error, _path: f"{len(error['input'])} are too many; {error['ctx']['max_length']} are the most",
    "finite_number": lambda error, _path: f"{_shown(error)} is not finite; write a number",
    "float_type": _A_NUMBER,
    "int_type": _A_WHOLE_NUMBER,
    "int_from_float": _A_WHOLE_NUMBER,
    "string_type": _TEXT,
    "string_too_short": lambda _error, _path: "is empty",
    "string_pattern_mismatch": _bad_feature_name,
    "tuple_type": _A_LIST,
    "model_type": _A_MAPPING,
    "dict_type": _A_MAPPING,
}


def keys_at(path: Path) -> tuple[str, ...]:
    """Return the keys that a scenario may have at this place; none where anything, or nothing, goes."""
    part: Any = Scenario
    for step in path:
        part = _inner(part, step)
    if not _is_model(part):
        return ()
    return tuple(field.alias or name for name, field in part.model_fields.items())


def _inner(part: Any, step: str | int) -> Any:
    if not _is_model(part):
        return _item(part)
    fields = {field.alias or name: field.annotation for name, field in part.model_fields.items()}
    return _model(fields.get(step))


def _item(annotation: Any) -> Any:
    """Return the model of a container's items, `Pool` of `tuple[Pool, ...]`; None if they are plain."""
    return next((inner for inner in get_args(annotation) if _is_model(inner)), None)


def _model(annotation: Any) -> Any:
    """Return the model that an optional part, `Mix | None`, is of if it is there; anything else as it is."""
    return _item(annotation) if type(None) in get_args(annotation) else annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _hint(path: Path, otherwise: str) -> str:
    return _HINTS.get(".".join(part for part in path if isinstance(part, str)), otherwise)


def _shown(error: ErrorDetails) -> str:
    value = error["input"]
    if isinstance(value, dict | list | tuple):
        return "this"
    if isinstance(value, int) and value.bit_length() > 160:
        return "a number of so many digits"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 50 else f"{text[:47]}…"


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    kinds = {bool: "a truth value", str: "text", int: "a number", float: "a number", dict: "a mapping"}
    return kinds.get(type(value), "a list")

"""Finds and reads a scenario: a file, or one that comes with stressd."""

import os
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, NamedTuple

from stressd.errors import ScenarioError, UsageError
from stressd.scenario_file.yaml_tree import MOST_BYTES, NotReadable, Path, Tree, read
from stressd.spelling import suggest

_FILE_ENDINGS: Final = (".yaml", ".yml", ".json")
_BUILTIN_ORDER: Final = ("soak", "acceptance", "smoke")  # what most come for; the others follow by name


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario as it is written, not yet validated.

    `source` is what messages call it, `lines` the line (from 1) on which each part of `data` begins.
    """

    source: str
    data: dict[str, Any]
    lines: dict[Path, int]


class Builtin(NamedTuple):
    """A scenario that comes with stressd."""

    name: str
    description: str


def load(name_or_path: str) -> Loaded:
    """Return the scenario file if the argument has a slash or ends in .yaml, .yml, .json, else the built-in.

    UsageError if there is none, ScenarioError with the line if it is no YAML mapping.
    """
    if "/" in name_or_path or name_or_path.endswith(_FILE_ENDINGS):
        return _loaded(name_or_path, _text(name_or_path), as_json=name_or_path.endswith(".json"))
    text = _builtin_texts().get(name_or_path)
    if text is None:
        raise UsageError(_unknown(name_or_path))
    return _loaded(f"{name_or_path} (built in)", text)


def builtins() -> tuple[Builtin, ...]:
    """Return what comes with stressd, the best known first."""
    loaded = {name: _loaded(name, text).data for name, text in _builtin_texts().items()}
    first = [name for name in _BUILTIN_ORDER if name in loaded]
    names = [*first, *sorted(loaded.keys() - set(first))]
    return tuple(Builtin(name, str(loaded[name].get("description", ""))) for name in names)


def _builtin_texts() -> dict[str, str]:
    folder = resources.files("stressd").joinpath("builtin")
    return {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }


def _unknown(name: str) -> str:
    found = f"; the file of that name is meant by ./{name}" if os.path.isfile(name) else ""
    return (
        f"there is no scenario {name!r}: {suggest(name, _builtin_texts())}{found} "
        "(stressd scenarios lists them; a file's name ends in .yaml or has a slash)"
    )


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path}: larger than {MOST_BYTES >> 20} MiB, which no scenario is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScenarioError(path, [f"{path}:{line}: not UTF-8; save the file in that encoding"]) from error


def _loaded(source: str, text: str, *, as_json: bool = False) -> Loaded:
    # JSON allows tabs between its parts, YAML does not; in a JSON text none can stand inside a string.
    try:
        value, lines = read(text.replace("\t", " ") if as_json else text)
    except NotReadable as error:
        raise ScenarioError(source, [f"{source}:{error.line}: {error}"]) from error
    if not isinstance(value, dict):
        what = "is empty" if value is None else "is no mapping"
        raise ScenarioError(source, [f"{source}: {what}; a scenario looks like stressd validate soak prints it"])
    return Loaded(source, value, lines)


def value_of(text: str) -> Any:
    """Return what a `KEY=VALUE`'s value says as YAML; NotReadable if it is none."""
    tree: Tree = read(text)
    return tree.value

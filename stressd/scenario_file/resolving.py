"""Makes a scenario of what is written and what the command line changes; tells every mistake."""

import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from stressd.errors import ScenarioError
from stressd.options import Overrides, Setting
from stressd.scenario import Scenario
from stressd.scenario_file import shaping
from stressd.scenario_file.loading import Loaded, value_of
from stressd.scenario_file.mistakes import dotted, keys_at, path_of, wording
from stressd.scenario_file.yaml_tree import NotReadable, Path, copy, write
from stressd.spelling import suggest

_KEY: Final = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[[0-9]{1,6}\])*")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def resolve(loaded: Loaded, overrides: Overrides | None = None) -> Scenario:
    """Return the scenario as it would run; ScenarioError with every mistake if it cannot.

    First `--target` (another target does not get the scenario's options), `--set` and `--target-option`
    change what is written. Then it is validated. Then `--processes`, `--threads`, `--rate` and `--duration`
    shape it.
    """
    overrides = overrides or Overrides()
    draft = _Draft(loaded)
    draft.change(overrides)
    scenario = draft.validated()
    try:
        return shaping.shaped(scenario, overrides)
    except shaping.CannotShapeError as error:
        raise ScenarioError(loaded.source, [str(error)]) from error
    except ValidationError as error:
        mistakes = [f"{shaping.option_of(path_of(e))}: {wording(e)}" for e in error.errors()]
        raise ScenarioError(loaded.source, mistakes) from error


def dump(scenario: Scenario) -> str:
    """Return the scenario as YAML that resolves to the same; what points at secrets stays as written."""
    data = scenario.model_dump(by_alias=True)
    options = data["target"].pop("options")
    plain = _plain(data, short_number)
    plain["target"]["options"] = _plain(options, lambda value: value)
    return write(plain)


def _plain(value: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, leaf) for key, item in value.items()}
    return [_plain(item, leaf) for item in value] if isinstance(value, list | tuple) else leaf(value)


def short_number(value: Any) -> Any:
    """Return a whole float as an int, which is how people write it; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


class _MisplacedError(Exception):
    """A `--set` names a place that is not there."""


class _Draft:
    """A scenario on its way: plain data, and where each part of it comes from."""

    def __init__(self, loaded: Loaded) -> None:
        self._source = loaded.source
        self._data = copy(loaded.data)
        self._lines = dict(loaded.lines)
        self._settings: dict[Path, str] = {}
        self._mistakes: list[tuple[float, str]] = []

    def change(self, overrides: Overrides) -> None:
        if overrides.target is not None:
            self._change_target(overrides.target)
        for setting in overrides.settings:
            self._set(setting, lambda: _steps(setting.key), explain=True)  # noqa: B023 - called at once
        for option in overrides.target_options:
            self._set(option, lambda: ["target", "options", option.key], explain=False)  # noqa: B023 - same

    def validated(self) -> Scenario:
        scenario = None
        try:
            scenario = Scenario.model_validate(self._data)
        except ValidationError as error:
            for mistake in error.errors():
                self._add(path_of(mistake), wording(mistake))
        if scenario is None or self._mistakes:
            self._raise()
        return scenario

    def _raise(self) -> NoReturn:
        lines = [text for _, text in sorted(self._mistakes, key=lambda mistake: mistake[0])]
        raise ScenarioError(self._source, lines)

    def _change_target(self, name: str) -> None:
        present = self._data.get("target", {})
        if not isinstance(present, dict) or present.get("name", "embedded") != name:
            self._data["target"] = {"name": name}
            self._from(("target",), "--target")

    def _set(self, setting: Setting, steps: Callable[[], list[str | int]], *, explain: bool) -> None:
        origin = f"{setting.origin} {setting.key}"
        try:
            value = value_of(setting.value)
            self._from(_put(self._data, steps(), value), origin)
        except _MisplacedError as error:
            self._mistakes.append((float("inf"), f"{origin}: {error}"))
        except NotReadable as error:
            # An option of the target may be a secret: nothing of it is told.
            what = str(error) if explain else "the value cannot be read as YAML"
            self._mistakes.append((float("inf"), f"{origin}: {what}; put text in quotes: KEY='\"…\"'"))

    def _from(self, path: Path, origin: str) -> None:
        """Remember that everything from `path` on was set by `origin`."""
        for places in (self._lines, self._settings):
            for beneath in [other for other in places if other[: len(path)] == path]:
                del places[beneath]
        self._settings[path] = origin

    def _add(self, path: Path, what: str) -> None:
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            if prefix in self._settings:
                inside = f"{dotted(path)}: " if length < len(path) else ""
                self._mistakes.append((float("inf"), f"{self._settings[prefix]}: {inside}{what}"))
                return
            if prefix in self._lines and path:
                line = self._lines[prefix]
                self._mistakes.append((line, f"{self._source}:{line}: {dotted(path)}: {what}"))
                return
        self._mistakes.append((0, f"{self._source}: {dotted(path)}{': ' if path else ''}{what}"))


def _steps(key: str) -> list[str | int]:
    if not _KEY.fullmatch(key):
        raise _MisplacedError("is no place in a scenario; write KEY, KEY.KEY or KEY[0].KEY")
    return [int(number) if number else name for name, number in _STEP.findall(key)]


def _put(data: dict[str, Any], steps: list[str | int], value: Any) -> Path:
    """Put `value` where `steps` lead, through defaults where nothing is written; return the path."""
    node: Any = data
    path: Path = ()
    for step in steps[:-1]:
        path = (*path, _position(node, step, path))
        if isinstance(node, dict) and node.get(path[-1]) is None:
            node[path[-1]] = _default(path)
        node = node[path[-1]]
        if not isinstance(node, dict | list):
            raise _MisplacedError(f"{dotted(path)} is one value and has no parts")
    path = (*path, _position(node, steps[-1], path))
    node[path[-1]] = value
    return path


def _position(node: dict[str, Any] | list[Any], step: str | int, path: Path) -> str | int:
    """Return the key, or the number of the item, that `step` means here."""
    if isinstance(node, dict):
        known = keys_at(path)
        if known and step not in known:
            raise _MisplacedError(f"there is no such key; {suggest(str(step), known)}")
        return str(step)
    if isinstance(step, int):
        if step >= len(node):
            raise _MisplacedError(f"{dotted(path)} has {len(node)} items, counted from 0")
        return step
    names = [item.get("name") if isinstance(item, dict) else None for item in node]
    if step not in names:
        known_names = [name for name in names if isinstance(name, str)]
        raise _MisplacedError(f"{dotted(path)} has no item of that name; {suggest(step, known_names)}")
    return names.index(step)


def _default(path: Path) -> Any:
    """Return what a scenario has at this place if nothing is written there."""
    node: Any = _plain(Scenario.model_construct(name="").model_dump(by_alias=True), lambda value: value)
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    if node is None and not keys_at(path) and path[:2] != ("target", "options"):
        raise _MisplacedError(f"{dotted(path)} is one value and has no parts")
    return {} if node is None else node

"""What a running soak can take over from a scenario that is read anew: what changed, or why it cannot be. Pure."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stressd.scenario import Scenario
from stressd.scenario_file.mistakes import dotted

Path = tuple[str | int, ...]

# What may change, by its path; a star stands for one step.
_MAY_CHANGE: Final = (
    ("description",),
    ("pools", "*", "rate"),
    ("pools", "*", "think_time_s"),
    ("pools", "*", "stages"),
    ("pools", "*", "mix", "*"),
    ("criteria", "thresholds", "*"),
    ("slo", "*", "pass"),
    ("slo", "*", "fail"),
    ("slo", "*", "abort_after"),
)
_SIZES: Final = (("pools", "*", "processes"), ("pools", "*", "threads"))
_NAMED: Final = ("pools", "slo")  # lists whose items are known by name
_WAY_OUT: Final = "stop stressd and start it again to have that"


class Reload(NamedTuple):
    """The step from one scenario to another: what changes, a line each, or the mistakes that forbid all of it."""

    changes: tuple[str, ...]
    mistakes: tuple[str, ...]


def reload_of(old: Scenario, new: Scenario) -> Reload:
    """Compare what runs with what was read anew."""
    changes, mistakes = [], []
    for path, before, after in _differences(_plain(old), _plain(new)):
        step, mistake = f"{dotted(path)}: {_shown(before)} -> {_shown(after)}", _mistake(path, old, before, after)
        if mistake is None:
            changes.append(step)
        else:
            mistakes.append(f"{step}: {mistake}; {_WAY_OUT}")
    return Reload(tuple(changes), tuple(mistakes))


def _mistake(path: Path, old: Scenario, before: Any, after: Any) -> str | None:
    if path[0] == "pools" and len(path) > 2 and old.phases:
        return "phases say what the pools do when, and have begun"
    if any(_fits(path, size) for size in _SIZES):
        return "a pool has the lanes that it was started with; change its rate or its stages instead"
    if not any(_fits(path, allowed) for allowed in _MAY_CHANGE):
        return "is fixed at the start"
    if path[-1] == "rate" and None in (before, after):
        return "the model, open or closed, is fixed at the start"
    return None


def _fits(path: Path, pattern: tuple[str, ...]) -> bool:
    return len(path) >= len(pattern) and all(want in ("*", step) for want, step in zip(pattern, path, strict=False))


def _plain(scenario: Scenario) -> dict[str, Any]:
    data: dict[str, Any] = scenario.model_dump(mode="json", by_alias=True)
    return data | {name: {item["name"]: item for item in data[name]} for name in _NAMED}


def _differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict) and path[-1:] != ("thresholds",):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                yield (*path, key), old.get(key), new.get(key)
    elif old != new:
        yield path, old, new


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

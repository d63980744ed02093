"""From a target's name to the target: the built-in ones, and anyone's `module:factory`."""

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from stressd.errors import TargetError
from stressd.targets.protocol import Abilities, Target, TargetSpec, abilities_of

BUILT_IN: Final = {
    "embedded": "stressd.targets.embedded:EmbeddedTarget",
    "memory": "stressd.targets.memory:MemoryTarget",
    "noop": "stressd.targets.noop:NoopTarget",
}
_METHODS: Final = ("setup", "teardown", "open")


def load_target(spec: TargetSpec) -> Target:
    """Import and build the target; TargetError says what is wrong with its name, module, class or options.

    Modules are looked for in the current folder first, then where Python looks.
    """
    target = _build(_factory(spec.name), spec)
    if missing := [name for name in _METHODS if not callable(getattr(target, name, None))]:
        raise TargetError(
            f"target {spec.name}: {type(target).__name__} has no {', '.join(missing)}(); a target has all of them"
        )
    return target  # type: ignore[no-any-return]  # its methods were just checked


def abilities_of_name(name: str) -> Abilities:
    """Return what the target of this name declares, without building it; TargetError if it cannot be imported."""
    return abilities_of(_factory(name))


def with_folder(spec: TargetSpec, folder: str) -> TargetSpec:
    """Return the spec, given `folder` to keep its files in, if it is a target that asks for one and was given none."""
    option = abilities_of(_factory(spec.name)).scratch_option
    if option is None or option in spec.options:
        return spec
    return TargetSpec(spec.name, {option: folder} | spec.options)


def _factory(name: str) -> Callable[..., Any]:
    module_name, colon, attribute = BUILT_IN.get(name, name).partition(":")
    if not colon:
        near = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"there are {', '.join(BUILT_IN)}, and module:factory for your own"
        )
        raise TargetError(f"target {name}: unknown; {hint}")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module_name:
            raise TargetError(f"target {name}: no module {module_name} in {here} or on PYTHONPATH") from error
        raise TargetError(f"target {name}: importing {module_name} failed: {_named(error)}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise TargetError(f"target {name}: module {module_name} has no {attribute} to call")
    return factory  # type: ignore[no-any-return]  # anything callable will do


def _build(factory: Callable[..., Any], spec: TargetSpec) -> Any:
    try:
        return factory(**spec.options)
    except Exception as error:
        given = f" with options {', '.join(sorted(spec.options))}" if spec.options else ""
        raise TargetError(f"target {spec.name}: cannot be built{given}: {_named(error)}") from error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

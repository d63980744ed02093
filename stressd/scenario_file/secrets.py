"""Secrets of a target's options: `${NAME}` is the environment's, `file:PATH` what stands in a file.

In scenario, run.json, logs and reports they stay as written; only the target is given what they stand for.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from stressd.errors import UsageError

_MOST_BYTES: Final = 64 * 1024
_VARIABLE: Final = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_secrets(options: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the options with every `${NAME}` (anywhere in a text) and every `file:PATH` replaced.

    `$${` stands for `${` itself; `file://…` is an address and stays. A file's last line break does not count.
    UsageError names each variable and file that is missing, never a value.
    """
    missing: list[str] = []
    variables = os.environ if environ is None else environ
    expanded = {name: _expanded(value, name, variables, missing) for name, value in options.items()}
    if missing:
        raise UsageError("\n".join(missing))
    return expanded


def _expanded(value: Any, place: str, variables: Mapping[str, str], missing: list[str]) -> Any:
    if isinstance(value, str):
        return _expanded_text(value, place, variables, missing)
    if isinstance(value, Mapping):
        return {key: _expanded(item, f"{place}.{key}", variables, missing) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_expanded(item, f"{place}[{i}]", variables, missing) for i, item in enumerate(value)]
    return value


def _expanded_text(text: str, place: str, variables: Mapping[str, str], missing: list[str]) -> str:
    if text.startswith("file:") and not text.startswith("file://"):
        return _content(text.removeprefix("file:"), place, missing)

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if name not in variables:
            missing.append(f"target option {place}: the environment variable {name} is not set")
        return variables.get(name, "")

    return _VARIABLE.sub(replacement, text)


def _content(path: str, place: str, missing: list[str]) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            missing.append(f"target option {place}: {path} is larger than {_MOST_BYTES >> 10} KiB; no secret is")
            return ""
        return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        missing.append(f"target option {place}: {path} is not UTF-8 text")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        missing.append(f"target option {place}: {path} cannot be read: {reason}")
    return ""

"""Secrets of a target's options: `${NAME}` is the environment's, `file:PATH` what stands in a file.

In scenario, run.json, logs and reports they stay as written; only the target is given what they stand for. A secret
that was written out all the same, under a name such as `password` or within a URL, is left out there.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stressd.errors import UsageError
from stressd.redaction import MARK, hide

_MOST_BYTES: Final = 64 * 1024
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_.-])(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api_?key|(?:access|account|private|secret)_key)"
    r"(?:$|[_.-])",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(?<=://)([^/?#@:\s]*):([^/?#@\s]+)(?=@)")
# Of the machine and its user, not secret: hidden, they would make every path in a log unreadable.
_PUBLIC: Final = frozenset(("HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER"))
_VARIABLE: Final = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_secrets(options: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the options with every `${NAME}` (anywhere in a text) and every `file:PATH` replaced.

    `$${` stands for `${` itself; `file://…` is an address and stays. A file's last line break does not count.
    UsageError names each variable and file that is missing, never a value. What is filled in, and what is a secret by
    its name, is hidden from here on in whatever this process tells.
    """
    hide(_literals(options, ""))
    missing: list[str] = []
    variables = os.environ if environ is None else environ
    expanded = {name: _expanded(value, name, variables, missing) for name, value in options.items()}
    if missing:
        raise UsageError("\n".join(missing))
    return expanded


def without_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as they may be kept and shown: secrets that were written out are replaced by `MARK`."""
    return {name: _kept(value, name) for name, value in options.items()}


def _kept(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _kept(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(item, name) for item in value]
    if not isinstance(value, str | int | float) or isinstance(value, bool) or _is_reference(value):
        return value
    return MARK if _SECRET_NAME.search(name) else _without_userinfo(value)


def _without_userinfo(value: str | float) -> str | float:
    return _USERINFO.sub(rf"\1:{MARK}", value) if isinstance(value, str) else value


def _is_reference(value: str | float) -> bool:
    return isinstance(value, str) and (_VARIABLE.search(value) is not None or _is_file(value))


def _is_file(text: str) -> bool:
    return text.startswith("file:") and not text.startswith("file://")


def _literals(value: Any, name: str) -> Iterator[str]:
    """Yield the secrets that are written out in an option's value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _literals(item, str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _literals(item, name)
    elif _kept(value, name) == MARK:
        yield str(value)
    elif isinstance(value, str) and not _is_reference(value):
        yield from (match[2] for match in _USERINFO.finditer(value))


def _expanded(value: Any, place: str, variables: Mapping[str, str], missing: list[str]) -> Any:
    if isinstance(value, str) and MARK in value:
        missing.append(
            f"target option {place}: it is left out of what is kept of a run; put ${{NAME}} or file:PATH there"
        )
    if isinstance(value, str):
        return _expanded_text(value, place, variables, missing)
    if isinstance(value, Mapping):
        return {key: _expanded(item, f"{place}.{key}", variables, missing) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_expanded(item, f"{place}[{i}]", variables, missing) for i, item in enumerate(value)]
    return value


def _expanded_text(text: str, place: str, variables: Mapping[str, str], missing: list[str]) -> str:
    if _is_file(text):
        return _content(text.removeprefix("file:"), place, missing)

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if name not in variables:
            missing.append(f"target option {place}: the environment variable {name} is not set")
        if name not in _PUBLIC:
            hide([variables.get(name, "")])
        return variables.get(name, "")

    return _VARIABLE.sub(replacement, text)


def _content(path: str, place: str, missing: list[str]) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            missing.append(f"target option {place}: {path} is larger than {_MOST_BYTES >> 10} KiB; no secret is")
            return ""
        secret = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        missing.append(f"target option {place}: {path} is not UTF-8 text")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        missing.append(f"target option {place}: {path} cannot be read: {reason}")
    else:
        hide([secret])
        return secret
    return ""

"""Lengths of time as people write them: `180`, `20ms`, `90s`, `3m`, `24h`, `2d`."""

import math
import re
from typing import Final

_UNITS_S: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|)")

# For a JSON Schema: the texts that `parse_s` reads, and those of them that say more than 0.
PATTERN: Final = rf"^\s*{_DURATION.pattern}\s*$"
PATTERN_ABOVE_0: Final = r"^\s*([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)\s*(ms|s|m|h|d|)\s*$"


def parse_s(text: str) -> float:
    """Return the seconds that `text` says; ValueError with the way to write it if it says none."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"{text[:40]!r} is no length of time; write 180, 20ms, 90s, 3m or 24h")
    return seconds


def text(seconds: float) -> str:
    """Return a length of time as `parse_s` reads it, in the largest unit that leaves a whole number."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS_S[unit] and (seconds / _UNITS_S[unit]).is_integer():
            return f"{seconds / _UNITS_S[unit]:g}{unit}"
    return f"{1000 * seconds:g}ms" if seconds < 1 else f"{seconds:g}s"

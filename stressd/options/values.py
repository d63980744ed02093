"""Values of options: text in, value out; a ValueError says what is wrong with the text and the way out."""

import re
from collections.abc import Callable
from typing import Final

from stressd import durations
from stressd.options.records import Address

REPORT_ENDINGS: Final = (".json", ".html", ".md", ".xml")
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")


def duration_s(text: str) -> float:
    """Take how long a run is."""
    seconds = durations.parse_s(text)
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time to run; leave it out to run until told to stop")
    return seconds


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return the conversion of whole numbers between two."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text[:40]!r} is no whole number from {least} to {most}")
        return int(text)

    return convert


def rate(text: str) -> float:
    """Take operations a second."""
    if not re.fullmatch(r"([0-9]+\.?|[0-9]*\.[0-9]+)(e[0-9]{1,2})?", text) or not float(text) <= 1_000_000:
        raise ValueError(f"{text[:40]!r} is no number from 0 to 1000000; use 0 to pause")
    return float(text)


def some_text(text: str) -> str:
    """Take a name, a file, a folder."""
    if not text.strip() or "\0" in text:
        raise ValueError("nothing stands there")
    return text


def address(text: str) -> Address:
    """Take HOST:PORT, an IPv6 host in brackets."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s:\[\]/]+)):([0-9]{1,5})", text)
    if not match or int(match[3]) > 65_535:
        ways = "127.0.0.1:9464, [::1]:9464, or port 0 for a free one"
        raise ValueError(f"{text[:60]!r} is no HOST:PORT; write {ways}")
    return Address(match[1] or match[2], int(match[3]))


def report(text: str) -> str:
    """Take a file whose ending says what kind of report it is."""
    if not text.endswith(REPORT_ENDINGS):
        raise ValueError(f"{text[:60]!r} is no kind of report; end it in {', '.join(REPORT_ENDINGS)}")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the conversion of a closed set, in any case."""

    def convert(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"{text[:40]!r} is none of {', '.join(choices)}")
        return text.lower()

    return convert


def yes_or_no(text: str) -> bool:
    """Take the text of a switch's variable."""
    if text.lower() not in _YES + _NO:
        raise ValueError(f"{text[:40]!r} is neither yes nor no; write 1 or 0")
    return text.lower() in _YES


def key_value(text: str) -> tuple[str, str]:
    """Take KEY=VALUE; what stands there is not told, it may be a secret."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ValueError("KEY=VALUE is needed")
    return key.strip(), value

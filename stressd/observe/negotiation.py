"""What a client asks for in `Accept` and `Accept-Encoding`; an item that cannot be read is passed over."""

from collections.abc import Iterator
from typing import Final

_OPENMETRICS: Final = "application/openmetrics-text"
_VERSIONS: Final = ("", "0.0.1", "1.0.0")


def wants_openmetrics(accept: str) -> bool:
    """Say whether OpenMetrics is asked for, in a version there is, at least as much as plain text."""
    openmetrics = text = 0.0
    for name, parameters, quality in _items(accept):
        if name == _OPENMETRICS and parameters.get("version", "") in _VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif name == "text/plain":
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Say whether the client takes gzip."""
    qualities = {name: quality for name, _, quality in _items(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _items(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield name, parameters and quality (RFC 9110, 12.4.2) of each item that can be read."""
    for item in header.lower().split(","):
        name, *rest = (part.strip() for part in item.split(";"))
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (p.partition("=") for p in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            yield name, parameters, quality

"""What a client asks and what it is answered, as plain records: routes know no sockets, connections no routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body. `path` is as sent, without the query; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """Return a header's value, several of one name joined by commas; empty where there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; length, date and the security headers are added where it is sent."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def plain(cls, status: int, text: str, *headers: tuple[str, str]) -> "Answer":
        """Return a line of text."""
        return cls(status, f"{text}\n".encode(), headers=headers)

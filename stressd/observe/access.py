"""Who may ask: whoever knows the token of a file; and what may be changed only from where a person stands."""

import binascii
import hashlib
import hmac
import ipaddress
import logging
import os
import socket
from base64 import b64decode
from typing import Final

from stressd.errors import UsageError
from stressd.observe.messages import Request

_log = logging.getLogger(__name__)

SHORTEST_TOKEN: Final = 16
_MOST_BYTES: Final = 4096


class Token:
    """The secret of a file; one that is changed counts from the next request on. For one thread.

    Only its digest is kept, so that no message and no core file can show it. A file that cannot be read any more, or
    holds no token, is logged once, and the token before it goes on counting: rotating it must lock nobody out.
    UsageError if it is unfit at the start.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._seen = _identity(path)
            self._digest = _digest_of(path)
        except (OSError, ValueError) as error:
            raise UsageError(f"--token-file {path}: {_reason(error)}") from error

    def admits(self, request: Request, *, bearer_only: bool = False) -> bool:
        """Say whether the request brings the token, as a bearer or as a password; compared in constant time."""
        given = _given(request.header("authorization"), bearer_only=bearer_only)
        self._look_again()
        return given is not None and hmac.compare_digest(hashlib.sha256(given).digest(), self._digest)

    def _look_again(self) -> None:
        try:
            seen = _identity(self._path)
            if seen == self._seen:
                return
            self._seen = seen
            self._digest = _digest_of(self._path)
        except (OSError, ValueError) as error:
            if self._seen is not None:
                _log.error("--token-file %s: %s; the token before it goes on counting", self._path, _reason(error))
            self._seen = None


def from_where_it_may(request: Request, scheme: str, own_host: str) -> bool:
    """Say whether a request that changes something comes from no foreign web page.

    `Host` must be an address, a name without a dot, or this machine's: a page whose own name was made to point here
    (DNS rebinding) sends its own. `Origin`, which browsers add, must be this server's, and `Sec-Fetch-Site` agree.
    """
    host = request.header("host")
    origin = request.header("origin")
    site = request.header("sec-fetch-site") or "none"
    return (
        _is_ours(_name_of(host), own_host) and origin in ("", f"{scheme}://{host}") and site in ("none", "same-origin")
    )


def _is_ours(name: str, own_host: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name in (own_host.lower(), socket.getfqdn().lower()))
    return True


def _name_of(host: str) -> str:
    """Return the host of `HOST:PORT` in lower case, without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _given(authorization: str, *, bearer_only: bool) -> bytes | None:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("latin-1")
    if scheme.lower() == "basic" and not bearer_only:  # what a browser can send, when it has asked its user
        try:
            return b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    return None


def _identity(path: str) -> tuple[int, ...] | None:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _digest_of(path: str) -> bytes:
    with open(path, "rb") as file:
        token = file.read(_MOST_BYTES + 1).strip()
    if not SHORTEST_TOKEN <= len(token) <= _MOST_BYTES:
        raise ValueError(
            f"it holds {len(token)} bytes, from {SHORTEST_TOKEN} to {_MOST_BYTES} are needed; "
            "`openssl rand -hex 32` makes a good one"
        )
    return hashlib.sha256(token).digest()


def _reason(error: Exception) -> str:
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)

"""The HTTP side: metrics, health and the status page, served by a thread of the daemon."""

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final

from stressd.errors import DaemonError, UsageError
from stressd.observe.access import Token
from stressd.observe.connections import Connection, Door
from stressd.observe.routes import Routes, Sources

_log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 128
# So many are let in between two looks at those who are inside: their requests are not kept waiting by newcomers, ...
_AT_ONCE: Final = 16
_QUEUED: Final = 1024  # ... who wait here meanwhile: what the kernel turns away comes again a second later
_START_S: Final = 10.0
_STOP_S: Final = 5.0
_FAREWELL_S: Final = 2.0
_BLINK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how to listen: port 0 takes a free one; with `tls_cert` (a chain, PEM) over TLS.

    `tls_key` is the certificate's key where it stands in a file of its own. `token_file` holds what a client must know.
    """

    host: str = "127.0.0.1"
    port: int = 9464
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None


class ObserveServer:
    """Serves `sources` between `start` and `stop`, which one thread calls. UsageError for what cannot be used."""

    def __init__(self, listening: Listening, sources: Sources) -> None:
        self._listening = listening
        self._tls = _tls(listening)
        self._scheme = "http" if self._tls is None else "https"
        self._token = Token(listening.token_file) if listening.token_file is not None else None
        self._routes = Routes(sources, self._token, self._scheme, listening.host)
        self._door = Door(MAX_CONNECTIONS)
        self._serving = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._failures: set[str] = set()

    def start(self) -> str:
        """Begin to serve and return where, `http://127.0.0.1:9464`; UsageError if the address cannot be had."""
        listener = _listen(self._listening.host, self._listening.port)
        address = _shown(listener.getsockname())
        self._warn(listener.getsockname()[0], address)
        self._thread = Thread(target=lambda: asyncio.run(self._serve(listener)), name="observe", daemon=True)
        self._thread.start()
        if not self._serving.wait(_START_S):
            self.stop()
            raise DaemonError(f"the HTTP server at {address} did not start within {_START_S:g} s")
        return f"{self._scheme}://{address}"

    def stop(self) -> None:
        """Finish the answers under way and close the port; again, and before `start`, it does nothing."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            _log.warning("the HTTP server is still busy; it ends with the daemon")
        self._loop = self._thread = None

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._log_once)
        self._stopping = asyncio.Event()
        server = await loop.create_server(
            lambda: Connection(self._door, self._routes.answer, self._tls), sock=listener, backlog=_AT_ONCE
        )
        listener.listen(_QUEUED)  # after asyncio has: it takes its backlog for both
        self._loop = loop
        self._serving.set()
        await self._stopping.wait()
        loop.remove_reader(listener)
        await asyncio.sleep(_BLINK_S)  # who is just being let in would be forgotten, open, if the server closed now
        server.close()
        self._door.close()
        until_s = loop.time() + _FAREWELL_S
        while len(self._door) and loop.time() < until_s:
            await asyncio.sleep(_BLINK_S)
        self._door.clear()
        await asyncio.sleep(_BLINK_S)

    def _log_once(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio caught, once a kind and without a stack: a client must not be able to fill the log."""
        error = context.get("exception")
        kind = f"{context.get('message')}: {type(error).__name__}: {error}"
        if kind not in self._failures and len(self._failures) < MAX_CONNECTIONS:
            self._failures.add(kind)
            _log.error("HTTP: %s", kind)

    def _warn(self, host: str, address: str) -> None:
        if ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            return
        if self._token is None:
            _log.warning("%s is reachable from other machines: anyone there may read metrics and status", address)
        elif self._tls is None:
            _log.warning("%s takes its token unencrypted from other machines; add --tls-cert and --tls-key", address)


def _tls(listening: Listening) -> ssl.SSLContext | None:
    if listening.tls_cert is None:
        if listening.tls_key is not None:
            raise UsageError(f"--tls-key {listening.tls_key}: there is no certificate for it; add --tls-cert FILE")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and newer
    context.set_alpn_protocols(["http/1.1"])
    files = f"--tls-cert {listening.tls_cert}"
    files += f" --tls-key {listening.tls_key}" if listening.tls_key is not None else ""
    try:
        context.load_cert_chain(listening.tls_cert, listening.tls_key, password=_no_password)
    except ssl.SSLError as error:
        what = error.reason or "no certificate and its key in PEM, or the key is another one's"
        raise UsageError(f"{files}: {what.lower().replace('_', ' ')}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{files}: {getattr(error, 'strerror', None) or error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is asked for its password; give one that is not")


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Bound by the caller's thread: a port that is taken is the caller's error."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--listen {host}:{port}: no such host: {error}; use 127.0.0.1:{port}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_QUEUED)
    except OSError as error:
        listener.close()
        raise UsageError(_refusal(_shown(address), error)) from error
    return listener


def _refusal(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken: use --listen 127.0.0.1:0 for a free port, or name another one"
    return f"{address} cannot be listened on: {error.strerror}; use --listen 127.0.0.1:0 for a free port"


def _shown(address: tuple[object, ...]) -> str:
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

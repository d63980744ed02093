"""The HTTP side: metrics, health and the status page, served by a thread of the daemon. It only reads."""

import asyncio
import errno
import gzip
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from threading import Event, Thread
from typing import Final

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from stressd.errors import DaemonError, UsageError
from stressd.observe.collector import Format
from stressd.observe.negotiation import wants_gzip, wants_openmetrics

_log = logging.getLogger(__name__)

PATIENCE_S: Final = 15.0  # a connection that gets no answer done in this time is closed
MAX_CONNECTIONS: Final = 64
MAX_HEAD_BYTES: Final = 16 * 1024
_START_S: Final = 10.0
_STOP_S: Final = 5.0

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
)
_PAGE: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the answers come from. All are called in the server's thread, one at a time; none may wait.

    `alive`: the daemon's loop ticks. `ready`: workers are at work. `status`: what
    `/api/status` shows, free of NaN.
    """

    metrics: Callable[[Format], bytes]
    status: Callable[[], Mapping[str, object]]
    alive: Callable[[], bool]
    ready: Callable[[], bool]


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[::1]:9464` for IPv6; UsageError if it is not that."""
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(f"--listen {listen!r}: HOST:PORT is needed, such as 127.0.0.1:9464 or 0.0.0.0:9464")
    if ":" in host and not bracketed:
        raise UsageError(f"--listen {listen!r}: an IPv6 host needs brackets, such as [::1]:9464")
    return host, int(port)


class ObserveServer:
    """Serves `sources` between `start` and `stop`, which one thread calls; port 0 takes a free one."""

    def __init__(self, host: str, port: int, sources: Sources) -> None:
        self._host = host
        self._port = port
        self._sources = sources
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def start(self) -> str:
        """Begin to serve and return the address, `127.0.0.1:9464`; UsageError if it cannot be had."""
        listener = _listen(self._host, self._port)
        address = _shown(listener.getsockname())
        _warn_if_open(listener.getsockname()[0], address)
        server = self._server = _Server(_config(application(self._sources)))
        self._thread = Thread(target=server.run, args=([listener],), name="observe", daemon=True)
        self._thread.start()
        if not server.serving.wait(_START_S):
            self.stop()
            raise DaemonError(f"the HTTP server at {address} did not start within {_START_S:g} s")
        return address

    def stop(self) -> None:
        """Finish the answers under way and close the port; again, and before `start`, it does nothing."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            _log.warning("the HTTP server is still busy; it ends with the daemon")
        self._server = self._thread = None


def application(sources: Sources) -> ASGIApp:
    """Return the routes as an ASGI application that answers every failure of its sources with a plain 500."""
    routes = [
        Route("/metrics", _metrics(sources.metrics)),
        Route("/healthz", _check(sources.alive, "the daemon's loop does not tick")),
        Route("/readyz", _check(sources.ready, "no workers at work")),
        Route("/api/status", _status(sources.status)),
        *(Route(path, _asset(*asset)) for path, asset in _PAGE.items()),
    ]
    # A bare router, not an application: that would answer failures itself, and raise them once more.
    return _Guard(Router(routes, redirect_slashes=False))


Endpoint = Callable[[Request], Awaitable[Response]]


def _metrics(render: Callable[[Format], bytes]) -> Endpoint:
    async def metrics(request: Request) -> Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        form = Format.OPENMETRICS if openmetrics else Format.TEXT
        return _compressed(request, Response(render(form), headers={"content-type": form.value}))

    return metrics


def _status(read: Callable[[], Mapping[str, object]]) -> Endpoint:
    async def status(request: Request) -> Response:
        return _compressed(request, JSONResponse(read()))

    return status


def _check(holds: Callable[[], bool], otherwise: str) -> Endpoint:
    async def check(_request: Request) -> Response:
        return PlainTextResponse("ok\n") if holds() else PlainTextResponse(f"{otherwise}\n", status_code=503)

    return check


def _asset(file: str, content_type: str) -> Endpoint:
    body = (files("stressd.observe") / "page" / file).read_bytes()

    async def asset(_request: Request) -> Response:
        return Response(body, headers={"content-type": content_type})

    return asset


def _compressed(request: Request, response: Response) -> Response:
    response.headers["vary"] = "Accept, Accept-Encoding"
    if wants_gzip(request.headers.get("accept-encoding", "")):
        response.body = gzip.compress(response.body, compresslevel=6, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response


class _Guard:
    """Adds the security headers to every answer, and makes a failure a 500 that tells the client nothing.

    A kind of failure is logged once: whoever asks again and again must not fill the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._failures: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": [*message["headers"], *_SECURITY]}
            await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001 - the top of a request: the server goes on
            self._log_once(scope["path"], error)
            if not begun:
                await PlainTextResponse("internal error\n", status_code=500)(scope, receive, send_guarded)

    def _log_once(self, path: str, error: Exception) -> None:
        # Only paths that have a route can fail, so that the set stays small.
        kind = (path, type(error).__name__)
        if kind not in self._failures:
            self._failures.add(kind)
            _log.error("%s failed: %s: %s", path, kind[1], error, exc_info=error)


class _Server(uvicorn.Server):
    """Uvicorn's server, which tells when it serves; in a thread it leaves the signals alone by itself."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


class _PatientProtocol(H11Protocol):
    """A connection which is closed when no answer got done for `PATIENCE_S`.

    Uvicorn itself waits for ever for the rest of a request, or for a client to take its answer; as many such
    clients as there may be connections would shut everyone else out.
    """

    _watch: asyncio.TimerHandle | None = None
    _answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._answered = True
        super().on_response_complete()

    def _look_again(self) -> None:
        self._answered = False
        self._watch = self.loop.call_later(PATIENCE_S, self._judge)

    def _judge(self) -> None:
        if self._answered:
            self._look_again()
        else:
            self.transport.abort()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=_PatientProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # its warnings are about clients' mistakes: a client could fill the log with them
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Bound by the caller's thread: a port that is taken is the caller's error."""
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
        listener.listen(MAX_CONNECTIONS)
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


def _warn_if_open(host: str, address: str) -> None:
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        _log.warning("%s is reachable from other machines: anyone there may read metrics and status", address)

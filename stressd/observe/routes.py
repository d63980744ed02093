"""Which path is answered by what, as a function of the request; it only reads, but for a reload where there is one."""

import gzip
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stressd.observe.access import Token, from_where_it_may
from stressd.observe.collector import Format
from stressd.observe.messages import Answer, Request
from stressd.observe.negotiation import wants_gzip, wants_openmetrics
from stressd.page import asset

_log = logging.getLogger(__name__)

KEPT_S: Final = 0.1  # whoever asks more often is given the same answer again: a flood costs ten scrapes a second
_READING: Final = ("GET", "HEAD")
_OPEN: Final = ("/healthz", "/readyz")  # asked by whoever runs the daemon, who need not know its token
_RELOAD: Final = "/-/reload"
_JSON: Final = "application/json"
_PAGE: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/theme.js": ("theme.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}

Endpoint = Callable[[Request], Answer]


class Reloaded(NamedTuple):
    """What came of a reload: `lines` say what changed, or what is wrong and why nothing did."""

    well: bool
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the answers come from. All are called in the server's thread, one at a time; none may wait.

    `alive`: the daemon's loop ticks. `ready`: workers are at work. `status`: what `/api/status` shows, free of NaN.
    `reload` has the scenario read anew; None where that is not possible.
    """

    metrics: Callable[[Format], bytes]
    status: Callable[[], Mapping[str, object]]
    alive: Callable[[], bool]
    ready: Callable[[], bool]
    reload: Callable[[], Reloaded] | None = None


class Routes:
    """Answers requests, in one thread. With a `token` all but health asks for it; a reload exists only with one."""

    def __init__(
        self,
        sources: Sources,
        token: Token | None = None,
        scheme: str = "http",
        own_host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._scheme = scheme
        self._own_host = own_host
        self._clock = clock
        self._kept: dict[tuple[object, ...], tuple[float, Answer]] = {}
        self._failures: set[tuple[str, str]] = set()
        self._reading: dict[str, Endpoint] = {
            "/metrics": lambda request: self._metrics(request, sources.metrics),
            "/healthz": _check(sources.alive, "the daemon's loop does not tick"),
            "/readyz": _check(sources.ready, "no workers at work"),
            "/api/status": lambda request: self._status(request, sources.status),
            **{path: _asset(*asset) for path, asset in _PAGE.items()},
        }
        self._reload = sources.reload if token is not None else None

    def answer(self, request: Request) -> Answer:
        """Answer one request. What fails is a 500 that tells the client nothing, and is logged once a kind."""
        try:
            return self._answer(request)
        except Exception as error:  # noqa: BLE001 - the top of a request: the server goes on
            # Only paths that have a route can fail, so that the set stays small.
            kind = (request.path, type(error).__name__)
            if kind not in self._failures:
                self._failures.add(kind)
                _log.error("%s failed: %s: %s", request.path, kind[1], error, exc_info=error)
            return Answer.plain(500, "internal error")

    def _answer(self, request: Request) -> Answer:
        if request.path == _RELOAD and self._reload is not None:
            return self._reloaded(request, self._reload)
        endpoint = self._reading.get(request.path)
        if endpoint is None:
            return Answer.plain(404, "there is nothing here; see /, /metrics, /healthz, /readyz and /api/status")
        if request.method not in _READING:
            return Answer.plain(405, "this can only be read", ("allow", ", ".join(_READING)))
        if self._token is not None and request.path not in _OPEN and not self._token.admits(request):
            return _unknown_client()
        return endpoint(request)

    def _reloaded(self, request: Request, reload: Callable[[], Reloaded]) -> Answer:
        if request.method != "POST":
            return Answer.plain(405, "POST is needed", ("allow", "POST"))
        if not from_where_it_may(request, self._scheme, self._own_host):
            return Answer.plain(403, "a reload is not taken from a page of another host; ask by this machine's name")
        if self._token is None or not self._token.admits(request, bearer_only=True):
            return _unknown_client()
        came = reload()
        return Answer.plain(200 if came.well else 422, "\n".join(came.lines))

    def _metrics(self, request: Request, render: Callable[[Format], bytes]) -> Answer:
        form = Format.OPENMETRICS if wants_openmetrics(request.header("accept")) else Format.TEXT
        return self._fresh(request, form.value, lambda: render(form))

    def _status(self, request: Request, read: Callable[[], Mapping[str, object]]) -> Answer:
        return self._fresh(request, _JSON, lambda: json.dumps(read(), allow_nan=False, separators=(",", ":")).encode())

    def _fresh(self, request: Request, content_type: str, make: Callable[[], bytes]) -> Answer:
        """Return what is at most `KEPT_S` old, compressed where that is asked for."""
        zipped = wants_gzip(request.header("accept-encoding"))
        plain = self._keep((request.path, content_type), lambda: _varying(content_type, make()))
        if not zipped:
            return plain
        return self._keep(
            (request.path, content_type, "gzip"),
            lambda: _varying(content_type, gzip.compress(plain.body, compresslevel=6, mtime=0), zipped=True),
        )

    def _keep(self, key: tuple[object, ...], make: Callable[[], Answer]) -> Answer:
        kept = self._kept.get(key)
        if kept is None or not self._clock() < kept[0]:
            kept = self._kept[key] = (self._clock() + KEPT_S, make())
        return kept[1]


def _varying(content_type: str, body: bytes, *, zipped: bool = False) -> Answer:
    encoding = (("content-encoding", "gzip"),) if zipped else ()
    return Answer(200, body, content_type, (("vary", "Accept, Accept-Encoding"), *encoding))


def _unknown_client() -> Answer:
    # Basic beside Bearer: a browser then asks its user, who gives the token as the password.
    asks = ("www-authenticate", 'Bearer realm="stressd", Basic realm="stressd"')
    return Answer.plain(401, "the token of --token-file is needed", asks)


def _check(holds: Callable[[], bool], otherwise: str) -> Endpoint:
    return lambda _request: Answer.plain(200, "ok") if holds() else Answer.plain(503, otherwise)


def _asset(file: str, content_type: str) -> Endpoint:
    answer = Answer(200, asset(file), content_type)
    return lambda _request: answer

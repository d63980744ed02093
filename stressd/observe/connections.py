"""One connection: requests in, answers out, by h11; bounded in size, time and number, whatever a client does.

A request has no body, and its head has `MAX_HEAD_BYTES` at most. Whoever takes longer than `PATIENCE_S` to send one or
to take its answer is cut off, and so is whoever is silent between two for `IDLE_S`. There are `Door.most` connections
at most, and for one more another one goes, so that no number of clients who connect and do nothing, or little, keeps
anyone out.
"""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from ssl import SSLContext
from typing import Final

import h11

from stressd.observe.messages import Answer, Request

MAX_HEAD_BYTES: Final = 16 * 1024
PATIENCE_S: Final = 10.0
IDLE_S: Final = 75.0  # longer than scrapes are apart, so that none meets a connection which is just being closed
_ENDING_S: Final = 1.0  # for a client to take a last answer: closed at once, what it still sends would reset it
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("content-security-policy", _POLICY),
)


class Door:
    """Who is inside, at most `most`.

    For one more goes the oldest of those who were never answered, as long as they are half of all: they come and do
    nothing. Else, of those who were answered, the one for whom that is longest ago.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._strangers: dict[Connection, None] = {}
        self._guests: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._strangers) + len(self._guests)

    def enter(self, connection: "Connection") -> None:
        """Let one in; if there are too many, another one goes."""
        if len(self) >= self.most:
            crowd = self._strangers if len(self._strangers) >= self.most // 2 else self._guests
            first = next(iter(crowd))
            self.leave(first)
            first.cut()
        self._strangers[connection] = None

    def answered(self, connection: "Connection") -> None:
        """Note that it was just answered; one that was sent away meanwhile stays away."""
        if connection in self._strangers or connection in self._guests:
            self.leave(connection)
            self._guests[connection] = None

    def leave(self, connection: "Connection") -> None:
        """Note that one has gone; again, it does nothing."""
        self._strangers.pop(connection, None)
        self._guests.pop(connection, None)

    def close(self) -> None:
        """Ask everybody to go once what was answered is sent."""
        for connection in (*self._strangers, *self._guests):
            connection.finish()

    def clear(self) -> None:
        """Have everybody go now."""
        for connection in (*self._strangers, *self._guests):
            connection.cut()


class Connection(asyncio.Protocol):
    """A client's connection. All in the loop's thread; `answer` must not wait."""

    def __init__(self, door: Door, answer: Callable[[Request], Answer], tls: SSLContext | None = None) -> None:
        self._door = door
        self._answer = answer
        self._tls = tls
        self._http = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)
        self._loop = asyncio.get_running_loop()
        self._head: h11.Request | None = None  # of a request that is not whole yet
        self._request: h11.Request | None = None  # that is whole and not answered yet
        self._idle = self._ending = self._held = False
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # streams only
        """Begin: with TLS by its handshake, which counts as a connection and has as little time."""
        self._raw = self._transport = transport
        self._door.enter(self)
        self._give(PATIENCE_S)
        if self._tls is None:
            self._transport.set_write_buffer_limits(high=1)
        else:
            transport.pause_reading()
            self._handshake = self._loop.create_task(self._shake_hands(self._tls))

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request is answered as soon as it is whole."""
        if self._ending:
            return  # h11 would keep what comes after the last answer
        if self._idle:
            self._idle = False
            self._give(PATIENCE_S)
        self._http.receive_data(data)
        if self._handshake is None:
            self._advance()

    def eof_received(self) -> bool:
        """Let asyncio close the connection once what was answered is sent."""
        return False

    def pause_writing(self) -> None:
        """Wait for the client to take what it was answered before another request is looked at."""
        self._held = True

    def resume_writing(self) -> None:
        """Go on: it has taken all."""
        self._held = False
        self._give(_ENDING_S if self._ending else IDLE_S)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol gives it
        """Leave."""
        self._gone()

    # --- what the door calls

    def cut(self) -> None:
        """End now, whatever is under way."""
        self._raw.abort()

    def finish(self) -> None:
        """End as soon as what was answered is sent."""
        self._ending = True
        self._give(_ENDING_S)
        self._transport.close()

    # --- the exchange

    async def _shake_hands(self, tls: SSLContext) -> None:
        try:
            transport = await self._loop.start_tls(
                self._raw, self, tls, server_side=True, ssl_handshake_timeout=PATIENCE_S
            )
        except OSError:  # SSLError is one: no TLS at all, no common version, gone, or too slow
            self.cut()
            self._gone()
            return
        if transport is None:  # closed while it was being made
            return
        self._transport, self._handshake = transport, None
        transport.set_write_buffer_limits(high=1)
        self._give(PATIENCE_S)
        self._advance()  # what came right behind the handshake

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door.leave(self)

    def _give(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.cut)

    def _advance(self) -> None:
        """Answer one request, if a whole one is there; others that came with it get their turn after other clients."""
        if self._ending or self._held or self._transport.is_closing():
            return
        try:
            if self._next_request():
                self._respond()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)
        if self._ending:
            return
        more = self._request is not None and bool(self._http.trailing_data[0])
        self._request = None
        if not (more or self._held):
            self._transport.resume_reading()
            return
        self._transport.pause_reading()  # else what is sent meanwhile would pile up
        if more and not self._held:
            self._loop.call_soon(self._advance)

    def _next_request(self) -> bool:
        """Read on; say whether a request is whole."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._head = event
                if (status := _refusal(event)) is not None:
                    self._refuse(status)
                    return False
            elif isinstance(event, h11.EndOfMessage):
                self._request = self._head
                return True
            else:  # NEED_DATA, PAUSED, ConnectionClosed; no Data, for there is no body
                return False

    def _respond(self) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - _next_request has just said so
        self._head = None
        answer = self._answer(_read(request))
        self._door.answered(self)
        self._give(PATIENCE_S)
        self._send(answer, with_body=request.method != b"HEAD")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._idle = not self._http.trailing_data[0]
            if self._idle and not self._held:
                self._give(IDLE_S)
        else:
            self._end()

    def _refuse(self, status: int) -> None:
        """Answer what is no request, and end: nobody can say where the next one would begin."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refusal = Answer.plain(status, _PHRASES.get(status, "Bad Request").lower(), ("connection", "close"))
            self._send(refusal, with_body=self._head is None or self._head.method != b"HEAD")
        self._end()

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        head = h11.Response(
            status_code=answer.status,
            reason=_PHRASES[answer.status].encode(),
            headers=[
                ("date", formatdate(usegmt=True)),
                ("content-type", answer.content_type),
                ("content-length", str(len(answer.body))),
                *answer.headers,
                *_SECURITY,
            ],
        )
        events: tuple[h11.Event, ...] = (head, h11.Data(data=answer.body), h11.EndOfMessage())
        sent = [self._http.send(event) for event in (events if with_body else (head, h11.EndOfMessage()))]
        self._transport.write(b"".join(filter(None, sent)))

    def _end(self) -> None:
        self._ending = True
        self._give(PATIENCE_S if self._held else _ENDING_S)
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()  # then the client closes, or the timer does
        except OSError:  # it has gone already
            self.cut()


def _refusal(request: h11.Request) -> int | None:
    if request.http_version not in (b"1.0", b"1.1"):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    for name, value in request.headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return None


def _read(request: h11.Request) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:  # h11 gives names in lower case
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path = request.target.partition(b"?")[0]
    return Request(request.method.decode("ascii"), path.decode("ascii"), headers)

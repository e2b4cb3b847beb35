"""Guards the server's connections: slow, endless and too many ones must not keep others out.

uvicorn by itself waits for a request's head for ever, takes 32 MiB of it, and has no limit of
connections. Nothing here costs a timer per request: one sweep a second looks at the oldest.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from itertools import chain
from typing import Any
from weakref import ref

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chilly_movies.api.gates.clients import client_network, is_in, parse_networks
from chilly_movies.api.gates.security import PAGE_HEADERS
from chilly_movies.api.policy import Stream, policy_found
from chilly_movies.api.routes.stream import CUT
from chilly_movies.api.wire.handover import HANDOVER, Connection, StreamOwner
from chilly_movies.runtime.vitals import give_back

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 9.0
"""With the sweep's second a head has 10 s."""
MAX_AHEAD = 64
"""Requests a client may send before it has the answer to the first."""
LINGER_SECONDS = 5.0
"""How long a body that nobody wants may go on, so that its sender can read the answer."""
READ_SECONDS = 60.0
"""How long a client may read nothing of its answer."""
PLAYER_SECONDS = 3600.0
"""The same for a film: a player that pauses stops reading."""
_SWEEP = 1.0
_CROWD = 200
"""Connections that cost enough memory to give it back when they are gone."""
_NOTHING_AHEAD: deque[Any] = deque()
_BODY_FIELDS = (b"content-length", b"transfer-encoding")
_ALL = 2
"""All clients together may have so many times the connections of one."""

_SENTENCES = {
    400: ("bad_request", "This is not a request we can read: it is malformed."),
    408: ("request_timeout", "The head of the request did not arrive in time."),
    431: ("headers_too_large", "The head of the request is larger than 65 kB."),
    503: ("too_many_connections", "Too many connections are open."),
}


class ConnectionLimiter:
    """Knows all connections of a server, and closes those that keep others out.

    Args:
        per_client: connections one address may have. A new one takes the place of the oldest that
            waits for a request, or else of the oldest whose client does not go on with one; if all
            are busy it is refused.
        proxies: addresses that may have as many as all together.
        clock: monotonic seconds; None = the event loop's.
        after_crowd: called when most connections of a crowd are gone.
    """

    def __init__(
        self,
        per_client: int = 512,
        proxies: Iterable[str] = (),
        clock: Callable[[], float] | None = None,
        after_crowd: Callable[[], None] = give_back,
    ) -> None:
        self._per_client = per_client
        self._all = per_client * _ALL
        self._proxies = parse_networks(proxies)
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._after_crowd = after_crowd
        self._crowd = 0
        """The most connections since the last crowd left."""
        self._open: dict[str, int] = {}
        self._waiting: dict[GuardedProtocol, float] = {}
        """Since when no request is complete, oldest first."""
        self._owing: dict[GuardedProtocol, None] = {}
        """Those whose client neither sends the rest of a request nor reads the answer."""
        self._due: dict[GuardedProtocol, float] = {}
        """When a connection that does not read, or sends what nobody wants, is closed."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: GuardedProtocol) -> bool:
        """Admits a new connection, instead of an idle one if need be; False = no room."""
        client = connection.client_network
        room = sum(self._open.values()) < self._all or self._evict(lambda _: True)
        if room and self._open.get(client, 0) >= self._per_client:
            room = is_in(client, self._proxies) or self._evict(
                lambda other: other.client_network == client
            )
        self._open[client] = self._open.get(client, 0) + 1
        if room:
            self.waits(connection)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)
        return room

    def _evict(self, fits: Callable[[GuardedProtocol], bool]) -> bool:
        victim = next((c for c in chain(self._waiting, self._owing) if fits(c)), None)
        if victim is None:
            return False
        self.leave(victim)
        victim.transport.abort()
        return True

    def leave(self, connection: GuardedProtocol) -> None:
        """Forgets a connection. Idempotent."""
        if connection.client_network and not connection.left:
            connection.left = True
            self._open[connection.client_network] -= 1
            if not self._open[connection.client_network]:
                del self._open[connection.client_network]
        self._waiting.pop(connection, None)
        self._owing.pop(connection, None)
        self._due.pop(connection, None)

    def waits(self, connection: GuardedProtocol) -> None:
        """Notes that the connection has no request, or not all of its head."""
        self._waiting.pop(connection, None)
        self._owing.pop(connection, None)
        self._waiting[connection] = self._clock()

    def is_busy(self, connection: GuardedProtocol) -> None:
        """Notes that the head of a request is complete."""
        self._waiting.pop(connection, None)

    def owes(self, connection: GuardedProtocol, does: bool) -> None:
        """Notes whether we wait for the client (unread answer, unsent body)."""
        self._owing.pop(connection, None)
        if does and not connection.left:
            self._owing[connection] = None

    def allow(self, connection: GuardedProtocol, seconds: float | None) -> None:
        """Sets after how many seconds the connection is closed; None = not at all."""
        self._due.pop(connection, None)
        if seconds is not None:
            self._due[connection] = self._clock() + seconds

    def _sweep(self) -> None:
        now = self._clock()
        while self._waiting:
            connection, since = next(iter(self._waiting.items()))
            if now - since < HEAD_SECONDS:
                break
            del self._waiting[connection]
            connection.too_slow()
        for connection in [c for c, due in self._due.items() if due <= now]:
            del self._due[connection]
            connection.transport.abort()
        here = sum(self._open.values())
        if self._crowd >= _CROWD and here <= self._crowd // 4:
            self._crowd = here
            self._after_crowd()
        self._crowd = max(self._crowd, here)
        self._timer = None
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)


class _UnchunkedCycle(RequestResponseCycle):
    """Answers a client of HTTP/1.0, which knows no chunks (RFC 9112 section 6.1).

    What has no length ends with the connection.
    """

    _has_length = True

    async def send(self, message: Any) -> None:
        """ASGI; tells uvicorn, which would send chunks, that the length is what is sent."""
        if message["type"] == "http.response.start":
            names = (name.lower() for name, _ in message.get("headers", ()))
            self._has_length = b"content-length" in names
            if not self._has_length:
                self.chunked_encoding = False
        elif not self._has_length:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class GuardedProtocol(HttpToolsProtocol):
    """The protocol of uvicorn with bounds, and with its own answers in the shape of our errors.

    Args:
        limiter: of this server.
        **uvicorn: what uvicorn gives its protocols.
    """

    def __init__(self, limiter: ConnectionLimiter, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.client_network = ""
        self.left = False
        self._limiter = limiter
        self._in_head = True
        self._parsed = self._received = 0
        self._verdict = 400
        self._owner: StreamOwner | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the new connection, and refuses it (503) if there is no room."""
        super().connection_made(transport)
        self.client_network = client_network(self.client[0] if self.client else "") or "nobody"
        if not self._limiter.enter(self):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the closed connection, and tells the owner of an answer that goes on."""
        self._limiter.leave(self)
        super().connection_lost(exc)
        self._forget()
        owner, self._owner = self._owner, None  # so that nobody has to collect the two of us
        if owner is not None:
            owner.left()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, as long as the head stays within its bounds."""
        if self._owner is not None or self.transport.is_closing():
            return  # what comes after an answer that goes on by itself is never answered
        began_in_head = self._in_head
        super().data_received(data)
        if self._in_head and began_in_head and not self.transport.is_closing():
            # the parser keeps an unfinished field to itself, so it has to be counted here
            self._received += len(data)
            if self._received > MAX_HEAD:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """Begins a request at its first byte, with the extensions that our handlers use."""
        super().on_message_begin()
        self.scope["extensions"] = {
            # which request it is, `on_headers_complete` says
            HANDOVER: {"hand_over": self._hand_over},
            CUT: {"close": self.transport.close, "abort": self.transport.abort},
        }
        self._in_head, self._parsed, self._received = True, 0, 0

    def _hand_over(self, request: dict[str, Any], owner: StreamOwner) -> Connection:
        """Forgets the request, and others behind it; the owner writes the rest of the answer.

        Args:
            request: what the extension has for it. There may be a newer one on the connection.
            owner: see there.
        """
        request["owner"] = self._owner = owner
        request["cycle"]().disconnected = True  # or its end would count as a broken answer
        self._forget()
        self.flow.resume_reading()
        if self.transport.is_closing():
            owner.left()
        return self

    def _forget(self) -> None:
        """Releases the requests: they refer to us, and the collector finds their heads late."""
        self.cycle = self.scope = self.parser = self.headers = None  # type: ignore[assignment]
        self.pipeline = _NOTHING_AHEAD

    def write(self, chunk: bytes) -> bool:
        """Implements `Connection.write`."""
        if self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write(chunk)
        return True

    async def drain(self) -> None:
        """Implements `Connection.drain`."""
        await self.flow.drain()

    def close(self) -> None:
        """Implements `Connection.close`."""
        self.transport.close()

    def abort(self) -> None:
        """Implements `Connection.abort`."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Ends the connection with the server; the owner ends an answer that goes on by itself."""
        if self._owner is None:
            super().shutdown()

    def on_url(self, url: bytes) -> None:
        """Counts a part of the address as a part of the head."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts one field as a part of the head."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > MAX_HEAD:
            self._verdict = 431
            raise ValueError("the head is too large")  # becomes a parser error, and that an answer

    def on_headers_complete(self) -> None:
        """Starts the request, as its head is complete, unless too many wait before it."""
        self._in_head, self._received = False, 0
        self._limiter.is_busy(self)
        request = self.scope["extensions"][HANDOVER]
        super().on_headers_complete()
        request["cycle"] = ref(self.cycle)
        if self.scope["http_version"] == "1.0":
            del self.scope["extensions"][HANDOVER]  # whose answers come in chunks
            self.cycle.__class__ = _UnchunkedCycle
        if len(self.pipeline) > MAX_AHEAD:
            self._verdict = 0
            raise ValueError("too many requests are sent ahead")
        if any(name in _BODY_FIELDS for name, _ in self.headers):
            self._limiter.owes(self, True)

    def on_body(self, body: bytes) -> None:
        """Hands on a part of the body; the next is read after the handler took this one."""
        super().on_body(body)
        if not self.cycle.response_complete:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Notes that the request is complete; nothing more is owed by the client."""
        super().on_message_complete()
        self._limiter.owes(self, False)
        if self.cycle is not None and self.cycle.response_complete:
            self._limiter.allow(self, None)

    def on_response_complete(self) -> None:
        """Ends a request whose answer is written; an unread body may go on for 5 s."""
        unread = self.cycle is not None and self.cycle.more_body
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if unread:
            self._limiter.allow(self, LINGER_SECONDS)
        if self.cycle is None or self.cycle.response_complete:
            self._limiter.waits(self)
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.body = bytearray()  # of a body that nobody wanted

    def pause_writing(self) -> None:
        """Limits the time in which the client reads nothing: 60 s, and an hour for a film."""
        super().pause_writing()
        policy = None if self.scope is None else policy_found(self.scope)
        film = policy is not None and policy.stream is Stream.FILM
        self._limiter.allow(self, PLAYER_SECONDS if film else READ_SECONDS)
        self._limiter.owes(self, not film)

    def resume_writing(self) -> None:
        """Ends that limit, as the client reads again."""
        super().resume_writing()
        self._limiter.allow(self, None)
        self._limiter.owes(self, False)

    def too_slow(self) -> None:
        """Closes a connection without a complete head in time, with 408 if one was begun."""
        if self.scope is not None and self._in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answers a malformed request and closes; `msg` is for the log only."""
        if self._verdict:
            self._refuse(self._verdict)
        else:
            self.transport.abort()  # answers of earlier requests are being written

    def _refuse(self, status: int) -> None:
        code, detail = _SENTENCES[status]
        title = HTTPStatus(status).phrase
        body = json.dumps(
            {
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": detail,
                "code": code,
            }
        ).encode()
        fields = [
            *PAGE_HEADERS,
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, title.encode(), head) + body)
        self.transport.close()

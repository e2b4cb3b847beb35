"""Serves the tracker to strangers: uvicorn, with limits it does not have by itself.

Each of the protocols below adds the end of something that could otherwise last for ever: a
request that never gets complete, a peer that never reads, a message of endless fragments.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from asyncio import TimerHandle, Transport
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from chilly_movies.tracker.signalling import MAX_MESSAGE_BYTES

_REQUEST_TIME = 30.0
"""Seconds a connection may last that does not become a WebSocket."""
_LINGER = 1.0
"""Seconds for the other side to read our last words."""
_MAX_UNREAD = 1_000
"""Messages, or fragments of one, that one read from a socket may bring."""
_MAX_OPEN_REQUESTS = 512
_PING_EVERY = 30.0
_POLICY_VIOLATION = 1008
_NOT_UTF8 = 1007


class _HttpProtocol(H11Protocol):
    """A connection that has its request answered, or becomes a WebSocket, in limited time."""

    _end: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(_REQUEST_TIME, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._spare()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._spare()
        super().handle_websocket_upgrade(event)

    def _spare(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


class _SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that cannot be kept open by not reading, or filled by bits and pieces."""

    _end: TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_complete:
            # The request was good enough for HTTP and is not for WebSocket.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MAX_UNREAD:
            self._fail(_POLICY_VIOLATION, "too many fragments")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()  # it asks for ever more pongs and reads none

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        if self.queue.qsize() >= _MAX_UNREAD:
            self._fail(_POLICY_VIOLATION, "too many messages at once")
            return
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(_NOT_UTF8, "a text message must be UTF-8")
                return
        super().send_receive_event_to_app()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_soon()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            self._abort_soon()

    def _fail(self, code: int, reason: str) -> None:
        self.frames = []
        if self.close_sent:
            return
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        """Aborts soon: closing waits for ever if the other side does not read."""
        if self._end is None:
            self._end = self.loop.call_later(_LINGER, self.transport.abort)


class _Server(uvicorn.Server):
    """A server inside somebody else's loop: it says when it is up and takes no signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()  # on a failure too: it comes out of the task that serves

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> list[socket.socket]:
    """Returns sockets that listen there; `localhost` is the loopback of IPv4 and, if any, IPv6.

    Args:
        host: a name or an IP address.
        port: 0 = any free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    if host != "localhost":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [socket.create_server((host, port), family=family)]
    first = socket.create_server(("127.0.0.1", port))
    try:
        where = ("::1", first.getsockname()[1])
        return [first, socket.create_server(where, family=socket.AF_INET6)]
    except OSError as error:
        if port and error.errno == errno.EADDRINUSE:
            first.close()
            raise
        return [first]  # no IPv6 here, or the free port was taken there


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listeners: list[socket.socket],
    *,
    max_sockets: int,
    proxies: Sequence[str] = (),
) -> AsyncIterator[None]:
    """Serves an app inside the running loop for as long as the context is open.

    Args:
        app: the ASGI application.
        listeners: where; closed at the end.
        max_sockets: how many WebSockets the app lets in; requests come on top.
        proxies: addresses and CIDR blocks of proxies whose `X-Forwarded-For` is believed. Of others
            it is not, or anybody on this machine could announce somebody else.
    """
    limits: dict[str, Any] = {
        "http": _HttpProtocol,  # h11: the one that limits how long a request line may get
        "ws": _SocketProtocol,
        "ws_max_size": MAX_MESSAGE_BYTES,
        "ws_per_message_deflate": False,  # it costs memory for each connection
        "ws_ping_interval": _PING_EVERY,
        "ws_ping_timeout": _PING_EVERY,
        "limit_concurrency": max_sockets + _MAX_OPEN_REQUESTS,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": 2,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": list(proxies),
        "server_header": False,
    }
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **limits)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=listeners), name="tracker")
    try:
        await server.up.wait()
        yield
    finally:
        server.should_exit = True
        await task

"""The only way out of a child process: an HTTP proxy on loopback that judges where it goes.

yt-dlp has a network stack of its own, which knows nothing of the user's network settings. So it
gets a proxy for all it does (RFC 9110: CONNECT, and requests with an absolute URI), and that one
connects only to whom we may talk to, over the user's interface or proxy, as fast as is allowed.
Each run of a job has its own, with a password that only its child is told.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chilly_movies.drivers.ytdlp.words import Trouble
from chilly_movies.errors import DownloadError, SourceRejected, SourceUnavailable
from chilly_movies.net.addresses import literal_host_is_public
from chilly_movies.net.failures import is_ours, why_unreachable
from chilly_movies.net.limiter import Share
from chilly_movies.net.outbound import Streams, refused_by
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.net.tunnels import connect

_CHUNK = 64 * 1024
_HEAD_WITHIN = 20.0
"""Seconds a call has to say what it wants."""
_LINE = re.compile(r"([A-Z]+) (\S+) HTTP/1\.[01]")
_PLACE = re.compile(
    r"(?:http://)?(?P<user>[^/?#@]*@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^/?#@:\[\]]+)"
    r"(?::(?P<port>\d{1,5}))?(?P<rest>[/?].*)?",
    re.IGNORECASE,
)
_OURS = ("proxy-", "connection:", "keep-alive:")
"""Fields that concern the connection to the proxy alone."""


class JudgingProxy:
    """A proxy for one child process; an asynchronous context manager.

    Args:
        policy: whom we may talk to, and which way.
        share: what the bytes that come are counted against.

    Attributes:
        refused: why the child was not let to the last place that it must not reach, None if it
            was let everywhere.
        trouble: why the last connection was not to be had, None if none failed since one was.
        received: bytes that came in all.
    """

    def __init__(self, policy: NetworkPolicy, share: Share) -> None:
        self._policy, self._share = policy, share
        self._token = secrets.token_hex(16)
        self._server: asyncio.Server | None = None
        self._calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.refused: SourceRejected | None = None
        self.trouble: SourceUnavailable | None = None
        self.received = 0

    @property
    def url(self) -> str:
        """Where it is, with what it wants to be told."""
        assert self._server is not None  # noqa: S101 (for the type checker)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://chilly:{self._token}@{host}:{port}"

    async def __aenter__(self) -> Self:
        await self._policy.prepare()
        self._server = await asyncio.start_server(self._called, "127.0.0.1", 0, limit=_CHUNK)
        self._policy.subscribe(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        calls = tuple(self._calls)
        self._end_all()
        if calls:
            await asyncio.wait(calls)
        await self._policy.unsubscribe(self)

    def why(self, trouble: Trouble) -> DownloadError | None:
        """What the child's trouble is, if it is that a server was not reached from here."""
        is_network = {"HTTPError", "ProxyError", "TransportError"} & set(trouble.kinds)
        return (self.refused or self.trouble) if is_network else None

    def network_changed(self) -> None:
        """See `net.policy.Subscriber`: what is open ends while nothing may be sent."""
        if self._policy.halted is not None:
            self._end_all()

    async def lists_changed(self) -> None:
        """See `net.policy.Subscriber`: each connection is judged when it is made."""

    def _end_all(self) -> None:
        for call, writer in self._calls.items():
            call.cancel()
            writer.transport.abort()  # of a call that was cancelled before it began, too

    def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="way out")
        self._calls[call] = writer
        call.add_done_callback(self._calls.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what one call wants, and hang up."""
        try:
            async with asyncio.timeout(_HEAD_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
            wish = _Wish.read(head.decode("latin-1"))
            if wish is None or not wish.knows(self._token):
                writer.write(_answer(407 if wish else 400, "no"))
            else:
                await self._carry(wish, reader, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            return  # whoever called is gone, or the far end is
        finally:
            writer.transport.abort()

    async def _carry(
        self, wish: _Wish, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            far_reader, far_writer = await self._reach(wish.host, wish.port)
        except (SourceRejected, SourceUnavailable) as error:
            status = 403 if isinstance(error, SourceRejected) else 502
            writer.write(_answer(status, str(error)))
            await writer.drain()
            return
        try:
            if wish.is_tunnel:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                far_writer.write(wish.as_sent)
            await self._join(reader, writer, far_reader, far_writer)
        finally:
            far_writer.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on what both ends say until one of them hangs up."""
        both = [
            asyncio.ensure_future(self._bring(far_reader, writer)),
            asyncio.ensure_future(_send(reader, far_writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.wait(both)
            for one in both:
                with suppress(asyncio.CancelledError, OSError):
                    one.result()

    async def _bring(self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await far_reader.read(_CHUNK):
            self.received += len(data)
            await self._share.take(len(data))
            writer.write(data)
            await writer.drain()

    async def _reach(self, host: str, port: int) -> Streams:
        """Connect, if that is allowed.

        Raises:
            SourceRejected: it is not.
            SourceUnavailable: nobody answers, or nothing may be sent at the moment.
        """
        try:
            streams = await self._connect(host, port)
        except SourceRejected as error:
            self.refused = error
            raise
        except SourceUnavailable as error:
            self.trouble = error
            raise
        self.trouble = None
        return streams

    async def _connect(self, host: str, port: int) -> Streams:
        config = self._policy.config
        if (halted := self._policy.halted) is not None:
            raise SourceUnavailable(f"Nothing is sent: {halted}.", is_ours=True)
        if not (config.allow_private_addresses or literal_host_is_public(host)):
            raise _private()
        try:
            return await connect(config.outbound, host.strip("[]"), port, self._policy.why_not)
        except (OSError, TimeoutError) as error:
            if refused_by(error) is not None:
                raise _private() from None
            sentence = f"The server {host} does not answer ({why_unreachable(error)})."
            raise SourceUnavailable(sentence, is_ours=is_ours(error)) from None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one call wants.

    Attributes:
        method: of the request.
        host: where to.
        port: the same.
        rest: path and query, "" for a tunnel.
        fields: header lines.
        token: the password it says.
    """

    method: str
    host: str
    port: int
    rest: str
    fields: tuple[str, ...]
    token: str

    @classmethod
    def read(cls, head: str) -> _Wish | None:
        """The call of a request's head, None if it is none."""
        line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        first = _LINE.fullmatch(line)
        if first is None:
            return None
        place, is_tunnel = _PLACE.fullmatch(first[2]), first[1] == "CONNECT"
        if place is None or is_tunnel == first[2].lower().startswith("http://"):
            return None
        port = int(place["port"] or (443 if is_tunnel else 80))
        if not 0 < port < 65536:
            return None
        rest = "" if is_tunnel else place["rest"] or "/"
        return cls(first[1], place["host"], port, rest, tuple(fields), _password(fields))

    @property
    def is_tunnel(self) -> bool:
        """Whether bytes are only passed on."""
        return self.method == "CONNECT"

    def knows(self, token: str) -> bool:
        """Whether it says the password."""
        return secrets.compare_digest(self.token.encode(), token.encode())

    @property
    def as_sent(self) -> bytes:
        """The request as its server gets it."""
        path = self.rest if self.rest.startswith("/") else f"/{self.rest}"
        kept = (field for field in self.fields if not field.lower().startswith(_OURS))
        lines = (f"{self.method} {path} HTTP/1.1", *kept, "Connection: close", "", "")
        return "\r\n".join(lines).encode("latin-1")


def _password(fields: list[str]) -> str:
    """What a call says to be let in (RFC 7617), "" if nothing."""
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "proxy-authorization":
            with suppress(ValueError):
                pair = base64.b64decode(value.strip().removeprefix("Basic "), validate=True)
                return pair.decode("latin-1").partition(":")[2]
    return ""


def _private() -> SourceRejected:
    return SourceRejected(
        "The link leads to a private or blocked address; CHILLY_ALLOW_PRIVATE_ADDRESSES allows "
        "private ones."
    )


def _answer(status: int, says: str) -> bytes:
    body = says.encode()
    head = f"HTTP/1.1 {status} Refused\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def _send(reader: asyncio.StreamReader, far_writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        far_writer.write(data)
        await far_writer.drain()

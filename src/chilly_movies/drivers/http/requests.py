"""Asks servers for parts of a file; each redirect is judged, and secrets stay with their server."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore2
import httpx2

from chilly_movies.drivers.http.answers import Part, joined, part_of, refusal
from chilly_movies.drivers.http.hosts import Host, Patience
from chilly_movies.errors import DownloadError, SourceRejected, SourceUnavailable
from chilly_movies.net.bulk import ROOM, BulkStream, bulk_pool
from chilly_movies.net.failures import is_ours, why_unreachable
from chilly_movies.net.fetch import check_place, origin_of, redirected
from chilly_movies.net.outbound import refused_by, trust
from chilly_movies.net.policy import NetworkPolicy

_MAX_HOPS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTION = 1 << 20
"""Bytes that are unpacked at once."""


class Answer:
    """An answer that holds (a part of) the file; its body is read block by block.

    Attributes:
        link: where it came from.
        headers: by their names in lower case.
        fields: the same as they came, some of them several times.
        part: which bytes it holds.
    """

    def __init__(
        self, response: httpcore2.Response, link: str, part: Part, headers: Mapping[str, str]
    ) -> None:
        self.link, self.part, self.headers = link, part, headers
        self.fields = tuple(response.headers)
        self._response = response
        stream = response.extensions.get("network_stream")
        is_plain = part.end is not None and "transfer-encoding" not in headers
        self._stream = stream if isinstance(stream, BulkStream) and is_plain else None
        self._chunks: Any = None
        self._left = None if part.end is None else part.end - part.begin
        self._unpacker = zlib.decompressobj(wbits=31) if part.unpacks else None

    async def block(
        self, at_least: int, within: float, silence: float, room: int = ROOM
    ) -> memoryview | bytes:
        """What came since the last call, at least one byte; empty at the end of the body.

        Args:
            at_least: so many bytes are waited for.
            within: seconds they are waited for after the first one.
            silence: seconds without a byte after which the server is given up.
            room: bytes that may come before they are asked for.

        Raises:
            SourceUnavailable: the connection broke, was silent, or ended before the body did.
        """
        if self._left == 0:
            return b""
        try:
            if self._stream is not None:
                block: memoryview | bytes = await self._stream.take(at_least, within, silence, room)
            else:
                block = await self._next_chunk()
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as e:
            raise _broken(self.link, e, silence) from None
        if self._left is not None:
            block = block[: self._left]
            self._left -= len(block)
            if not block:
                raise SourceUnavailable(
                    f"The connection to {_server(self.link)} ended {self._left} bytes early."
                )
        return block

    async def _next_chunk(self) -> bytes:
        unpacker = self._unpacker
        if self._chunks is None:
            self._chunks = self._response.aiter_stream()
        if unpacker is not None and unpacker.unconsumed_tail:
            return self._unpack(unpacker.unconsumed_tail)
        async for chunk in self._chunks:
            if data := self._unpack(chunk):
                return data
        if unpacker is not None and not unpacker.eof:
            raise SourceUnavailable("The packed file ends in its middle.")
        return b""

    def _unpack(self, chunk: bytes) -> bytes:
        """What is packed in it, in portions, as a little may become very much."""
        if self._unpacker is None:
            return chunk
        try:
            return self._unpacker.decompress(chunk, _PORTION)
        except zlib.error:
            raise SourceRejected("The link's server says gzip and sends something else.") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()


class Requests:
    """Sends requests as the policy of the network allows.

    Args:
        policy: whom we may talk to, and which way.
        patience: how long servers are waited for.
    """

    def __init__(self, policy: NetworkPolicy, patience: Patience) -> None:
        self._policy = policy
        self.patience = patience
        self._pools: dict[bool, httpcore2.AsyncConnectionPool] = {}

    @asynccontextmanager
    async def open(
        self, host: Host, begin: int, end: int | None, condition: str | None
    ) -> AsyncIterator[Answer]:
        """Asks a place for bytes of the file.

        Args:
            host: the place; where its link leads to is kept in it.
            begin: the first byte.
            end: the one behind the last, None = all that follow.
            condition: the version that the part is to be of, for If-Range; of another one the
                server sends all.

        Raises:
            DownloadError: there is no answer, or none with a file.
        """
        link = host.final or host.link
        span = f"bytes={begin}-{'' if end is None else end - 1}"
        asked = {"Range": span} | ({"If-Range": condition} if condition and begin else {})
        for _ in range(_MAX_HOPS + 1):
            await self._check(link)
            told = _is_told(host, link)
            async with self._send(link, asked, host if told else None) as response:
                headers = joined(response.headers)
                if response.status in _REDIRECTS and (target := headers.get("location")):
                    link = redirected(link, target)
                    continue
                if response.status not in (200, 206, 416):
                    raise refusal(response.status, headers, told=told and bool(host.secret))
                part = part_of(response.status, headers, link, begin)
                host.final = link
                async with Answer(response, link, part, headers) as answer:
                    yield answer
                return
        raise SourceRejected(f"The link redirects more than {_MAX_HOPS} times.")

    async def _check(self, link: str) -> None:
        config = self._policy.config
        self._policy.refuse_own(link)
        await check_place(
            link, allow_private=config.allow_private_addresses, resolve=config.proxy is None
        )

    async def _pool(self, *, over_tls: bool) -> httpcore2.AsyncConnectionPool:
        """What reaches servers; all the authorities of TLS are read with its first use only."""
        tls = await asyncio.to_thread(trust) if over_tls and over_tls not in self._pools else None
        if over_tls not in self._pools:
            outbound = self._policy.config.outbound
            self._pools[over_tls] = bulk_pool(outbound, self._policy.why_not, tls)
        return self._pools[over_tls]

    @asynccontextmanager
    async def _send(
        self, link: str, asked: Mapping[str, str], told: Host | None
    ) -> AsyncIterator[httpcore2.Response]:
        try:
            url = httpx2.URL(link)
        except httpx2.InvalidURL:
            raise SourceRejected("The link is not a usable address.") from None
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "*/*"}
        headers |= self._policy.config.outbound.headers
        headers |= {"Accept-Encoding": "identity", **asked}
        if told is not None and told.secret:
            given = told.secret.as_headers()
            taken = {name.lower() for name in given}
            headers = {k: v for k, v in headers.items() if k.lower() not in taken} | given
        where = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        silence = self.patience.silence
        waits = {
            "connect": self.patience.connect,
            "read": silence,
            "write": silence,
            "pool": None,
        }
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        pool = await self._pool(over_tls=url.scheme == "https")
        sending = pool.stream("GET", where, headers=fields, extensions={"timeout": waits})
        try:
            response = await sending.__aenter__()
        except Exception as error:  # noqa: BLE001 (what a broken proxy says may raise anything)
            raise _unreached(link, error, self._policy.config.proxy is not None) from None
        try:
            yield response
        finally:
            with suppress(httpcore2.NetworkError, httpcore2.ProtocolError):
                await sending.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Closes what is idle. Idempotent."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()


def _is_told(host: Host, link: str) -> bool:
    """Whether a link is of the very server that the secret is for, or of its TLS side."""
    given, now = urlsplit(host.link), urlsplit(link)
    if origin_of(host.link) == origin_of(link):
        return True
    usual = given.port in (None, 80) and now.port in (None, 443)
    upgraded = given.scheme == "http" and now.scheme == "https"
    return upgraded and usual and given.hostname == now.hostname


def _server(link: str) -> str:
    return urlsplit(link).netloc.rpartition("@")[2]


def _unreached(link: str, error: Exception, has_proxy: bool) -> DownloadError:
    if isinstance(error, DownloadError):
        return error
    known = isinstance(
        error, httpcore2.NetworkError | httpcore2.TimeoutException | httpcore2.ProtocolError
    )
    if not known and not has_proxy:
        raise error
    if (why_not := refused_by(error)) is not None:
        return SourceRejected(why_not)
    if isinstance(error, httpcore2.ProxyError) or not known:
        return SourceUnavailable("The proxy does not reach the link's server.")
    sentence = f"The link's server {_server(link)} does not answer ({why_unreachable(error)})."
    return SourceUnavailable(sentence, is_ours=is_ours(error))


def _broken(link: str, error: Exception, silence: float) -> SourceUnavailable:
    if isinstance(error, httpcore2.TimeoutException):
        return SourceUnavailable(f"The server {_server(link)} sent nothing for {silence:g} s.")
    sentence = f"The connection to {_server(link)} broke ({why_unreachable(error)})."
    return SourceUnavailable(sentence, is_ours=is_ours(error))

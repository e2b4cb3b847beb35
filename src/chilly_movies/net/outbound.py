"""How our own HTTP leaves this machine: directly, through a proxy, or over one interface only.

Everything we fetch ourselves (torrent files behind links, the film catalogue) goes through here.
Names are resolved here, and only addresses that were judged are connected to, so that a name
cannot mean another address at the second look. A proxy resolves names itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import httpcore2
import httpx2

from chilly_movies.net import interfaces
from chilly_movies.net.proxies import Proxy
from chilly_movies.version import __version__

_CHUNK = 64 * 1024
_ANYBODY = "curl/7.81.0"
"""What the engine calls itself, too, when it is to be anonymous."""
_ONE_ADDRESS = 5.0
"""Seconds one of several addresses of a name may take to answer."""

NOT_LET = "the address is none we talk to"
OUR_OWN = "the address is this server's own"
"""What a `Judge` says of an address, and then is the error of the connection."""

T = TypeVar("T")
Judge = Callable[[str, int], str | None]
"""Why an address and port may not be connected to (`NOT_LET`, `OUR_OWN`), None if it may."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Outbound:
    """The way out.

    Attributes:
        proxy: where everything goes first, None = straight to the server.
        interface: name or address of the only interface to use, None = any.
        anonymous: do not say which program asks.
    """

    proxy: Proxy | None = None
    interface: str | None = None
    anonymous: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What tells servers who asks."""
        return {"User-Agent": _ANYBODY if self.anonymous else f"ChillyMovies/{__version__}"}

    def transport(self, judge: Judge | None = None) -> httpx2.AsyncBaseTransport:
        """What reaches servers, one for each client; proxies of the environment do not count.

        Args:
            judge: why an address may not be connected to; asked of every address of a name.
        """
        if self.proxy is not None:
            return _Proxied(self.proxy)
        return _Direct(self.interface, judge)


@cache
def trust() -> ssl.SSLContext:
    """Whom TLS believes; made once, as reading all the authorities takes time and memory."""
    return httpx2.create_ssl_context()


async def streams(sock: socket.socket) -> Streams:
    """What reads and writes a connected socket."""
    return await asyncio.open_connection(sock=sock, limit=_CHUNK)


async def dial(
    host: str,
    port: int,
    opened: Callable[[socket.socket], Awaitable[T]],
    *,
    interface: str | None = None,
    judge: Judge | None = None,
) -> T:
    """Connects to the first address of a host that answers.

    Args:
        host: a name, or an address.
        port: where it listens.
        opened: makes of a connected socket what reads and writes it.
        interface: name or address of the only interface to use, None = any.
        judge: why an address may not be connected to; asked of every address of a name.

    Raises:
        OSError: none answers, or one of the addresses may not be connected to.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for entry in found:
        if judge is not None and (why := judge(str(entry[4][0]), port)) is not None:
            raise OSError(why)
    problem = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        try:
            async with asyncio.timeout(_ONE_ADDRESS if number < len(found) else None):
                sock = socket.socket(family, kind, protocol)
                return await _connected(sock, address, interface, opened)
        except OSError as error:
            problem = error
    raise problem


async def _connected(
    sock: socket.socket,
    address: Any,
    interface: str | None,
    opened: Callable[[socket.socket], Awaitable[T]],
) -> T:
    try:
        sock.setblocking(False)
        if interface is not None:
            interfaces.bind(sock, interface)
        await asyncio.get_running_loop().sock_connect(sock, address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await opened(sock)
    except BaseException:
        sock.close()
        raise


def refused_by(error: Exception) -> str | None:
    """The sentence for a link that a `Judge` kept from being followed, None if none did."""
    if OUR_OWN in str(error):
        return "The link leads to this server itself."
    return "The link leads to an address that is blocked." if NOT_LET in str(error) else None


class _Proxied(httpx2.AsyncHTTPTransport):
    """Everything through the proxy, nothing if it does not answer."""

    def __init__(self, proxy: Proxy) -> None:
        auth = (proxy.user, proxy.password) if proxy.user else None
        super().__init__(
            verify=trust(), proxy=httpx2.Proxy(f"{proxy.scheme}://{proxy.place}", auth=auth)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one; a proxy that talks nonsense is one that does not work."""
        try:
            return await super().handle_async_request(request)
        except httpx2.HTTPError:
            raise
        except Exception as error:  # noqa: BLE001 (its parser raises what it likes)
            raise httpx2.ProxyError(f"the proxy is none ({type(error).__name__})") from None


class _Direct(httpx2.AsyncHTTPTransport):
    def __init__(self, interface: str | None, judge: Judge | None) -> None:
        super().__init__(verify=trust())
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trust(),
            max_connections=20,
            keepalive_expiry=5.0,
            network_backend=Backend(interface, judge),
        )


async def _plain_stream(sock: socket.socket) -> httpcore2.AsyncNetworkStream:
    return _Stream(*await streams(sock))


class Backend(httpcore2.AsyncNetworkBackend):
    """Connects as `Outbound` says; httpcore's own binds a socket when it is connected already.

    Args:
        interface: name or address of the only interface to use, None = any.
        judge: why an address may not be connected to; None = any may.
        opened: makes of a connected socket what reads and writes it.
    """

    def __init__(
        self,
        interface: str | None,
        judge: Judge | None,
        opened: Callable[[socket.socket], Awaitable[httpcore2.AsyncNetworkStream]] = _plain_stream,
    ) -> None:
        self._interface = interface
        self._judge = judge
        self._opened = opened

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the signature is httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of the host that answers."""
        async with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError, timeout):
            return await dial(
                host, port, self._opened, interface=self._interface, judge=self._judge
            )

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection, with TLS or without."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bytes:
        """What came, at least one byte unless it is over."""
        async with mapped(httpcore2.ReadTimeout, httpcore2.ReadError, timeout):
            return await self._reader.read(max_bytes)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Send it."""
        async with mapped(httpcore2.WriteTimeout, httpcore2.WriteError, timeout):
            self._writer.write(buffer)
            await self._writer.drain()

    async def aclose(self) -> None:
        """Close it; whether the other end says goodbye does not matter."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Go on encrypted, with a server that proved its name."""
        async with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError, timeout):
            await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about."""
        names = {"server_addr": "peername", "client_addr": "sockname"}
        if info == "is_readable":
            return self._reader.at_eof()
        return self._writer.get_extra_info(names.get(info, info))


@asynccontextmanager
async def mapped(
    late: type[Exception],
    broken: type[Exception],
    timeout: float | None,  # noqa: ASYNC109
) -> AsyncIterator[None]:
    """Bounds what is done with a connection, and gives its failures the types of httpcore."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise late("no answer in time") from None
    except (OSError, ValueError, ssl.SSLError) as error:
        raise broken(str(error)) from None

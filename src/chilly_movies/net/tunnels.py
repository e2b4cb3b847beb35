"""Connections to a host and port as the user's network settings want them: also through a proxy.

Spoken to a proxy: SOCKS 5 (RFC 1928, 1929) and CONNECT of HTTP (RFC 9110, section 9.3.6). Names are
resolved by the proxy.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress

from chilly_movies.net.outbound import Judge, Outbound, Streams, dial, streams
from chilly_movies.net.proxies import Proxy

_PATIENCE = 20.0
"""Seconds a proxy has to open a connection."""
_SOCKS_NAME, _SOCKS_V4, _SOCKS_V6 = 3, 1, 4
_REFUSALS = {
    2: "it is not allowed to", 3: "the network is unreachable", 4: "the host is unreachable",
    5: "the connection was refused",
}  # fmt: skip
"""Replies of RFC 1928, section 6."""


async def connect(outbound: Outbound, host: str, port: int, judge: Judge | None = None) -> Streams:
    """Connects to a host: straight, or through the user's proxy and not at all without that.

    Args:
        outbound: the way out.
        host: a name, or an address.
        port: where it listens.
        judge: why an address may not be connected to; what a name means to a proxy only that knows.

    Raises:
        OSError: nobody answers, the proxy refuses, or the address is none we talk to.
    """
    proxy = outbound.proxy
    if proxy is None:
        return await dial(host, port, streams, interface=outbound.interface, judge=judge)
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await dial(proxy.host, proxy.port, streams)
        try:
            ask = _ask_http if proxy.scheme == "http" else _ask_socks
            await ask(proxy, host, port, reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.transport.abort()
            raise OSError("the proxy is none") from None
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


async def _ask_http(
    proxy: Proxy, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.user:
        pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {pair}")
    writer.write("\r\n".join([*lines, "", ""]).encode("idna" if not host.isascii() else "ascii"))
    answer = await reader.readuntil(b"\r\n\r\n")
    status = int(answer.split(b" ", 2)[1][:3])
    if not 200 <= status < 300:
        raise OSError(f"the proxy answered {status}")


async def _ask_socks(
    proxy: Proxy, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    user, password = proxy.user.encode(), proxy.password.encode()
    way = 2 if user else 0
    writer.write(bytes((5, 1, way)))
    if await reader.readexactly(2) != bytes((5, way)):
        raise OSError("the proxy wants another way of signing in")
    if user:
        writer.write(bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await reader.readexactly(2))[1]:
            raise OSError("the proxy refuses the user name and password")
    writer.write(b"\x05\x01\x00" + _socks_host(host) + port.to_bytes(2, "big"))
    _, answer, _, kind = await reader.readexactly(4)
    if answer:
        raise OSError(f"the proxy refuses: {_REFUSALS.get(answer, f'reply {answer}')}")
    known = {_SOCKS_V4: 4, _SOCKS_V6: 16}.get(kind)
    await reader.readexactly((known or (await reader.readexactly(1))[0]) + 2)


def _socks_host(host: str) -> bytes:
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        name = host.encode("ascii" if host.isascii() else "idna")
        return bytes((_SOCKS_NAME, len(name))) + name
    return bytes((_SOCKS_V4 if len(packed) == 4 else _SOCKS_V6,)) + packed

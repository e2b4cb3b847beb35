"""Who asks: the address a request comes from, and which proxies are believed about it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

_MAX_HOPS = 16
"""Entries of `X-Forwarded-For` that are looked at, from the end."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_of(scope: Scope) -> str:
    """Who asks: the peer's address, for IPv6 its /64, all of which one client can use."""
    return client_network(scope["client"][0] if scope.get("client") else "")


def client_network(host: str) -> str:
    """Returns the address by which a client is counted: IPv4 as it is, IPv6 by its /64."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def parse_networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Reads networks from addresses and CIDR blocks.

    Raises:
        ValueError: one is neither.
    """
    return tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def is_in(host: str, networks: Collection[Network]) -> bool:
    """Tells whether the host is an address in one of these networks."""
    address = _address(host) if networks else None
    return address is not None and any(
        address.version == n.version and address in n for n in networks
    )


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


class ForwardedGate:
    """Takes the client's address from `X-Forwarded-For`, but only if a known proxy says so.

    Read from the right: each entry was added by the one behind it, so the first that is no known
    proxy is the client; what stands before it anybody can invent.

    Args:
        app: what comes next.
        proxies: addresses or CIDR blocks of the proxies in front of this server.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]) -> None:
        self._app = app
        self._proxies = parse_networks(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if self._proxies and scope["type"] == "http" and scope.get("client"):
            host, port = scope["client"]
            scope["client"] = (self._client(host, scope), port)
        await self._app(scope, receive, send)

    def _client(self, peer: str, scope: Scope) -> str:
        if not is_in(peer, self._proxies):
            return peer
        fields = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = b",".join(fields).decode("latin-1").split(",")
        for hop in reversed(hops[-_MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                return peer  # nothing behind a broken entry can be told apart from a lie
            peer = str(address)
            if not is_in(peer, self._proxies):
                return peer
        return peer

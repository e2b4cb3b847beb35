"""Who asks: the address a request comes from, and how clients are counted by it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from starlette.types import Scope

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
    address = address_of(host) if networks else None
    return address is not None and any(
        address.version == n.version and address in n for n in networks
    )


def address_of(text: str) -> Address | None:
    """Reads an IP address, with or without brackets; an IPv4 one in IPv6 clothes is IPv4."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address

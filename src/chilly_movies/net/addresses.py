"""Which addresses may be talked to. Private ones only if the user allowed them."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import socket

NON_PUBLIC_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4",
    "240.0.0.0/4",
)  # fmt: skip
NON_PUBLIC_V6 = (
    "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
    "2001::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9._-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = (
    ".localhost", ".local", ".localdomain", ".internal", ".home.arpa", ".lan", ".home", ".intranet",
)  # fmt: skip
"""RFC 6761, 6762 and 8375, and what home routers and companies use."""
_NETWORKS = tuple(ipaddress.ip_network(n) for n in (*NON_PUBLIC_V4, *NON_PUBLIC_V6))


def is_public(address: str) -> bool:
    """Whether a literal IP address is global unicast, with no private one wrapped inside it.

    IPv6 forms that carry an IPv4 address (mapped, 6to4, NAT64, Teredo) count as private: no
    tracker needs them, and they reach the IPv4 address they wrap.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    return not any(ip.version == n.version and ip in n for n in _NETWORKS)


def is_ours(address: str) -> bool:
    """Whether a literal IP address is one of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address.partition("%")[0], 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def literal_host_is_public(host: str) -> bool:
    """Like `is_public` for a host as a URL spells it; True for names, which are checked later.

    Every spelling that the C library takes for an IPv4 address counts (`127.1`, `0x7f.1`).
    """
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "" or f".{bare}".endswith(_LOCAL_NAMES):
        return False
    try:
        return is_public(bare)
    except ValueError:
        if "[" in host:
            return False
    try:
        return is_public(socket.inet_ntoa(socket.inet_aton(bare)))
    except (OSError, ValueError):
        # full-width digits and percent signs turn into addresses in some resolvers and clients,
        # and a name without a dot is looked for in the local network
        last = bare.rpartition(".")[2]  # no name ends in a number: some readers see an address
        return "." in bare and _NAME.fullmatch(bare) is not None and not _NUMBER.fullmatch(last)


async def resolves_to_public(host: str, port: int) -> bool:
    """Whether every address of the host is public.

    Raises:
        OSError: the name does not resolve.
    """
    if not literal_host_is_public(host):
        return False
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return all(is_public(str(entry[4][0])) for entry in found)

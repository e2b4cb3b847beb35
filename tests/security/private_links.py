"""Ways to name a private place in a link: whoever takes links from strangers refuses them all.

`{port}` stands for the port of a server on loopback that must never be asked. `NAMES` is what the
names in them resolve to: `answering` puts it in the place of the resolver. So that a redirect can
begin somewhere, `one_public` makes a single address of the loopback network a public one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest

from chilly_movies.net import addresses

PUBLIC = "127.77.0.1"
"""The address that `one_public` lets through; `PUBLIC_NAME` resolves to it."""
PUBLIC_NAME = "films.example"

SPELLINGS = {
    "loopback": "http://127.0.0.1:{port}/film.mkv",
    "another loopback address": "http://127.0.0.2:{port}/film.mkv",
    "two parts": "http://127.1:{port}/film.mkv",
    "three parts": "http://127.0.1:{port}/film.mkv",
    "decimal": "http://2130706433:{port}/film.mkv",
    "hexadecimal": "http://0x7f000001:{port}/film.mkv",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1:{port}/film.mkv",
    "hexadecimal in capitals": "http://0X7F.1:{port}/film.mkv",
    "octal": "http://017700000001:{port}/film.mkv",
    "octal parts": "http://0177.0.0.01:{port}/film.mkv",
    "mixed parts": "http://0x7f.0.0.01:{port}/film.mkv",
    "filled with zeros": "http://127.000.000.001:{port}/film.mkv",
    "a dot at the end": "http://127.0.0.1.:{port}/film.mkv",
    "nothing": "http://0.0.0.0:{port}/film.mkv",
    "the number nothing": "http://0:{port}/film.mkv",
    "this network": "http://0.1.2.3:{port}/film.mkv",
    "localhost": "http://localhost:{port}/film.mkv",
    "localhost in capitals": "http://LOCALHOST:{port}/film.mkv",
    "localhost with a dot": "http://localhost.:{port}/film.mkv",
    "below localhost": "http://a.localhost:{port}/film.mkv",
    "this machine's other name": "http://ip6-localhost:{port}/film.mkv",
    "full-width digits": "http://１２７.0.0.1:{port}/film.mkv",
    "full-width dots": "http://127。0。0。1:{port}/film.mkv",
    "circled digits": "http://①②⑦.0.0.1:{port}/film.mkv",
    "percent signs": "http://%31%32%37.0.0.1:{port}/film.mkv",
    "IPv6 loopback": "http://[::1]:{port}/film.mkv",
    "IPv6 loopback in full": "http://[0:0:0:0:0:0:0:1]:{port}/film.mkv",
    "IPv6 nothing": "http://[::]:{port}/film.mkv",
    "IPv6 mapped": "http://[::ffff:127.0.0.1]:{port}/film.mkv",
    "IPv6 mapped in hexadecimal": "http://[::ffff:7f00:1]:{port}/film.mkv",
    "IPv6 compatible": "http://[::127.0.0.1]:{port}/film.mkv",
    "IPv6 translated": "http://[::ffff:0:127.0.0.1]:{port}/film.mkv",
    "NAT64": "http://[64:ff9b::7f00:1]:{port}/film.mkv",
    "local NAT64": "http://[64:ff9b:1::7f00:1]:{port}/film.mkv",
    "6to4": "http://[2002:7f00:1::1]:{port}/film.mkv",
    "Teredo": "http://[2001:0:7f00:1::1]:{port}/film.mkv",
    "IPv6 link-local": "http://[fe80::1]:{port}/film.mkv",
    "IPv6 link-local of a zone": "http://[fe80::1%25lo]:{port}/film.mkv",
    "IPv6 site-local": "http://[fec0::1]:{port}/film.mkv",
    "IPv6 unique local": "http://[fd00::1]:{port}/film.mkv",
    "IPv6 multicast": "http://[ff02::1]:{port}/film.mkv",
    "home network": "http://192.168.1.1:{port}/film.mkv",
    "home network in decimal": "http://3232235777:{port}/film.mkv",
    "company network": "http://10.1:{port}/film.mkv",
    "another company network": "http://172.16.0.1:{port}/film.mkv",
    "carrier network": "http://100.64.0.1:{port}/film.mkv",
    "cloud metadata": "http://169.254.169.254/latest/meta-data/film.mkv",
    "cloud metadata in hexadecimal": "http://0xa9fea9fe/latest/film.mkv",
    "cloud metadata over IPv6": "http://[fd00:ec2::254]/latest/film.mkv",
    "cloud metadata by name": "http://metadata.google.internal/film.mkv",
    "multicast": "http://239.255.255.250:{port}/film.mkv",
    "broadcast": "http://255.255.255.255:{port}/film.mkv",
    "a name without a dot": "http://router:{port}/film.mkv",
    "a name of the home": "http://nas.local:{port}/film.mkv",
    "a user before it": "http://films.example@127.0.0.1:{port}/film.mkv",
    "a user and password before it": "http://films.example:80@127.0.0.1:{port}/film.mkv",
    "a backslash before it": "http://127.0.0.1:{port}\\@films.example/film.mkv",
    "blanks around it": "  http://127.0.0.1:{port}/film.mkv ",
    "TLS": "https://127.0.0.1:{port}/film.mkv",
}
"""Places that are private as they are written."""

RESOLVED = {
    "a name of loopback": "http://loopback.example:{port}/film.mkv",
    "a name of IPv6 loopback": "http://loopback6.example:{port}/film.mkv",
    "a name of a mapped address": "http://mapped.example:{port}/film.mkv",
    "a name with two answers": "http://two.example:{port}/film.mkv",
    "a name that changes its answer": "http://rebinding.example:{port}/film.mkv",
    "a name in capitals": "http://LOOPBACK.example:{port}/film.mkv",
}
"""Places whose names say nothing."""

SCHEMES = {
    "file": "file:///etc/passwd",
    "file on this machine": "file://localhost/etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/_GET%20/film.mkv",
    "dict": "dict://127.0.0.1:{port}/film.mkv",
    "ftp": "ftp://127.0.0.1:{port}/film.mkv",
    "no scheme": "//127.0.0.1:{port}/film.mkv",
}
"""Links that lead by other ways than http."""

PRIVATE_LINKS = {**SPELLINGS, **RESOLVED, **SCHEMES}
"""All of them, by what is special about each."""

NAMES: dict[str, list[str]] = {
    PUBLIC_NAME: [PUBLIC],
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "two.example": [PUBLIC, "127.0.0.1"],
    "localhost": ["127.0.0.1"],
}


def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names resolve as in `NAMES`, numbers as ever, and no name be asked outside."""
    loop = asyncio.get_running_loop()
    real, asked = loop.getaddrinfo, [0]

    async def resolve(host: Any, port: Any, **more: Any) -> list[Any]:
        name = (host.decode() if isinstance(host, bytes) else str(host)).lower().rstrip(".")
        if name == "rebinding.example":
            asked[0] += 1
            found = [PUBLIC if asked[0] % 2 else "127.0.0.1"]
        elif name not in NAMES:
            return await real(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        else:
            found = NAMES[name]
        kinds = [socket.AF_INET6 if ":" in it else socket.AF_INET for it in found]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, int(port)))
            for kind, address in zip(kinds, found, strict=True)
        ]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)


def one_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `PUBLIC` be an address like those of the open net; all others are what they are."""
    ours, loopback = ipaddress.ip_network(PUBLIC), ipaddress.ip_network("127.0.0.0/8")
    assert isinstance(loopback, ipaddress.IPv4Network)
    rest = tuple(net for net in addresses._NETWORKS if net != loopback)
    left = tuple(loopback.address_exclude(ipaddress.IPv4Network(str(ours))))
    monkeypatch.setattr(addresses, "_NETWORKS", (*rest, *left))

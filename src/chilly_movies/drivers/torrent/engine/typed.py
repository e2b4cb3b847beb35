"""Trackers and peers that the user typed: of them we ask no torrent's leave, and no setting's.

A private address that a torrent or a link names is left out, as whoever made it could have us call
what is in the user's network. One that is typed as a tracker or peer of its own, on the command
line, is the user's wish. For that the engine's filter has to let private addresses in, from whom
ever it hears of them. So a swarm with such an address is kept to what was typed: what the torrent
names is left out, and neither the DHT nor other peers are asked for peers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from chilly_movies.drivers.torrent.engine.gate import Gate, leads_out
from chilly_movies.drivers.torrent.engine.urls import place_of, tidy_url
from chilly_movies.errors import InvalidRequest
from chilly_movies.net.addresses import is_public, literal_host_is_public

_LAST_TIER = 99
"""Behind it come the tiers of WebSocket trackers."""
_PEER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Typed:
    """What the user typed.

    Attributes:
        trackers: announce URLs.
        peers: addresses and ports.
        alone: nobody else is asked, as one of them has a private address.
    """

    trackers: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()
    alone: bool = False

    def tiered(self, taken: Sequence[int]) -> Iterator[tuple[str, int]]:
        """The trackers, each in a tier of its own: of one tier the engine asks one."""
        first = max((tier for tier in taken if tier < _LAST_TIER), default=-1) + 1
        for number, url in enumerate(self.trackers):
            yield url, min(first + number, _LAST_TIER)


async def read_typed(
    trackers: Sequence[str],
    peers: Sequence[str],
    *,
    own_ports: Iterable[int],
    allow_private: bool,
    resolve: bool = True,
) -> Typed:
    """Reads what was typed.

    Args:
        trackers: announce URLs.
        peers: hosts and ports, like `192.168.1.5:6881`.
        own_ports: where our own API listens.
        allow_private: the setting lets all private addresses in.
        resolve: whether names may be looked up; what they mean to a proxy only the proxy knows.

    Raises:
        InvalidRequest: one is none, or our own API.
    """
    gate = Gate(allow_private=True, own_ports=tuple(own_ports), websockets=tuple(trackers))
    urls = tuple(dict.fromkeys(map(tidy_url, trackers)))
    for url in urls:
        if not gate.lets_tracker(url):
            raise InvalidRequest(
                f"The tracker {place_of(url)} is no address like http://192.168.1.10:8000/announce,"
                " or it is our own API.",
                field="trackers",
            )
    found = tuple([one for peer in peers for one in await _peer(peer, resolve=resolve)])
    public = [is_public(host) for host, _ in found]
    for url in urls:  # one that cannot be found is outside of the user's network
        named = literal_host_is_public(urlsplit(url).hostname or "")
        public.append(await leads_out(url, otherwise=True) if resolve else named)
    return Typed(urls, found, alone=not (allow_private or all(public)))


async def _peer(text: str, *, resolve: bool) -> list[tuple[str, int]]:
    """The addresses of a peer; those of a name are looked up."""
    match = _PEER.fullmatch(text.strip())
    if match is None or not 0 < int(match[2]) < 65536:
        raise InvalidRequest(
            f"The peer '{text}' is no address with a port, like 192.168.1.5:6881.", field="peers"
        )
    host, port = match[1].strip("[]"), int(match[2])
    try:
        return [(str(ipaddress.ip_address(host)), port)]
    except ValueError:
        if not resolve:
            sentence = "With a proxy --peer takes addresses, no names."
            raise InvalidRequest(sentence, field="peers") from None
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise InvalidRequest(f"The name '{host}' does not resolve.", field="peers") from None
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))

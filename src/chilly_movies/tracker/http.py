"""A small BitTorrent tracker: HTTP (BEP 3, 7, 23 and 48), and WebSocket for WebTorrent.

The HTTP face of a `SwarmTable` is here, the other one in `websocket`, on the same table: the
peers of a torrent count together, however they announce themselves.

It announces the address a request came from. The `ip`, `ipv4` and `ipv6` parameters of
the protocol are ignored on purpose: with them anybody could send a swarm's peers to a
third party.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeAlias
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from chilly_movies.tracker.serving import listen, serving
from chilly_movies.tracker.signalling import MAX_SCRAPE, Signalling
from chilly_movies.tracker.swarms import Peer, SwarmTable, parse_address
from chilly_movies.tracker.websocket import Limits, Sockets

Bencodable: TypeAlias = "int | str | bytes | Sequence[Bencodable] | Mapping[bytes, Bencodable]"

DEFAULT_INTERVAL = 120
DEFAULT_NUMWANT = 50
MAX_NUMWANT = 200
MAX_QUERY_BYTES = 8192


class BadQuery(Exception):
    """A request the tracker cannot answer; its text is the `failure reason`."""


def bencode(value: Bencodable) -> bytes:
    """Encodes a value as BEP 3 says: dictionary keys are bytes, and sorted."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, Mapping):
        return b"d%be" % b"".join(bencode(k) + bencode(value[k]) for k in sorted(value))
    return b"l%be" % b"".join(map(bencode, value))


@dataclass(frozen=True, slots=True)
class Announce:
    """One understood announce request."""

    info_hash: bytes
    peer: Peer
    event: bytes
    numwant: int
    compact: bool


def parse_query(query: bytes) -> dict[bytes, list[bytes]]:
    """Splits a raw query string; values stay bytes, as info hashes are not text.

    Args:
        query: what stands after the question mark, still percent-encoded.

    Returns:
        Each name with its values in order.

    Raises:
        BadQuery: it is longer than any honest one.
    """
    if len(query) > MAX_QUERY_BYTES:
        raise BadQuery("query too long")
    fields: dict[bytes, list[bytes]] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        fields.setdefault(name, []).append(unquote_to_bytes(value.replace(b"+", b" ")))
    return fields


def parse_announce(query: bytes, client_ip: str) -> Announce:
    """Reads an announce request.

    Args:
        query: the raw query string.
        client_ip: where the request came from.

    Returns:
        The request, with `numwant` brought within limits.

    Raises:
        BadQuery: something needed is missing or makes no sense.
    """
    fields = parse_query(query)
    peer_id = _twenty_bytes(fields, b"peer_id")
    try:
        ip = parse_address(client_ip)
    except ValueError:
        raise BadQuery("cannot tell your address") from None
    ports = fields.get(b"port", [])
    if len(ports) != 1 or not _is_number(ports[0]) or not 1 <= int(ports[0]) <= 65_535:
        raise BadQuery("port must be given once, from 1 to 65535")
    peer = Peer(
        peer_id=peer_id,
        ip=ip,
        port=int(ports[0]),
        complete=fields.get(b"left") == [b"0"],
    )
    # A negative numwant means "your choice" to several clients.
    wanted = fields.get(b"numwant", [b""])[0]
    return Announce(
        info_hash=_twenty_bytes(fields, b"info_hash"),
        peer=peer,
        event=fields.get(b"event", [b""])[0],
        numwant=min(int(wanted), MAX_NUMWANT) if _is_number(wanted) else DEFAULT_NUMWANT,
        compact=fields.get(b"compact") != [b"0"],
    )


def _twenty_bytes(fields: dict[bytes, list[bytes]], name: bytes) -> bytes:
    values = fields.get(name, [])
    if len(values) != 1 or len(values[0]) != 20:
        raise BadQuery(f"{name.decode()} must be given once, as 20 bytes")
    return values[0]


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 9


def answer_announce(swarms: SwarmTable, asked: Announce, interval: int) -> dict[bytes, Bencodable]:
    """Takes an announce into the table and says what to answer."""
    if asked.event == b"stopped":
        swarms.leave(asked.info_hash, asked.peer)
        peers: list[Peer] = []
    else:
        completed = asked.event == b"completed" and asked.peer.complete
        swarms.join(asked.info_hash, asked.peer, just_completed=completed)
        peers = swarms.peers_for(asked.info_hash, asked.peer, asked.numwant)
    if asked.compact:
        lists: dict[bytes, Bencodable] = {
            b"peers": b"".join(peer.compact for peer in peers if peer.ip.version == 4)
        }
        if six := b"".join(peer.compact for peer in peers if peer.ip.version == 6):
            lists[b"peers6"] = six
    else:
        lists = {
            b"peers": [
                {b"peer id": peer.peer_id, b"ip": str(peer.ip), b"port": peer.port}
                for peer in peers
            ]
        }
    counts = swarms.counts(asked.info_hash)
    return {
        b"interval": interval,
        b"min interval": max(1, interval // 2),
        b"complete": counts.complete,
        b"incomplete": counts.incomplete,
        **lists,
    }


def answer_scrape(swarms: SwarmTable, query: bytes) -> dict[bytes, Bencodable]:
    """Says how large the swarms asked for are; there is no scrape of everything.

    Raises:
        BadQuery: no info hash, too many, or one that is not 20 bytes long.
    """
    wanted = parse_query(query).get(b"info_hash", [])
    if not 1 <= len(wanted) <= MAX_SCRAPE or any(len(info_hash) != 20 for info_hash in wanted):
        raise BadQuery(f"give 1 to {MAX_SCRAPE} info_hash of 20 bytes")
    files: dict[bytes, Bencodable] = {}
    for info_hash in wanted:
        counts = swarms.counts(info_hash)
        files[info_hash] = {
            b"complete": counts.complete,
            b"incomplete": counts.incomplete,
            b"downloaded": counts.downloaded,
        }
    return {b"files": files}


class Tracker:
    """The tracker's state and its ASGI app.

    Args:
        swarms: the table to serve; a new one if not given, its peers kept 2.5 intervals.
        interval: the seconds between two announces that clients are asked for.
        limits: what WebSocket clients may cost.

    Attributes:
        swarms: the peers of each torrent.
        sockets: the WebSocket connections.
        app: the ASGI app with `/announce` and `/scrape`, and WebSocket at `/announce` and `/`.
            Bad requests get a `failure reason` with status 200, which is where clients look
            for it.
    """

    def __init__(
        self,
        swarms: SwarmTable | None = None,
        *,
        interval: int = DEFAULT_INTERVAL,
        limits: Limits | None = None,
    ) -> None:
        self.swarms = SwarmTable(peer_ttl=2.5 * interval) if swarms is None else swarms
        self.limits = limits or Limits(idle=2.5 * interval)
        self.sockets = Sockets(Signalling(self.swarms, interval=interval), self.limits)
        self._interval = interval
        self.app = Starlette(
            routes=[
                Route("/announce", self._answer),
                Route("/scrape", self._answer),
                WebSocketRoute("/announce", self.sockets.serve),
                WebSocketRoute("/", self.sockets.serve),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        query = request.scope["query_string"]
        try:
            if request.url.path == "/scrape":
                answer = answer_scrape(self.swarms, query)
            else:
                asked = parse_announce(query, request.client.host if request.client else "")
                answer = answer_announce(self.swarms, asked, self._interval)
        except BadQuery as error:
            answer = {b"failure reason": str(error)}
        headers = {"Cache-Control": "no-store"}
        return Response(bencode(answer), media_type="text/plain", headers=headers)


# --- serving it --------------------------------------------------------------------


class AnnounceUrl(str):
    """The HTTP announce URL of a tracker that is served.

    Attributes:
        ws: its WebSocket announce URL.
    """

    __slots__ = ("ws",)
    ws: str

    def __new__(cls, host: str, port: int) -> Self:
        """Builds both from where the tracker listens."""
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        url = super().__new__(cls, f"http://{where}/announce")
        url.ws = f"ws://{where}/announce"
        return url


@asynccontextmanager
async def run_tracker(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    swarms: SwarmTable | None = None,
    interval: int = DEFAULT_INTERVAL,
) -> AsyncIterator[AnnounceUrl]:
    """Serves a tracker inside the running loop for as long as the context is open.

    Args:
        host: the IP address to listen on; `localhost` is loopback, IPv4 and IPv6.
        port: the port to listen on; 0 picks a free one.
        swarms: the table to serve; a new one if not given.
        interval: the seconds between two announces that clients are asked for.

    Yields:
        The announce URL, which knows the one for WebSocket, too.

    Raises:
        OSError: the address cannot be listened on.
    """
    async with serve_tracker(Tracker(swarms, interval=interval), host, port) as url:
        yield url


@asynccontextmanager
async def serve_tracker(
    tracker: Tracker, host: str = "127.0.0.1", port: int = 0, *, proxies: Sequence[str] = ()
) -> AsyncIterator[AnnounceUrl]:
    """Like `run_tracker`, for a tracker that exists already.

    Args:
        tracker: what to serve.
        host: the IP address to listen on; `localhost` is loopback, IPv4 and IPv6.
        port: the port to listen on; 0 picks a free one.
        proxies: addresses and CIDR blocks of proxies that say for whom they ask.

    Yields:
        The announce URL, which knows the one for WebSocket, too.

    Raises:
        OSError: the address cannot be listened on.
    """
    listeners = listen(host, port)
    bound = listeners[0].getsockname()[1]
    most = tracker.limits.connections
    async with serving(tracker.app, listeners, max_sockets=most, proxies=proxies):
        yield AnnounceUrl(host, bound)

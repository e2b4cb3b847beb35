"""A server at home that nobody may be led to (A21): in every spelling, by every way in."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine.fetch import fetch_torrent
from chilly_movies.errors import SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.net import addresses
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from tests.acceptance.backend import Backend
from tests.doubles import until

pytestmark = pytest.mark.anyio

SPELLINGS = (
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.0.2", "127.2", "0.0.0.0", "0", "0.0",
    "0.0.0", "00", "0x0", "localhost", "LOCALHOST", "LocalHost", "localhost.", "LOCALHOST.",
    "127.0.0.1.",
    "2130706433", "2130706434", "02130706433", "0x7f000001", "0X7F000001", "0x7F000002",
    "0x007f000001", "0x7f.1", "0x7F.0x1", "0X7F.0.0.1", "0x7f.0.0.0x1", "127.0x1", "0x7f.0.1",
    "0177.0.0.1", "0177.1", "0177.0.1", "017700000001", "0000177.0.0.01", "0177.0x0.0.1",
    "127.000.000.001", "127.00.00.01", "127.0.00.2", "127.65536", "0177.0.0.02",
    "[::1]", "[0::1]", "[::0:1]", "[0:0::1]", "[0:0:0:0:0:0:0:1]", "[::0001]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[0::]", "[0:0:0:0:0:0:0:0]",
    "[::ffff:127.0.0.1]", "[::FFFF:127.0.0.1]", "[::ffff:127.0.0.2]", "[::ffff:7f00:1]",
    "[::ffff:7F00:0002]", "[0:0:0:0:0:ffff:127.0.0.1]", "[0:0:0:0:0:FFFF:7f00:1]",
    "[::ffff:0:127.0.0.1]", "[::ffff:0.0.0.0]", "[::127.0.0.1]", "[::7f00:1]", "[::%lo]",
    "[::1%lo]", "[::1%25lo]", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1", "user@127.0.0.1", "films.example@127.0.0.1", "127.0.0.1\\@films.example",
)  # fmt: skip
"""All lead to this machine, if anybody reads them so."""
SCHEMES = ("http", "https", "udp", "ws", "wss")
WAITED = 1.5
HOPS = range(1, 6) if "CHILLY_ALL_HOPS" in os.environ else (1, 5)
_PIECE = 16 * 1024


@dataclass
class Canary:
    """A server on all loopback addresses of one port; it only counts who comes.

    Attributes:
        port: where it listens, for TCP and UDP.
        visits: what was said to it first, over TCP.
        datagrams: what came over UDP.
    """

    port: int = 0
    visits: list[bytes] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody came."""
        number = len(self.visits)
        self.visits.append(b"")
        try:
            async with asyncio.timeout(5):
                self.visits[number] = await reader.read(200)
        except (OSError, TimeoutError):
            pass
        writer.close()

    def __len__(self) -> int:
        return len(self.visits) + len(self.datagrams)

    def heard(self, word: bytes) -> bool:
        """Whether this was among what was said."""
        return any(word in visit for visit in self.visits)


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    made = Canary()

    class Udp(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _address: Any) -> None:
            made.datagrams.append(data)

    async with AsyncExitStack() as stack:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            server = await asyncio.start_server(made.visited, host, made.port)
            await stack.enter_async_context(server)
            made.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            transport, _ = await loop.create_datagram_endpoint(Udp, local_addr=(host, made.port))
            stack.callback(transport.close)
        yield made


def torrent(number: int, port: int, spellings: tuple[str, ...], scheme: str) -> bytes:
    """A torrent that names them all as trackers of this scheme, and as web seeds."""
    info: Any = {b"name": b"film-%d" % number, b"piece length": _PIECE, b"length": _PIECE,
                 b"pieces": hashlib.sha1(b"%d" % number).digest()}  # fmt: skip
    trackers = [[f"{scheme}://{host}:{port}/announce".encode()] for host in spellings]
    seeds = [f"http://{host}:{port}/seed?x=1".encode() for host in spellings[:19]]
    made: Any = {b"info": info, b"announce-list": trackers, b"url-list": seeds}
    return bytes(lt.bencode(made))


async def send_all(ours: Backend, port: int, spellings: tuple[str, ...]) -> None:
    """Give all spellings to the backend in every role it takes from strangers."""
    parts = [spellings[i : i + 19] for i in range(0, len(spellings), 19)]
    number = 0
    for scheme in SCHEMES:
        for part in parts:
            number += 1
            files = {"torrent": ("x.torrent", torrent(number, port, part, scheme))}
            answer = await ours.http.post("/download/start", data={"id": f"t{number}"}, files=files)
            assert answer.status_code == 200, answer.text
    for at, part in enumerate(parts):
        peers = "".join(f"&x.pe={host}:{port}" for host in part)
        body = {"id": f"m{at}", "sourceUrn": f"magnet:?xt=urn:btih:{at + 1:040x}{peers}"}
        answer = await ours.http.post("/download/start", json=body)
        assert answer.status_code == 200, answer.text
    for at, host in enumerate(spellings[:: 1 if len(HOPS) > 2 else 4]):
        body = {"id": f"l{at}", "sourceUrn": f"http://{host}:{port}/link.torrent"}
        answer = await ours.http.post("/download/start", json=body)
        assert answer.status_code in (200, 409, 422), (
            answer.text
        )  # 409: the same but for a user name


def settings(*, private: bool) -> dict[str, str]:
    return {
        "CHILLY_ALLOW_PRIVATE_ADDRESSES": str(private).lower(), "CHILLY_INTERFACE": "",
        "CHILLY_WEBTORRENT": "true", "CHILLY_WEBTORRENT_TRACKERS": "", "CHILLY_MAX_ACTIVE": "200",
        "CHILLY_RATE_LIMIT_START": "9999/minute",
    }  # fmt: skip


async def test_no_spelling_of_this_machine_is_talked_to_by_any_way_in(tmp_path: Path) -> None:
    assert len(SPELLINGS) >= 60
    async with canary() as home, Backend(tmp_path, settings(private=False), warm=True) as ours:
        await send_all(ours, home.port, SPELLINGS)
        jobs = (await ours.http.get("/downloads?limit=200")).json()["items"]
        assert len(jobs) > 20
        await asyncio.sleep(WAITED)
        assert (home.visits, home.datagrams) == ([], [])


async def test_the_same_ways_lead_there_where_private_addresses_are_allowed(tmp_path: Path) -> None:
    async with canary() as home, Backend(tmp_path, settings(private=True), warm=True) as ours:
        await send_all(ours, home.port, ("127.0.0.1", "[::1]"))
        for word in (b"GET /announce?", b"GET /seed", b"GET /link.torrent", b"Upgrade: websocket",
                     b"BitTorrent protocol", b"\x16\x03"):  # fmt: skip
            await until(lambda word=word: home.heard(word), 30)  # type: ignore[misc]
        await until(lambda: home.datagrams, 30)


# --- links ----------------------------------------------------------------------------------


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of this machine that counts as one of the Internet."""
    kept = [n for n in addresses._NETWORKS if str(n) != "127.0.0.0/8"]
    monkeypatch.setattr(addresses, "_NETWORKS", (*kept, ipaddress.ip_network("127.0.0.1/32")))
    return "127.0.0.2"


@asynccontextmanager
async def hops(host: str, count: int) -> AsyncIterator[str]:
    """A server that redirects so many times, and then to the address after the `?`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        way, _, end = line.partition(b"?")
        left = int(way.rsplit(b"/", 1)[1]) - 1
        to = unquote_to_bytes(end) if left == 0 else b"/hop/%d?%b" % (left, end)
        writer.write(b"HTTP/1.1 302 x\r\nLocation: %b\r\nContent-Length: 0\r\n"
                     b"Connection: close\r\n\r\n" % to)  # fmt: skip
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, host, 0) as server:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}/hop/{count}?"


@pytest.mark.parametrize("count", HOPS)
async def test_no_redirect_leads_home_however_many_come_before(public: str, count: int) -> None:
    private = [host for host in SPELLINGS if not re.search(r"2\]?$|34$", host)]

    async def follow(start: str, host: str) -> None:
        end = quote(f"http://{host}:{home.port}/link.torrent", safe="")
        await fetch_torrent(Source(SourceType.TORRENT, start + end), NetworkPolicy(NetworkConfig()))

    async with canary() as home, hops(public, count) as start:
        for host in private[:: 1 if len(HOPS) > 2 else 5]:
            with pytest.raises((SourceRejected, SourceUnavailable)):
                await follow(start, host)
        assert len(home) == 0
        with pytest.raises(SourceUnavailable):  # the canary says nothing
            await follow(start, public)
        assert len(home) == 1  # so the hops are taken


async def test_a_name_that_leads_elsewhere_at_the_second_look_leads_nowhere(
    public: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    real = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **more: Any) -> Any:
        nonlocal looks
        if host not in ("films.example", b"films.example"):
            return real(host, *rest, **more)
        looks += 1
        return real(public if looks % 2 else "127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with canary() as home:
        url = f"http://films.example:{home.port}/link.torrent"
        for _ in range(10):
            with pytest.raises((SourceRejected, SourceUnavailable)):
                await fetch_torrent(Source(SourceType.TORRENT, url), NetworkPolicy(NetworkConfig()))
        assert (looks, len(home)) == (20, 0)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **m: real(public, *a[1:], **m))
        with pytest.raises(SourceUnavailable):
            await fetch_torrent(Source(SourceType.TORRENT, url), NetworkPolicy(NetworkConfig()))
        assert len(home) == 1

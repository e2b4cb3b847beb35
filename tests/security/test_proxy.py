"""With a proxy everything goes through it, and nothing goes round it: every packet is looked at."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.proxy_server import ProxyServer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of
from tests.peers.two_networks import (
    CABLE,
    FRIEND,
    OURS,
    PEER,
    PROXY,
    STRANGER,
    TRACKER,
    Capture,
    TwoNetworks,
    served_outside,
    started_outside,
    summary,
    two_networks,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

PORT = 46_881
NAME = "tracker.films.example"
USER, PASSWORD = "canary-proxy-user", "canary/proxy:password"
OPEN = {
    "CHILLY_INTERFACE": "", "CHILLY_ALLOW_PRIVATE_ADDRESSES": "false", "CHILLY_DHT": "true",
    "CHILLY_LSD": "true", "CHILLY_UPNP": "true", "CHILLY_WEBTORRENT": "true",
    "CHILLY_STUN_SERVER": f"{STRANGER}:3478", "CHILLY_LOG_LEVEL": "debug",
    "CHILLY_TORRENT_PORT": str(PORT), "CHILLY_WEBTORRENT_TRACKERS": f"ws://{STRANGER}:8000/",
    "CHILLY_TMDB_BEARER_TOKEN": "token", "CHILLY_TMDB_BASE_URL": f"http://{STRANGER}:8001/3",
}  # fmt: skip
"""Everything on that could go round a proxy."""


@pytest.fixture
def networks() -> Iterator[TwoNetworks]:
    with two_networks() as networks:
        yield networks


@asynccontextmanager
async def file_server(body: bytes) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, FRIEND, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def film(folder: Path, *trackers: str, seeds: Sequence[str] = ()) -> Torrent:
    make_film(folder / "film.mkv", 300_000)
    return make_torrent(
        folder / "film.mkv", folder / "film.torrent", trackers=trackers, web_seeds=seeds
    )


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
async def test_a_film_comes_through_the_proxy_and_no_packet_goes_anywhere_else(
    tmp_path: Path, networks: TwoNetworks, scheme: str
) -> None:
    proxy = ProxyServer({NAME: TRACKER, "files.example": FRIEND}, USER, PASSWORD)
    async with (
        served_outside(networks, run_tracker(TRACKER)) as tracker,
        started_outside(networks, LibtorrentPeer(host=PEER)) as seeder,
        served_outside(networks, proxy.listening(PROXY)) as port,
    ):
        ours = film(tmp_path, tracker.replace(TRACKER, NAME))
        theirs = make_torrent(ours.content, tmp_path / "theirs.torrent", trackers=[tracker])
        await seeder.seed(theirs.path, theirs.folder)
        url = f"{scheme}://{USER}:{PASSWORD.replace('/', '%2F').replace(':', '%3A')}@{PROXY}:{port}"
        async with served_outside(networks, file_server(ours.path.read_bytes())) as files:
            with Capture() as capture:
                async with Backend(tmp_path, {**OPEN, "CHILLY_PROXY": url}, warm=True) as backend:
                    await backend.start(f"http://files.example:{files}/film.torrent", id="a")
                    job = await backend.wait("a")
                    await backend.http.get("/metadata/search?query=film")
                    said = backend.log()
                sent = summary(capture.take())
    assert job["status"] == "completed"
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(ours.content)
    assert {(kind, to, number) for kind, to, number in sent if kind != "arp"} == {
        ("tcp", PROXY, port)
    }
    asked = set(proxy.asked)
    assert {f"files.example:{files}", f"{PEER}:{seeder.port}", f"{STRANGER}:8001"} <= asked
    assert tracker.split("/")[2].replace(TRACKER, NAME) in asked
    assert not proxy.refused
    assert PASSWORD not in said
    assert USER not in said


DEAD = f"socks5://{PROXY}:1080"


def strangers_call(networks: TwoNetworks, *, is_answered: bool) -> None:
    """Somebody outside asks our UDP port for a DHT node, and for a uTP connection."""
    ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
    with networks.outside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 5555))
        sock.settimeout(1)
        for _ in range(20 if is_answered else 1):  # the engine answers not always
            for message in (ping, b"\x41\0\x12\x34" + bytes(8) + b"\0\x10\0\0\0\x01\0\0"):
                sock.sendto(message, (OURS[CABLE], PORT))
            with suppress(TimeoutError):
                if is_answered:
                    sock.recv(1500)
                    return


async def calls_of(
    folder: Path, networks: TwoNetworks, settings: dict[str, str] | None = None
) -> set[str]:
    """Whom a server calls that has a film, a magnet, a link, and a question for the catalogue."""
    whole = film(
        folder, f"http://{TRACKER}:8003/announce", seeds=[f"http://{FRIEND}:8080/film.mkv"]
    )
    magnet = (
        f"magnet:?xt=urn:btih:{'a' * 40}&tr=http://{TRACKER}:8000/announce"
        f"&tr=udp://{TRACKER}:8001/announce&x.pe={PEER}:5000"
        f"&tr=wss://{TRACKER}:8002/&ws=http://{FRIEND}:8080/film.mkv"
    )
    if settings:  # a proxy resolves names; without one the system would ask in vain for long
        magnet += f"&tr=http://{NAME}/announce"
    with Capture() as capture:
        async with Backend(folder, {**OPEN, **(settings or {})}, warm=True) as backend:
            await backend.start(magnet, id="a")
            files = {"torrent": whole.path.read_bytes()}
            await backend.http.post("/download/start", data={"id": "c"}, files=files)
            await backend.start(f"http://{FRIEND}:8081/film.torrent", id="b")
            await asyncio.gather(
                backend.http.get("/metadata/search?query=film"),
                backend.until("b", lambda event: event.get("error")),
                asyncio.sleep(2),  # to show that nothing comes
            )
            strangers_call(networks, is_answered=not settings)
            await asyncio.sleep(0.3)
            if not settings:  # its end would wait for names that nobody resolves
                await backend.kill()
        return {f"{to}:{port}" for kind, to, port in summary(capture.take()) if kind != "arp"}


async def test_with_a_dead_proxy_no_packet_goes_anywhere_else(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    assert await calls_of(tmp_path, networks, {"CHILLY_PROXY": DEAD}) == {f"{PROXY}:1080"}


async def test_without_a_proxy_the_same_things_do_go_out(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    called = await calls_of(tmp_path, networks)
    wanted = {TRACKER: 8001, PEER: 5000, FRIEND: 8080, STRANGER: 5555}
    assert {f"{host}:{port}" for host, port in wanted.items()} <= called
    assert {f"{FRIEND}:8081", f"{STRANGER}:8001"} <= called


async def test_without_force_webrtc_goes_round_the_proxy(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    called = await calls_of(
        tmp_path, networks, {"CHILLY_PROXY": DEAD, "CHILLY_PROXY_FORCE": "false"}
    )
    assert called > {f"{PROXY}:1080"}
    assert f"{TRACKER}:8002" in called
    assert f"{TRACKER}:8001" not in called

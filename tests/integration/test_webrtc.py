"""Browsers are peers: our driver and WebTorrent clients, with only a WebSocket tracker between."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from chilly_movies import Phase, Status
from chilly_movies.drivers.torrent.mends import stun
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Transport
from tests.integration.engine import running, until
from tests.peers.available import require
from tests.peers.browser import BrowserPeer
from tests.peers.chilly_tracker import ChillyTracker
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.node_tracker import NodeTracker
from tests.peers.process import LinePeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of
from tests.peers.webtorrent import WebTorrentPeer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180), pytest.mark.xdist_group("webrtc")]

MIB = 1 << 20
RTC_ONLY = {
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
}
Kind = Literal["node", "chromium", "libtorrent"]
Tracker = ChillyTracker | NodeTracker
NODE, CHROMIUM, LIBTORRENT = "node", "chromium", "libtorrent"
OURS, NPM = ChillyTracker, NodeTracker


@pytest.fixture
def network() -> Iterator[Network]:
    with network_namespace() as network:
        yield network


@pytest.fixture
async def tracker(network: Network, request: pytest.FixtureRequest) -> AsyncIterator[Tracker]:
    """`chilly tracker`, or the one a test asks for."""
    require("webtorrent")
    async with getattr(request, "param", ChillyTracker)(host=network.address) as tracker:
        yield tracker


@asynccontextmanager
async def ours(folder: Path, network: Network, **engine: Any) -> AsyncIterator[Downloader]:
    """Our downloader with WebRTC as its only transport, unless `engine` says otherwise."""
    assert network.address  # proves that this runs inside a namespace
    settings = {"interface": None, "webtorrent": True, "extra": RTC_ONLY, **engine}
    async with running(folder, **settings) as downloader:
        yield downloader


def foreign(kind: Kind, network: Network) -> LinePeer:
    if kind == "chromium":
        require("chromium")
        return BrowserPeer()
    if kind == "libtorrent":
        return LibtorrentPeer(tcp=False, host=network.address)
    return WebTorrentPeer(rtc=True, tcp=False, host=network.address)


def film_for(tmp_path: Path, tracker_url: str, size: int = 4 * MIB, **more: Any) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", size)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", trackers=[tracker_url], **more
    )


@pytest.mark.parametrize(
    ("kind", "tracker"),
    [(NODE, OURS), (CHROMIUM, OURS), (CHROMIUM, NPM), (LIBTORRENT, OURS)],
    indirect=["tracker"],
)
async def test_a_film_arrives_from_a_webtorrent_seeder_over_webrtc_only(
    tmp_path: Path, network: Network, tracker: Tracker, kind: Kind
) -> None:
    film = film_for(tmp_path, tracker.ws, 2 * MIB)
    async with foreign(kind, network) as seeder, ours(tmp_path, network) as downloader:
        await seeder.seed(film.path, film.folder)
        await downloader.start(id="a", source_urn=film.magnet, download_limit=MIB)
        await until(downloader, "a", lambda job: job.progress.transports.webrtc == 1)
        peers = await downloader.peers("a")
        job = await downloader.wait("a")
    assert [peer.transport for peer in peers] == [Transport.WEBRTC]
    assert peers[0].percent == 100
    assert ("WebTorrent" in peers[0].client) == (kind != LIBTORRENT)
    assert job.status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


@pytest.mark.parametrize(
    ("kind", "tracker"),
    [(NODE, OURS), (NODE, NPM), (CHROMIUM, OURS), (LIBTORRENT, OURS)],
    indirect=["tracker"],
)
async def test_a_webtorrent_leecher_gets_the_film_from_ours_over_webrtc_only(
    tmp_path: Path, network: Network, tracker: Tracker, kind: Kind
) -> None:
    film = film_for(tmp_path, tracker.ws)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "film.mkv").write_bytes(film.content.read_bytes())
    data = film.path.read_bytes()
    async with ours(tmp_path, network, seed_ratio=10.0) as downloader:
        await downloader.adopt("film.mkv", data, id="a")
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        async with foreign(kind, network) as leecher:
            await leecher.leech(film.path, tmp_path / "got")
            await leecher.wait_done(within=60)
            assert set(await leecher.wires()) <= {"webrtc"}  # two who are complete may part
    assert sha256_of(tmp_path / "got" / "film.mkv") == sha256_of(film.content)


async def test_a_silent_stun_server_is_found_out_and_left_alone(
    tmp_path: Path, network: Network, tracker: Tracker
) -> None:
    film = film_for(tmp_path, tracker.ws, MIB)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((network.address, 0))
        server = f"{network.address}:{silent.getsockname()[1]}"
        async with ours(tmp_path, network, stun_server=server) as downloader:
            await downloader.start(id="a", source_urn=film.magnet)
            job = await until(downloader, "a", lambda j: bool(j.reason and "STUN" in j.reason))
            async with foreign("libtorrent", network) as seeder:
                await seeder.seed(film.path, film.folder)
                began = asyncio.get_running_loop().time()
                await downloader.wait("a")
                took = asyncio.get_running_loop().time() - began
    assert job.reason is not None
    assert f"STUN server {server} does not answer" in job.reason
    assert took < 23  # the engine alone would wait 23.5 s at each announce


async def test_a_stun_server_that_answers_is_kept(network: Network) -> None:
    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(struct.pack("!HH", 0x0101, 0) + data[4:20], addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=(network.address, 0))
    port = transport.get_extra_info("sockname")[1]
    assert await stun.answers(f"{network.address}:{port}")
    assert await stun.answers(f"stun:{network.address}:{port}")
    transport.close()
    assert not await stun.answers(f"{network.address}:9")


async def test_a_dead_websocket_tracker_is_said_in_the_reason(
    tmp_path: Path, network: Network
) -> None:
    film = film_for(tmp_path, f"ws://{network.address}:9/")
    async with ours(tmp_path, network) as downloader:
        await downloader.start(id="a", source_urn=film.magnet)
        await until(
            downloader, "a", lambda job: bool(job.reason and "refuses or does not" in job.reason)
        )


@pytest.mark.parametrize("tracker", [NodeTracker], indirect=True)
async def test_a_v2_only_torrent_says_why_it_cannot_use_webrtc(
    tmp_path: Path, network: Network, tracker: NodeTracker
) -> None:
    film = film_for(tmp_path, tracker.ws, version="v2")
    async with ours(tmp_path, network) as downloader:
        await downloader.start(id="a", torrent=film.path.read_bytes())
        await until(downloader, "a", lambda job: bool(job.reason and "v2 hash only" in job.reason))
    assert await tracker.announces() == []

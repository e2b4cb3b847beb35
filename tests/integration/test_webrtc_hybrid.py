"""One swarm of TCP and WebRTC peers at once, through the server's peers route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.peers.available import require
from tests.peers.chilly_tracker import ChillyTracker
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.torrents import make_film, make_torrent, sha256_of
from tests.peers.webtorrent import WebTorrentPeer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.xdist_group("webrtc")]

MIB = 1 << 20
PIECES = 32


@pytest.fixture
def network() -> Iterator[Network]:
    with network_namespace() as network:
        yield network


@pytest.fixture
async def tracker(network: Network) -> AsyncIterator[ChillyTracker]:
    require("webtorrent")
    async with ChillyTracker(host=network.address) as tracker:
        yield tracker


async def test_a_tcp_and_a_webrtc_seeder_at_one_address_with_a_half_each_make_a_whole(
    tmp_path: Path, network: Network, tracker: ChillyTracker
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 4 * MIB)
    film = make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent",
        trackers=[tracker.ws], piece_size=4 * MIB // PIECES,
    )  # fmt: skip
    settings = {"CHILLY_INTERFACE": "", "CHILLY_WEBTORRENT": "true"}
    settings |= {"CHILLY_WEBTORRENT_TRACKERS": ""}
    async with (
        WebTorrentPeer(rtc=True, tcp=False, host=network.address) as browser,
        LibtorrentPeer(host=network.address, settings={"max_webtorrent_offers": 0}) as desktop,
        Backend(tmp_path / "ours", settings, warm=True) as ours,
    ):
        await browser.seed(film.path, film.folder, have=range(16, PIECES))
        await desktop.seed(film.path, film.folder, have=range(16))
        urn = f"{film.magnet}&x.pe={network.address}:{desktop.port}"
        await ours.start(urn, id="a", downloadLimit=MIB)
        await ours.until(
            "a",
            lambda event: (
                event["progress"]["transports"]["webrtc"] == 1
                and event["progress"]["transports"]["tcp"] == 1
            ),
        )
        peers = (await ours.http.get("/downloads/a/peers")).json()
        job = await ours.wait("a")
        for seeder in (browser, desktop):
            assert (await seeder.stats()).uploaded >= 2 * MIB
    found = peers if isinstance(peers, list) else peers["peers"]
    assert {peer["transport"] for peer in found} == {"webrtc", "tcp"}
    assert {peer["percent"] for peer in found} == {50.0}
    assert job["status"] == "completed"
    assert sha256_of(ours.media / "film.mkv") == sha256_of(film.content)

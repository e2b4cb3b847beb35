"""The harness alone: WebTorrent clients of three kinds find each other over WebRTC only."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.peers.available import require
from tests.peers.browser import BrowserPeer
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.node_tracker import NodeTracker
from tests.peers.process import LinePeer, PeerError
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of
from tests.peers.webtorrent import WebTorrentPeer

pytestmark = pytest.mark.anyio

Kind = Literal["libtorrent", "node", "chromium"]

SIZE = 2 << 20
PIECE = 1 << 17
PIECES = SIZE // PIECE


@pytest.fixture
def network() -> Iterator[Network]:
    with network_namespace() as network:
        yield network


@pytest.fixture
async def tracker(network: Network) -> AsyncIterator[NodeTracker]:
    require("webtorrent")
    async with NodeTracker(host=network.address) as tracker:
        yield tracker


@pytest.fixture
def film(tmp_path: Path, tracker: NodeTracker) -> Torrent:
    content = tmp_path / "seeded" / "film.mkv"
    make_film(content, SIZE, seed=11)
    return make_torrent(content, tmp_path / "film.torrent", trackers=[tracker.ws], piece_size=PIECE)


async def fetch(leecher: LinePeer) -> None:
    """Waits for a download, and makes new offers if it does not come.

    WebTorrent on Node now and then takes an answer to its offer too late or not at all,
    and nobody tries again before the tracker's interval is over.
    """
    for _ in range(3):
        try:
            await leecher.wait_done(within=20.0)
        except PeerError:
            await leecher.reannounce()
        else:
            return
    await leecher.wait_done(within=20.0)


def peer(kind: Kind, network: Network) -> LinePeer:
    if kind == "chromium":
        require("chromium")
        return BrowserPeer()
    if kind == "node":
        return WebTorrentPeer(rtc=True, tcp=False, host=network.address)
    return LibtorrentPeer(tcp=False, host=network.address)


@pytest.mark.parametrize(
    ("seeds", "leeches"),
    [
        ("libtorrent", "libtorrent"),
        ("libtorrent", "node"),
        ("node", "libtorrent"),
        ("node", "node"),
        ("libtorrent", "chromium"),
        ("chromium", "libtorrent"),
    ],
)
async def test_one_feeds_the_other_over_webrtc(
    seeds: Kind,
    leeches: Kind,
    film: Torrent,
    network: Network,
    tracker: NodeTracker,
    tmp_path: Path,
) -> None:
    """Only the ws tracker names them to each other, and every byte arrives as it was."""
    async with peer(seeds, network) as seeder, peer(leeches, network) as leecher:
        await seeder.seed(film.path, film.folder)
        await leecher.leech(film.path, tmp_path / "got")
        await fetch(leecher)
        # Two that are complete may have parted by now.
        assert set(await leecher.wires()) <= {"webrtc"}
        assert (await seeder.stats()).uploaded >= SIZE
        times = await leecher.times()
        assert times.first_peer is not None
        assert times.done is not None
        assert times.first_peer <= times.done
    assert sha256_of(tmp_path / "got" / film.name) == sha256_of(film.content)
    seen = await tracker.announces()
    assert {announce.transport for announce in seen} == {"ws"}
    assert {announce.info_hash for announce in seen} == {film.v1}
    assert len({announce.peer_id for announce in seen}) == 2
    assert "answer" in {announce.kind for announce in seen}


async def test_two_halves_make_a_whole_from_a_magnet(
    film: Torrent, network: Network, tmp_path: Path
) -> None:
    """Two seeders own half of the pieces each, and neither asks for the other half."""
    half = PIECES // 2
    async with (
        peer("libtorrent", network) as first,
        peer("chromium", network) as second,
        peer("chromium", network) as leecher,
    ):
        await first.seed(film.path, film.folder, have=range(half))
        await second.seed(film.path, film.folder, have=range(half, PIECES))
        await leecher.leech(film.magnet, tmp_path / "got")
        await fetch(leecher)
        for seeder in (first, second):
            stats = await seeder.stats()
            assert stats.progress == pytest.approx(0.5)
            assert stats.downloaded == 0
            assert stats.uploaded >= SIZE // 2
        assert isinstance(leecher, BrowserPeer)
        assert await leecher.sums() == {film.name: sha256_of(film.content)}
    assert sha256_of(tmp_path / "got" / film.name) == sha256_of(film.content)


def test_a_namespace_is_left_again() -> None:
    """Sockets opened inside reach the addresses, those opened before and after do not."""
    own = Path("/proc/thread-self/ns/net")
    before = own.readlink()
    with network_namespace() as network:
        assert own.readlink() != before
        assert sorted(name for _, name in socket.if_nameindex()) == ["cable0", "cable1", "lo"]
        for address in (network.address, network.other, "127.0.0.1"):
            with socket.create_server((address, 0)) as listener:
                socket.create_connection(listener.getsockname(), timeout=5).close()
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(("192.0.2.1", 80), timeout=5)
    assert own.readlink() == before


def test_what_goes_wrong_inside_still_leaves_it() -> None:
    """An error inside is the error outside, and no descriptor stays open."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(KeyError), network_namespace():
        raise KeyError
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors

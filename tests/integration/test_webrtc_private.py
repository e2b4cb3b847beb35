"""A private torrent is known to nobody but its own tracker (BEP 27), with everything switched on.

Each test of silence has a public torrent in the same engine beside it, which is heard.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import libtorrent as lt
import pytest

from chilly_movies import Status
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.tracker.http import run_tracker
from tests.integration.engine import running
from tests.peers.available import require
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.node_tracker import NodeTracker
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.xdist_group("webrtc")]

MIB = 1 << 20
PORT = 46_881
LSD = ("239.192.152.143", 6771)
WITHIN = 40.0


@pytest.fixture
def network() -> Iterator[Network]:
    with network_namespace() as network:
        yield network


class Neighbour:
    """Whoever listens in the network: a DHT node, and the multicast group of LSD (BEP 14)."""

    def __init__(self, network: Network) -> None:
        pack: Any = {
            "listen_interfaces": f"{network.address}:0", "enable_dht": True, "enable_lsd": False,
            "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
            "alert_mask": lt.alert.category_t.dht_notification
            | lt.alert.category_t.dht_operation_notification,
        }  # fmt: skip
        self._node = lt.session(pack)
        self.address = f"{network.address}:{self._node.listen_port()}"
        self.asked: set[str] = set()
        self.called: set[str] = set()
        self._group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._group.bind(LSD)
        for host in (network.address, network.other):
            both = struct.pack("4s4s", socket.inet_aton(LSD[0]), socket.inet_aton(host))
            self._group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, both)
        self._group.setblocking(False)

    def listen(self) -> None:
        """Take what came: the info hashes asked for in the DHT, and called out in the group."""
        for alert in self._node.pop_alerts():
            if isinstance(alert, lt.dht_get_peers_alert | lt.dht_announce_alert):
                self.asked.add(str(alert.info_hash))
        while True:
            try:
                said = self._group.recv(2048).decode("ascii", "replace")
            except BlockingIOError:
                return
            lines = (line.partition(": ") for line in said.splitlines())
            self.called |= {value.lower() for key, _, value in lines if key.lower() == "infohash"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._group.close()


@asynccontextmanager
async def open_to_all(folder: Path, public: str, neighbour: Neighbour) -> AsyncIterator[Downloader]:
    """Our downloader with all ways to find peers switched on."""
    extra = {
        "dht_bootstrap_nodes": neighbour.address, "dht_announce_interval": 2,
        "listen_interfaces": f"0.0.0.0:{PORT}",
    }  # fmt: skip
    async with running(
        folder, interface=None, webtorrent=True, dht=True, lsd=True, extra=extra,
        webtorrent_trackers=(public,),
    ) as downloader:  # fmt: skip
        yield downloader


async def extensions(host: str, torrent: Torrent) -> set[bytes]:
    """The extensions that our peer says it speaks for a torrent (BEP 10)."""
    reader, writer = await asyncio.open_connection(host, PORT)
    try:
        reserved = bytes((0, 0, 0, 0, 0, 0x10, 0, 0))
        writer.write(b"\x13BitTorrent protocol" + reserved + bytes.fromhex(torrent.v1))
        writer.write(b"-XX0000-000000000001")
        await reader.readexactly(68)
        while True:
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            message = await reader.readexactly(length)
            if message[:2] == b"\x14\x00":
                told: Any = lt.bdecode(message[2:])
                return set(told[b"m"])
    finally:
        writer.close()


def film(folder: Path, name: str, seed: int, **more: Any) -> Torrent:
    content = folder / name / f"{name}.mkv"
    make_film(content, 2 * MIB, seed=seed)
    return make_torrent(content, folder / f"{name}.torrent", **more)


async def test_a_private_torrent_is_known_to_its_own_tracker_only(
    tmp_path: Path, network: Network
) -> None:
    require("webtorrent")
    with Neighbour(network) as neighbour:
        await keeps_to_itself(tmp_path, network, neighbour)


async def keeps_to_itself(tmp_path: Path, network: Network, neighbour: Neighbour) -> None:
    async with (
        run_tracker(network.address) as own,
        NodeTracker(host=network.address) as public,
        LibtorrentPeer(tcp=False, host=network.address) as seeder,
        open_to_all(tmp_path, public.ws, neighbour) as downloader,
    ):
        secret = film(tmp_path, "secret", 1, trackers=[own.ws], private=True)
        known = film(tmp_path, "known", 2)
        await downloader.start(id="secret", torrent=secret.path.read_bytes())
        await downloader.start(id="known", torrent=known.path.read_bytes())
        async with asyncio.timeout(WITHIN):
            while not (known.v1 in neighbour.asked and known.v1 in neighbour.called):
                await asyncio.sleep(0.1)
                neighbour.listen()
            while not await public.announces():  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.1)
            assert b"ut_pex" in await extensions(network.address, known)
            told = await extensions(network.address, secret)
        assert b"ut_pex" not in told
        assert b"upload_only" in told  # it does tell its extensions
        await seeder.seed(secret.path, secret.folder)
        job = await downloader.wait("secret")
        neighbour.listen()
        assert secret.v1 not in neighbour.asked | neighbour.called
        assert {seen.info_hash for seen in await public.announces()} == {known.v1}
    assert job.status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "secret.mkv") == sha256_of(secret.content)

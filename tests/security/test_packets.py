"""Every packet that leaves: none from an idle server, and of a torrent only those it is made of.

`test_proxy.py` and `test_interface.py` look at the packets beside a proxy and an interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent
from tests.peers.two_networks import (
    PEER,
    STRANGER,
    TRACKER,
    Capture,
    TwoNetworks,
    served_outside,
    started_outside,
    two_networks,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ALL_ON = {
    "CHILLY_INTERFACE": "", "CHILLY_ALLOW_PRIVATE_ADDRESSES": "false", "CHILLY_DHT": "true",
    "CHILLY_LSD": "true", "CHILLY_WEBTORRENT": "true", "CHILLY_STUN_SERVER": f"{STRANGER}:3478",
    "CHILLY_WEBTORRENT_TRACKERS": f"ws://{STRANGER}:8000/",
}  # fmt: skip
"""More than the defaults: local peers and STUN, too."""
ALL_OFF = {
    **ALL_ON, "CHILLY_DHT": "false", "CHILLY_LSD": "false", "CHILLY_WEBTORRENT": "false",
}  # fmt: skip
GROUPS = "224.0.0.22", "239.192.152.143"


@pytest.fixture
def networks() -> Iterator[TwoNetworks]:
    with two_networks() as networks:
        yield networks


def film(folder: Path, name: str, tracker: str, *, private: bool = False) -> Torrent:
    make_film(folder / name / f"{name}.mkv", 300_000, seed=len(name))
    path = folder / f"{name}.torrent"
    return make_torrent(folder / name / f"{name}.mkv", path, trackers=[tracker], private=private)


def called(capture: Capture) -> set[str]:
    """Whom packets were for."""
    return {packet.to for packet in capture.take() if packet.kind != "arp"}


async def fetch(ours: Backend, torrent: Torrent) -> None:
    with torrent.path.open("rb") as file:
        answer = await ours.http.post(
            "/download/start", data={"id": torrent.path.stem}, files={"torrent": file}
        )
    assert answer.status_code == 200, answer.text
    assert (await ours.wait(torrent.path.stem))["status"] == "completed"


async def test_an_idle_server_is_silent_and_a_private_torrent_is_known_to_its_own_only(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    async with (
        served_outside(networks, run_tracker(TRACKER)) as tracker,
        started_outside(networks, LibtorrentPeer(host=PEER)) as seeder,
    ):
        secret = film(tmp_path, "secret", tracker, private=True)
        known = film(tmp_path, "known", tracker)
        for torrent in (secret, known):
            await seeder.seed(torrent.path, torrent.folder)
        with Capture() as capture:
            async with Backend(tmp_path, ALL_ON, warm=True) as ours:
                await ours.http.get("/downloads")
                await asyncio.sleep(2)  # to show that nothing comes
                idle = called(capture)
                await fetch(ours, secret)
                await asyncio.sleep(1)
                private = called(capture)
                await fetch(ours, known)
                async with asyncio.timeout(10):
                    public = called(capture)
                    while not {STRANGER, *GROUPS} <= public:
                        await asyncio.sleep(0.1)
                        public |= called(capture)
                await ours.kill()  # its end would wait for names that nobody resolves
    assert idle == set()
    assert private == {TRACKER, PEER}


async def test_a_public_torrent_with_all_else_off_calls_its_tracker_and_its_peers_only(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    async with (
        served_outside(networks, run_tracker(TRACKER)) as tracker,
        started_outside(networks, LibtorrentPeer(host=PEER)) as seeder,
    ):
        known = film(tmp_path, "known", tracker)
        await seeder.seed(known.path, known.folder)
        with Capture() as capture:
            async with Backend(tmp_path, ALL_OFF, warm=True) as ours:
                await fetch(ours, known)
                await asyncio.sleep(1)
            assert called(capture) == {TRACKER, PEER}


async def test_looking_into_a_torrent_file_asks_nobody_not_even_for_a_name(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    """Whoever made the file would learn from the question who looks at it, and when."""
    about = "unique-name.stranger.example"
    trackers = [f"{scheme}://{about}/announce" for scheme in ("wss", "http", "https", "udp")]
    made = film(tmp_path, "told", trackers[0])
    content: Any = lt.bdecode(made.path.read_bytes())
    content |= {
        b"announce-list": [[url.encode()] for url in trackers],
        b"url-list": [f"http://{about}/film.mkv".encode()],
        b"httpseeds": [f"http://{about}/seed".encode()],
        b"nodes": [[about.encode(), 6881]],
        b"similar": [b"s" * 20],
    }
    data = lt.bencode(content)
    with Capture() as capture:
        async with Backend(tmp_path, ALL_ON, warm=True) as ours:
            for name in ("one", "again"):
                answer = await ours.http.post("/torrents/inspect", files={"torrent": (name, data)})
                assert answer.json()["trackers"][-1] == trackers[0], answer.text
            await asyncio.sleep(1)  # to show that nothing comes
            assert called(capture) == set()
            await ours.kill()

"""Films from and to independent clients, through the API of the installed program."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import Backend
from tests.peers import available
from tests.peers.aria2 import Aria2Peer
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of
from tests.peers.transmission import TransmissionPeer
from tests.peers.webtorrent import WebTorrentPeer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
MIB = 1 << 20
_SEEDING = {"CHILLY_SEED_RATIO": "100", "CHILLY_SEED_TIME": "600"}


@pytest.mark.parametrize("kind", ["transmission", "webtorrent"])
async def test_a_film_arrives_from_an_independent_seeder_and_goes_on_to_a_fresh_leecher(
    tmp_path: Path, kind: Literal["transmission", "webtorrent"]
) -> None:
    available.require(kind)
    peer = TransmissionPeer if kind == "transmission" else WebTorrentPeer
    wanted = make_film(tmp_path / "source" / "film.mkv", 16 * MIB)
    async with run_tracker(interval=5) as announce:
        torrent = make_torrent(
            tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", trackers=[announce]
        )
        async with Backend(tmp_path / "ours", _SEEDING, warm=True) as ours, peer() as seeder:
            await seeder.seed(torrent.path, torrent.folder)
            await ours.start(torrent.magnet, id="film")
            job = await ours.wait("film")
        assert job["status"] == "completed"
        assert sha256_of(ours.media / job["path"]) == wanted

        # Transmission never dials a loopback address, so it is there first and ours dials
        async with peer() as leecher:
            await leecher.leech(torrent.path, tmp_path / "leech")
            await leecher.wait_announced()
            async with Backend(tmp_path / "ours", _SEEDING, warm=True) as ours:
                await leecher.wait_done(within=120)
                await ours.until("film", lambda event: event["progress"]["ratio"] >= 0.9)
        assert sha256_of(tmp_path / "leech" / "film.mkv") == wanted


async def test_another_client_downloads_by_the_torrent_file_and_by_the_magnet_of_a_job(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    available.require("aria2")
    wanted = make_film(tmp_path / "source" / "film.mkv", 2 * MIB)
    async with run_tracker(interval=5) as announce:
        torrent = make_torrent(
            tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", trackers=[announce]
        )
        await seeder.seed(torrent.path, torrent.folder)
        async with Backend(tmp_path / "ours", _SEEDING, warm=True) as ours:
            await ours.start(torrent.magnet, id="film")
            await ours.wait("film")
            exported = await ours.http.get("/downloads/film/torrent")
            magnet = (await ours.http.get("/downloads/film/magnet")).json()["magnet"]
            (tmp_path / "exported.torrent").write_bytes(exported.content)
            await seeder.kill()  # from here on ours alone has the film

            async def leech(source: Path | str, folder: Path) -> None:
                async with Aria2Peer() as leecher:
                    await leecher.leech(source, folder)
                    await leecher.wait_done()
                assert sha256_of(folder / "film.mkv") == wanted

            async with asyncio.TaskGroup() as group:
                group.create_task(leech(tmp_path / "exported.torrent", tmp_path / "by-file"))
                group.create_task(leech(magnet, tmp_path / "by-magnet"))

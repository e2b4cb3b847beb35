"""The disk of the media folder goes away under a download, and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.crash import root
from lab.crash.mounts import make_image, mounted, require_mounts
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
MIB = 1 << 20
LITTLE = {"CHILLY_MIN_FREE_SPACE": "1000000"}


@pytest.fixture
async def film(tmp_path: Path) -> AsyncIterator[tuple[Torrent, str]]:
    make_film(tmp_path / "source" / "film.mkv", 16 * MIB)
    made = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "f.torrent", piece_size=65536)
    async with LibtorrentPeer() as seeder:
        await seeder.seed(made.path, made.folder, upload_limit=2 * MIB)
        yield made, f"{made.magnet}&x.pe=127.0.0.1:{seeder.port}"


async def test_nothing_is_written_to_a_bare_mount_point_and_the_job_goes_on_when_it_is_back(
    tmp_path: Path, film: tuple[Torrent, str]
) -> None:
    require_mounts("mkfs.ext4")
    made, magnet = film
    ours, image = tmp_path / "ours", tmp_path / "disk.img"
    media = ours / "media"
    make_image(image, 64 * MIB)
    with mounted(image, media):
        async with Backend(ours, LITTLE, warm=True) as server:
            await server.start(magnet, id="film")
            await server.until("film", lambda e: e["progress"]["bytesDownloaded"] > 4 * MIB)
            await server.kill()
    assert list(media.iterdir()) == []
    async with Backend(ours, LITTLE, warm=True) as server:
        waits = await server.until("film", lambda event: "mounted" in event.get("reason", ""))
        assert waits["status"] == "queued"
        assert list(media.iterdir()) == []
        with mounted(image, media):
            done = await server.wait("film", within=120)
            assert done["status"] == "completed"
            assert sha256_of(media / done["path"]) == sha256_of(made.content)
            await server.stop()
    assert list(media.iterdir()) == []


async def test_a_seeding_film_whose_disk_is_not_mounted_is_not_told_to_be_gone(
    tmp_path: Path, film: tuple[Torrent, str]
) -> None:
    require_mounts("mkfs.ext4")
    made, _ = film
    ours, image = tmp_path / "ours", tmp_path / "disk.img"
    media, settings = ours / "media", {**LITTLE, "CHILLY_SEED_RATIO": "1000"}
    make_image(image, 64 * MIB)
    async with LibtorrentPeer() as quick:
        await quick.seed(made.path, made.folder)
        with mounted(image, media):
            async with Backend(ours, settings, warm=True) as server:
                await server.start(f"{made.magnet}&x.pe=127.0.0.1:{quick.port}", id="film")
                assert (await server.wait("film"))["seeding"]
                await server.stop()
    async with Backend(ours, settings, warm=True) as server:
        await server.until("film", lambda event: "is not there" in event.get("reason", ""))
        assert (await server.http.post("/downloads/film/recheck")).status_code == 200
        waits = await server.until("film", lambda event: "mounted" in event.get("reason", ""))
        assert waits["status"] == "completed"
        assert list(media.iterdir()) == []
        with mounted(image, media):
            await server.until("film", lambda event: "is right" in event.get("reason", ""))
            assert (await server.job("film"))["error"] is None
            await server.stop()


async def test_a_disk_that_is_unmounted_under_a_download_is_said_and_waited_for(
    tmp_path: Path,
) -> None:
    require_mounts()
    verdict = await root.lose(tmp_path, root.unmounted, host="127.0.82.1")
    assert not verdict.broken, verdict

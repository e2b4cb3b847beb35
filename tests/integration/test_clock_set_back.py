"""The time of day is set back, by which the engine lives: it is begun anew, and all goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies import Status, clocks
from chilly_movies.models import Phase
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
true_steady = clocks.steady


def film_in(folder: Path, name: str, size: int) -> Torrent:
    make_film(folder / name / f"{name}.mkv", size, seed=size)
    return make_torrent(
        folder / name / f"{name}.mkv", folder / f"{name}.torrent", piece_size=64 * 1024
    )


async def test_downloads_and_seeding_go_on_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with LibtorrentPeer() as seeder, running(tmp_path, seed_ratio=100.0) as downloader:
        old, new = film_in(tmp_path, "old", MIB), film_in(tmp_path, "new", 6 * MIB)
        await seeder.seed(old.path, old.folder)
        key = await seeder.seed(new.path, new.folder, upload_limit=MIB)
        downloader.on("retrying", lambda job: told.append(str(job.error)))
        await downloader.start(id="old", source_urn=magnet_to(old, seeder.port))
        await until(downloader, "old", lambda job: job.progress.phase is Phase.SEEDING)
        await downloader.start(id="new", source_urn=magnet_to(new, seeder.port))
        half = await until(downloader, "new", lambda job: job.progress.bytes_downloaded > MIB)
        monkeypatch.setattr(clocks, "steady", lambda: true_steady() + 86_400)
        job = await until(downloader, "old", lambda job: job.reason is not None)
        assert job.reason == "The clock of this machine was set back, so the engine begins anew."
        sent = (await seeder.stats(key)).uploaded
        await seeder.set_upload_limit(0, key)
        job = await downloader.wait("new")
        assert job.status is Status.COMPLETED, job.error
        job = await until(downloader, "old", lambda job: job.progress.phase is Phase.SEEDING)
        assert (job.status, job.seeding) == (Status.COMPLETED, True)
        assert (
            await seeder.stats(key)
        ).uploaded <= new.size + sent - half.progress.bytes_downloaded
    assert len(told) == 1
    assert sha256_of(tmp_path / "media" / "new.mkv") == sha256_of(new.content)

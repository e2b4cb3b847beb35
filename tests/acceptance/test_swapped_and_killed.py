"""The server is killed between check and completion, and a stale copy lies there when it starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab.crash.swaps import STEPS, WAYS, steps_for, swapped
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
LITTLE = {"CHILLY_MIN_FREE_SPACE": "1000000"}


@pytest.mark.parametrize("way", WAYS)
async def test_a_kill_and_a_stale_copy_between_check_and_completion_complete_the_right_film(
    tmp_path: Path, seeder: LibtorrentPeer, way: str
) -> None:
    async def killed_at(step: str) -> None:
        folder = tmp_path / step
        make_film(folder / "source/film.mkv", 3 * MIB, seed=STEPS.index(step))
        film = make_torrent(folder / "source/film.mkv", folder / "f.torrent", piece_size=65536)
        key = await seeder.seed(film.path, film.folder, upload_limit=100_000)
        with swapped(way, folder) as swap:
            fatal = {**LITTLE, "CHILLY_FAILPOINT": f"{step}:exit"}
            async with Backend(folder, fatal, warm=True) as ours:
                await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id="a")
                await ours.until("a", lambda e: e["progress"]["bytesDownloaded"] > 0)
                await asyncio.to_thread(swap.copy)
                assert not swap.is_whole(film.content)
                await seeder.set_upload_limit(0, key)
                assert await ours.died() == -9
            await asyncio.to_thread(swap.swap)
            async with Backend(folder, LITTLE, warm=True) as ours:
                job = await ours.wait("a")
                assert (step, job["status"]) == (step, "completed")
                assert sha256_of(swap.media / job["path"]) == sha256_of(film.content), step
                answer = await ours.http.get("/stream/a/0")
                assert answer.content == film.content.read_bytes(), step

    async with asyncio.TaskGroup() as group:
        for step in steps_for(way):
            group.create_task(killed_at(step))

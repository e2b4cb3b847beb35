"""The server killed between the steps of giving up a source: none of its data is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.integration.web_answers import http, web_answers
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
STEPS = ("remove.deleted", "source.removed", "source.changed")


async def test_a_kill_around_the_change_of_a_source_leaves_no_data_and_loses_no_candidate(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    quick = {"CHILLY_SOURCE_TRIES": "1", "CHILLY_SOURCE_PATIENCE": "1"}

    async def killed_at(step: str, dead: str) -> None:
        folder = tmp_path / step
        number = STEPS.index(step)
        make_film(folder / "source" / f"film{number}.mkv", MIB, seed=number)
        content = folder / "source" / f"film{number}.mkv"
        film = make_torrent(content, folder / "f.torrent", piece_size=64 * 1024)
        await seeder.seed(film.path, film.folder)
        link = f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}"
        ours = Backend(folder, {**quick, "CHILLY_FAILPOINT": f"{step}:exit"}, warm=True)
        async with ours:
            await ours.start(dead, id="a", candidates=[{"sourceUrn": link}])
            assert await ours.died() == -9
        async with Backend(folder, quick, warm=True) as ours:
            job = await ours.wait("a")
            async with ours.listen("/events/a", last_id=0) as events:
                told = []
                async for event in events:
                    told.append(event)
                    if event["event"] == "completed":
                        break
        assert (step, job["status"], job["sourceUrn"]) == (step, "completed", dead)
        assert job["activeSource"]["sourceUrn"] == link
        assert (step, [e["event"] for e in told].count("source")) == (step, 1)
        assert not [event for event in told if event["status"] == "failed"]
        assert sha256_of(folder / "media" / job["path"]) == sha256_of(film.content)
        incomplete = folder / "media" / ".incomplete"
        assert (step, [p.name for p in incomplete.iterdir() if p.is_dir()]) == (step, [])

    nobody = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=Nobody"
    async with web_answers(lambda _: http("503 Busy")) as web, asyncio.TaskGroup() as group:
        for step in STEPS:
            dead = f"{web.url}/{step}.torrent" if step == "source.removed" else nobody
            group.create_task(killed_at(step, dead))

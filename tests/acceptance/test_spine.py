"""The installed program from outside: what a front end sees of a download's whole life."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
PIECE = 256 * 1024


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 24 * MIB)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", piece_size=PIECE
    )


def link(film: Torrent, seeder: LibtorrentPeer) -> str:
    return f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}"


def past(size: int) -> Any:
    return lambda event: event["progress"]["bytesDownloaded"] > size


async def test_start_answers_at_once_while_the_download_goes_on(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=8 * MIB)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.http.get("/health")  # the connection is up, as in any front end
        took = []
        for number in range(5):
            began = time.perf_counter()
            await ours.start(f"magnet:?xt=urn:btih:{number + 1:040x}", id=f"other-{number}")
            took.append(time.perf_counter() - began)
        began = time.perf_counter()
        job = await ours.start(link(film, seeder), id="film")
        took.append(time.perf_counter() - began)
        assert job["status"] in ("queued", "active")
        for number in range(5):
            await ours.verb("cancel", {"id": f"other-{number}"})
        assert (await ours.wait("film"))["status"] == "completed"
    assert sorted(took)[len(took) // 2] < 0.1


async def test_pause_resume_and_cancel_do_what_they_promise_at_the_seeder(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with Backend(tmp_path / "ours") as ours:
        await ours.start(link(film, seeder), id="film")
        await ours.until("film", past(6 * MIB))
        assert (await ours.verb("pause", {"id": "film"}))["status"] == "paused"
        sent = (await seeder.stats(key)).uploaded
        await asyncio.sleep(1.5)  # the claim is that nothing happens for a while
        assert (await seeder.stats(key)).uploaded == sent

        await seeder.set_upload_limit(0, key)
        assert (await ours.verb("resume", {"id": "film"}))["status"] in ("queued", "active")
        job = await ours.wait("film")
        assert sha256_of(ours.media / job["path"]) == sha256_of(film.content)
        in_the_air = 24 * PIECE
        assert (await seeder.stats(key)).uploaded <= film.size + in_the_air


async def test_cancel_leaves_no_file_and_holds_over_a_restart(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=4 * MIB)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.start(link(film, seeder), id="film")
        await ours.until("film", past(2 * MIB))
        assert (await ours.verb("cancel", {"id": "film"}))["status"] == "canceled"
        assert {p.name for p in ours.media.rglob("*")} == {
            ".incomplete",
            ".chilly-media",
            ".server.json",
        }
    async with Backend(tmp_path / "ours", warm=True) as ours:
        assert (await ours.job("film"))["status"] == "canceled"
        assert {p.name for p in ours.media.rglob("*")} == {
            ".incomplete",
            ".chilly-media",
            ".server.json",
        }


async def test_after_kill_9_the_job_goes_on_by_itself_and_repeats_little(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=4 * MIB)
    async with Backend(tmp_path / "ours") as ours:
        await ours.start(link(film, seeder), id="film")
        await ours.until("film", past(8 * MIB))
        await ours.kill()
    before = (await seeder.stats(key)).uploaded
    await seeder.set_upload_limit(0, key)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        job = await ours.wait("film")
        assert sha256_of(ours.media / job["path"]) == sha256_of(film.content)
    again = (await seeder.stats(key)).uploaded - (film.size - before)
    assert again <= 30 * 4 * MIB  # half a minute of this seeder's speed
    assert job["status"] == "completed"


async def test_events_show_the_whole_life_with_rising_numbers(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=12 * MIB)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.start(link(film, seeder), id="film")
        seen = []
        async with asyncio.timeout(60), ours.listen("/events/film") as events:
            async for event in events:
                seen.append(event)
                if event["event"] == "completed":
                    break
    names = [event["event"] for event in seen if event["event"] != "snapshot"]
    assert names[:2] == ["queued", "started"]
    after = names[names.index("metadata") :]
    assert "progress" in after
    assert after.index("progress") < after.index("completed")
    numbers = [event["_id"] for event in seen if event["_id"] is not None]
    assert numbers == sorted(numbers)
    passing = {"snapshot", "progress", "file", "stream"}  # they repeat the newest stored number
    stored = [event["_id"] for event in seen if event["event"] not in passing]
    assert stored == sorted(set(stored))
    assert all(event["_id"] in (None, event["seq"]) for event in seen)
    assert all(event["_id"] is not None for event in seen if event["event"] != "snapshot")
    assert seen[-1]["progress"]["percent"] == 100
    assert {"seq", "event", "id", "status", "progress"} <= set(seen[0])


async def test_a_listener_that_comes_back_misses_no_state_change_even_over_a_crash(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=8 * MIB)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.start(link(film, seeder), id="film")
        last = (await ours.until("film", lambda event: event["event"] == "metadata"))["_id"]
        await ours.verb("pause", {"id": "film"})
        await ours.kill()
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.verb("resume", {"id": "film"})
        await ours.wait("film")
        missed = []
        async with asyncio.timeout(30), ours.listen("/events/film", last) as events:
            async for event in events:
                missed.append(event)
                if event["event"] == "completed":
                    break
    states = [e["event"] for e in missed if e["event"] not in ("progress", "snapshot")]
    assert states == ["paused", "resumed", "started", "completed"]
    assert all(event["_id"] > last for event in missed)


async def test_sigterm_ends_the_server_quickly_with_an_open_event_stream(tmp_path: Path) -> None:
    async with Backend(tmp_path / "ours", None, "--mock", warm=True) as ours:
        await ours.start("mock:?seconds=60", id="film")
        async with ours.http.stream("GET", "/events") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            stopping = asyncio.create_task(ours.stop(within=10))
            async for _ in lines:
                pass
        assert await stopping == 0

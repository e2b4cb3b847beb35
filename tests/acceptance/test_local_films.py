"""Films of the server's own disks, through a real server: linked at once, copied over kills."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.drivers.local.modes import SAID
from lab.crash.mounts import require_mounts, tmpfs
from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20


def rooted(folder: Path, **more: str) -> dict[str, str]:
    (folder / "films").mkdir(parents=True, exist_ok=True)
    return {"CHILLY_ROOTS": f"films={folder}/films", **more}


async def start_local(server: Backend, urn: str, job_id: str, **more: Any) -> None:
    body = {"id": job_id, "sourceType": "local", "sourceUrn": urn, **more}
    await server.verb("start", body)


async def test_10_gb_are_linked_at_once_on_a_full_disk_behind_three_torrents(
    tmp_path: Path,
) -> None:
    require_mounts()
    with tmpfs(tmp_path / "disk", 16 * MIB) as disk:
        settings = rooted(disk, CHILLY_MEDIA_ROOT=str(disk / "media"), CHILLY_MAX_ACTIVE="3")
        (disk / "films/a.mkv").touch()
        os.truncate(disk / "films/a.mkv", 10_000_000_000)
        room = os.statvfs(disk).f_bfree
        async with Backend(tmp_path, {**settings, "CHILLY_MIN_FREE_SPACE": "0"}, warm=True) as ours:
            for number in range(3):
                await ours.start(f"magnet:?xt=urn:btih:{number + 1:040x}", id=f"t{number}")
            for number in range(3):
                await ours.until(f"t{number}", lambda event: event["status"] == "active")
            await start_local(ours, f"{disk}/films/a.mkv", "a")
            await ours.until("a", lambda event: event.get("reason") == SAID["hardlink"])
            job = await ours.wait("a", within=10)
            assert (job["status"], job["sourceUrn"]) == ("completed", "films/a.mkv")
            assert job["progress"]["bytesTotal"] == 10_000_000_000
            assert (disk / "media/a.mkv").samefile(disk / "films/a.mkv")
            assert os.statvfs(disk).f_bfree >= room - 16  # its folders
            (disk / "films/a.mkv").rename(disk / "films/b.mkv")
            await start_local(ours, "films/b.mkv", "b", mode="copy")
            full = await ours.until("b", lambda event: "disk full" in (event.get("reason") or ""))
            assert "10 GB needed" in full["reason"]
            assert str(disk) not in ours.log().replace(str(disk / "media"), "")


async def test_a_copy_is_paused_killed_and_gone_on_with(tmp_path: Path) -> None:
    settings = rooted(tmp_path)
    digest = make_film(tmp_path / "films/Film/a.mkv", 8 * MIB)
    make_film(tmp_path / "films/Film/a.srt", 1000)
    with (tmp_path / "films/Film/b.mkv").open("wb") as hole:
        hole.truncate(80 * MIB)
    fails = {"CHILLY_FAILPOINT": "local.claimed:exit"}
    async with Backend(tmp_path, {**settings, **fails}, warm=True) as ours:
        await start_local(ours, "films/Film", "a", mode="copy", held=True)
        asking = asyncio.create_task(ours.http.post("/download/resume", json={"id": "a"}))
        assert await ours.died() == -9
        await asyncio.wait([asking])
        asking.exception()
    [staged] = (tmp_path / "media/.incomplete").rglob("a.mkv")
    before = staged.stat()
    async with Backend(tmp_path, settings, warm=True) as ours:
        paused = await ours.http.post("/download/pause", json={"id": "a"})
        assert paused.status_code in (200, 409), paused.text  # 409: it was quicker than we are
        if paused.status_code == 200:
            await ours.verb("resume", {"id": "a"})
        job = await ours.wait("a")
        assert (job["status"], job["progress"]["percent"]) == ("completed", 100)
        answer = await ours.http.get("/stream/a/0", headers={"Range": "bytes=0-9"})
        assert answer.content == (tmp_path / "films/Film/a.mkv").read_bytes()[:10]
    film = tmp_path / "media/Film/a.mkv"
    assert (film.stat().st_ino, film.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sha256_of(film) == digest
    assert (tmp_path / "media/Film/b.mkv").stat().st_size == 80 * MIB
    assert sorted(path.name for path in film.parent.iterdir()) == ["a.mkv", "a.srt", "b.mkv"]


async def test_a_kill_as_a_film_was_published_makes_no_second_one(tmp_path: Path) -> None:
    settings, fails = rooted(tmp_path), {"CHILLY_FAILPOINT": "publish.renamed:exit"}
    make_film(tmp_path / "films/Film/a.mkv", MIB)
    async with Backend(tmp_path, {**settings, **fails}, warm=True) as ours:
        await start_local(ours, "films/Film", "a", held=True)
        asking = asyncio.create_task(ours.http.post("/download/resume", json={"id": "a"}))
        assert await ours.died() == -9
        await asyncio.wait([asking])
        asking.exception()
    async with Backend(tmp_path, settings, warm=True) as ours:
        job = await ours.wait("a")
        assert (job["status"], job["files"][0]["path"]) == ("completed", "Film/a.mkv")
        assert sorted(p.name for p in ours.media.iterdir() if p.name[0] != ".") == ["Film"]
        answer = await ours.http.post(
            "/download/start", json={"sourceType": "local", "sourceUrn": "/etc/hostname"}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_source")
        assert "CHILLY_ROOTS" in answer.json()["detail"]
        await ours.http.delete("/downloads/a?deleteFiles=true")
    assert (tmp_path / "films/Film/a.mkv").stat().st_size == MIB

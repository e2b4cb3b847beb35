"""The server killed between any two steps of saving, publishing and deleting."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from lab.crash.mounts import tmpfs
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
PIECE = 256 * 1024
STEPS = (
    "resume.taken@2", "resume.flushed@2", "resume.stored@2",
    "publish.told", "publish.renamed",
)  # fmt: skip
MOVES = ("move.told", "move.copied", "move.renamed")


def film_in(folder: Path, number: int = 0) -> Torrent:
    make_film(folder / "source" / "film.mkv", 8 * MIB, seed=number)
    return make_torrent(folder / "source" / "film.mkv", folder / "f.torrent", piece_size=PIECE)


async def test_a_kill_between_any_two_steps_costs_no_finished_piece_and_no_second_film(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    async def killed_at(step: str) -> None:
        folder = tmp_path / step
        film = film_in(folder, STEPS.index(step))
        key = await seeder.seed(film.path, film.folder, upload_limit=5 * MIB)
        link = f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}"
        ours = Backend(folder, {"CHILLY_FAILPOINT": f"{step}:exit"}, warm=True)
        async with ours:
            await ours.start(link, id="a")
            assert await ours.died() == -9
        async with Backend(folder, warm=True) as ours:
            job = await ours.wait("a")
        assert (step, job["status"]) == (step, "completed")
        media = sorted(p.name for p in (folder / "media").rglob("[!.]*") if p.is_file())
        assert (step, media) == (step, ["film.mkv"])
        assert sha256_of(folder / "media" / "film.mkv") == sha256_of(film.content)
        sent = (await seeder.stats(key)).uploaded
        in_the_air = 24 * PIECE if step.startswith("resume") else 2 * PIECE
        assert sent <= film.size + in_the_air, step

    async with asyncio.TaskGroup() as group:
        for step in STEPS:
            group.create_task(killed_at(step))


async def test_a_cancel_that_was_answered_is_finished_after_a_kill(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    film = film_in(tmp_path)
    await seeder.seed(film.path, film.folder, upload_limit=3 * MIB)
    async with Backend(tmp_path, {"CHILLY_FAILPOINT": "canceled.stored:exit"}, warm=True) as ours:
        await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id="a")
        await ours.until("a", lambda event: event["progress"]["bytesDownloaded"] > MIB)
        asking = asyncio.create_task(ours.http.post("/download/cancel", json={"id": "a"}))
        assert await ours.died() == -9
        await asyncio.wait([asking])
        asking.exception()
    incomplete = tmp_path / "media" / ".incomplete"
    assert [p.name for p in incomplete.rglob("*.mkv")] == ["film.mkv"]
    (incomplete / ("f" * 32)).mkdir()
    async with Backend(tmp_path, warm=True) as ours:
        assert (await ours.job("a"))["status"] == "canceled"
        async with asyncio.timeout(5):
            while list(incomplete.rglob("*.mkv")) or "belongs to no job" not in ours.log():  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
    assert [p.name for p in incomplete.iterdir() if p.is_dir()] == ["f" * 32]


async def test_a_kill_in_the_middle_of_a_move_leaves_one_whole_film_in_the_new_folder(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    """On one disk (a rename), and where root can mount one, to another disk (a copy)."""

    async def killed_at(step: str, media: Path, to: str) -> None:
        folder = media.parent
        film = film_in(folder, MOVES.index(step))
        await seeder.seed(film.path, film.folder)
        async with Backend(folder, {"CHILLY_FAILPOINT": f"{step}:exit"}, warm=True) as ours:
            await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id="a")
            await ours.wait("a")
            answer = await ours.http.post("/downloads/a/move", json={"folder": to})
            assert answer.status_code == 200
            assert await ours.died() == -9
        async with Backend(folder, warm=True) as ours:
            await ours.until("a", lambda event: event["event"] == "moved")
            job = await ours.job("a")
        assert (step, job["path"], job["movingTo"]) == (step, f"{to}/film.mkv", None)
        found = [str(p.relative_to(media)) for p in media.rglob("*.mkv")]
        assert (step, found) == (step, [f"{to}/film.mkv"])
        assert not list(media.rglob("*.moving"))
        assert sha256_of(media / to / "film.mkv") == sha256_of(film.content)

    with contextlib.ExitStack() as disks:
        async with asyncio.TaskGroup() as group:
            for step in MOVES:
                for kind in ("one", "two") if os.geteuid() == 0 else ("one",):
                    if (step, kind) == ("move.copied", "one"):
                        continue
                    media = tmp_path / f"{step}-{kind}" / "media"
                    if kind == "two":
                        disks.enter_context(tmpfs(media / "Films", 16 * MIB))
                    group.create_task(killed_at(step, media, "Films/New"))

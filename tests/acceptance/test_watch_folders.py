"""Watch folders through a real server: what is dropped becomes jobs, once, and is seen to."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.inbox.dropped import DONE
from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20


class Folders:
    """Watch folders with the three rules, below one root."""

    def __init__(self, tmp_path: Path) -> None:
        self.drop = tmp_path / "drop"
        for name in ("move", "delete", "keep"):
            (self.drop / name).mkdir(parents=True)
        self.settings = {
            "CHILLY_ROOTS": f"drop={self.drop}",
            "CHILLY_WATCH": "drop/move;move;category=films,"
            "drop/delete;delete;category=kids,drop/keep",
            "CHILLY_WATCH_REST": "0.4",
        }


async def jobs(server: Backend) -> list[dict[str, Any]]:
    answer = await server.http.get("/downloads")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def soon(condition: Callable[[], object], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(0.05)


async def test_what_is_dropped_becomes_jobs_with_labels_and_done_files_are_seen_to(
    tmp_path: Path,
) -> None:
    at = Folders(tmp_path)
    film = make_film(tmp_path / "a/film.mkv", MIB)
    torrent = make_torrent(tmp_path / "a/film.mkv", tmp_path / "a/film.torrent")
    (at.drop / "move/broken.torrent").write_bytes(b"no torrent")
    async with Backend(tmp_path, at.settings, warm=True) as ours:
        growing = (at.drop / "move/growing.mkv").open("wb")
        growing.write(b"the beginning")
        growing.flush()
        shutil.copy(torrent.path, at.drop / "move")
        (at.drop / "move/one.magnet").write_text(f"magnet:?xt=urn:btih:{1:040x}\n")
        shutil.copy(tmp_path / "a/film.mkv", at.drop / "delete")
        shutil.copytree(tmp_path / "a", at.drop / "delete/Folder")
        (at.drop / "delete/Folder/other.mkv.part").write_bytes(b"half of it")
        await soon(lambda: not (at.drop / "delete/film.mkv").exists())
        await soon((at.drop / "move" / DONE / "film.torrent").exists)
        await soon((at.drop / "move" / DONE / "one.magnet").exists)
        found = await jobs(ours)
        assert sorted((job["sourceType"], job["labels"]["category"]) for job in found) == [
            ("local", "kids"), ("torrent", "films"), ("torrent", "films"),
        ]  # fmt: skip
        assert sha256_of(ours.media / "film.mkv") == film
        (at.drop / "delete/Folder/other.mkv.part").rename(at.drop / "delete/Folder/other.mkv")
        growing.write(b" and the end")
        growing.close()
        await soon((at.drop / "move" / DONE / "growing.mkv").exists)
        await soon(lambda: not (at.drop / "delete/Folder").exists())
        assert (ours.media / "growing.mkv").read_bytes() == b"the beginning and the end"
        assert (ours.media / "Folder/other.mkv").read_bytes() == b"half of it"
        shutil.copy(tmp_path / "a/film.mkv", at.drop / "delete")
        await soon((ours.media / "film (2).mkv").exists)
        await soon(lambda: not list((at.drop / "delete").iterdir()))
        assert (at.drop / "move/broken.torrent").exists()
        assert ours.log().count("a dropped file cannot be read, and is left") == 1
        assert str(at.drop) not in ours.log()


async def test_what_was_taken_is_not_taken_again_by_the_next_server_whatever_became_of_it(
    tmp_path: Path,
) -> None:
    at = Folders(tmp_path)
    make_film(at.drop / "keep/a.mkv", MIB)
    make_film(at.drop / "keep/b.mkv", MIB)
    (at.drop / "keep/c.magnet").write_text(f"magnet:?xt=urn:btih:{2:040x}")
    async with Backend(tmp_path, at.settings, warm=True) as ours:
        known = tmp_path / "state/watched.json"
        await soon(lambda: known.exists() and len(json.loads(known.read_text())) == 3)
        by_name = {job["sourceUrn"]: job["id"] for job in await jobs(ours)}
        await ours.wait(by_name["drop/keep/a.mkv"])
        await ours.wait(by_name["drop/keep/b.mkv"])
        await ours.http.delete(f"/downloads/{by_name['drop/keep/a.mkv']}?deleteFiles=true")
        left = sorted(job["id"] for job in await jobs(ours))
        await ours.kill()
    make_film(at.drop / "keep/d.mkv", MIB, seed=4)
    async with Backend(tmp_path, at.settings, warm=True) as ours:
        await soon((ours.media / "d.mkv").exists)  # what came before it was looked at
        after = await jobs(ours)
        assert sorted(job["id"] for job in after if "d.mkv" not in job["sourceUrn"]) == left
    assert sorted(p.name for p in (at.drop / "keep").iterdir()) == [
        "a.mkv", "b.mkv", "c.magnet", "d.mkv",
    ]  # fmt: skip


async def test_what_cannot_be_named_or_is_no_magnet_is_left_and_keeps_up_nothing_else(
    tmp_path: Path,
) -> None:
    at = Folders(tmp_path)
    make_film(at.drop / "elsewhere.mkv", MIB)
    odd = os.fsencode(at.drop / "move") + b"/a\xff.mkv"
    Path(os.fsdecode(odd)).write_bytes(b"film")
    (at.drop / "move/b.magnet").write_text("drop/elsewhere.mkv\n")
    make_film(at.drop / "move/c.mkv", MIB)
    async with Backend(tmp_path, at.settings, warm=True) as ours:
        await soon((at.drop / "move" / DONE / "c.mkv").exists)
        assert [job["sourceUrn"] for job in await jobs(ours)] == ["drop/move/c.mkv"]
        assert os.path.exists(odd)  # noqa: PTH110 (a path of bytes)
        assert (at.drop / "move/b.magnet").exists()
        assert ours.log().count("a dropped file cannot be read, and is left") == 2
        assert "Traceback" not in ours.log()

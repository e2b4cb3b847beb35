"""Many jobs whose films want one name, beside the user's own of that name (A18).

`CHILLY_SAME_NAMES` says how many jobs, 24 in CI.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from pathlib import Path

import pytest

from lab.crash.herd import SETTINGS, listed, until_all
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

JOBS = int(os.environ.get("CHILLY_SAME_NAMES", "24"))
_WITHIN = 120.0
_NFC = unicodedata.normalize("NFC", "Amélie.mkv")
_NFD = unicodedata.normalize("NFD", "Amélie.mkv")
NAMES = ("Film.mkv", "film.mkv", "FILM.MKV", _NFC, _NFD, "Film.mkv ", "FILM.mkv", "Film")
"""What the torrents are called; the last one is a folder."""
INSIDE = ("a.srt", _NFC, _NFD)


def own(media: Path) -> dict[Path, bytes]:
    """The user's own: of the same names, of the next ones, longer than all films, and a link."""
    names = ("Film.mkv", "Film (2).mkv", "Film (3).MKV", "film.mkv", _NFC, _NFD, "Film/a.srt",
             "Film (2)/my own.txt")  # fmt: skip
    made = {}
    for number, name in enumerate(names):
        made[media / name] = b"the user's own %d, " % number * (5000 if number % 2 else 1)
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_bytes(made[media / name])
    (media / "Film (4).mkv").symlink_to("Film.mkv")
    return made


class Namesake:
    """A torrent of one of the names, and what is in it.

    Args:
        folder: content and torrent are made in there.
        number: makes its bytes its own.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.id = f"job{number}"
        name = NAMES[number % len(NAMES)]
        content = folder / self.id / name
        inside = INSIDE if name == "Film" else ("",)
        for at, path in enumerate(inside):
            make_film(content / path, 20_000 + number, seed=1000 * number + at)
        self.data = sorted((content / path).read_bytes() for path in inside)
        self.torrent = make_torrent(content, folder / f"{self.id}.torrent", piece_size=16384)


def kept(media: Path, path: str) -> list[bytes]:
    """What lies there: the one file, or all files of the folder."""
    place = media / path
    found = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    return sorted(file.read_bytes() for file in found)


async def the_user_saves(media: Path, done: asyncio.Event) -> dict[Path, bytes]:
    """Takes names that the jobs will want, as long as they are free."""
    saved: dict[Path, bytes] = {}
    for number in range(5, 5 + 4 * JOBS, 7):
        path = media / f"Film ({number}).mkv"
        try:
            with path.open("xb") as file:
                file.write(b"saved meanwhile %d" % number)
        except FileExistsError:
            continue
        saved[path] = path.read_bytes()
        if done.is_set():
            break
        await asyncio.sleep(0)
    return saved


async def test_many_jobs_of_one_name_are_all_kept_and_nothing_there_is_altered(
    tmp_path: Path,
) -> None:
    async with LibtorrentPeer() as seeder, Backend(tmp_path / "ours", SETTINGS, warm=True) as ours:
        before, done = own(ours.media), asyncio.Event()
        films = [Namesake(tmp_path / "films", number) for number in range(JOBS)]
        for film in films:
            await seeder.seed(film.torrent.path, film.torrent.folder)
        peer = f"&x.pe=127.0.0.1:{seeder.port}"
        saving = asyncio.create_task(the_user_saves(ours.media, done))
        await asyncio.gather(
            *(ours.start(film.torrent.magnet + peer, id=film.id) for film in films)
        )
        late = await until_all(
            ours, [film.id for film in films], lambda job: job["status"] == "completed", _WITHIN
        )
        assert not late
        done.set()
        before |= await saving
        jobs = await listed(ours)
        assert {path: path.read_bytes() for path in before} == before
        assert (ours.media / "Film (4).mkv").readlink() == Path("Film.mkv")
        assert {film.id: kept(ours.media, jobs[film.id]["path"]) for film in films} == {
            film.id: film.data for film in films
        }
        assert len({jobs[film.id]["path"] for film in films}) == JOBS
        await _only_its_own_is_deleted(ours, films, before)


async def _only_its_own_is_deleted(
    ours: Backend, films: list[Namesake], before: dict[Path, bytes]
) -> None:
    jobs = await listed(ours)
    for film in films[::2]:
        answer = await ours.http.delete(f"/downloads/{film.id}", params={"deleteFiles": "true"})
        assert answer.status_code in (200, 204), answer.text
    assert not any((ours.media / jobs[film.id]["path"]).exists() for film in films[::2])
    assert {path: path.read_bytes() for path in before} == before
    assert all(kept(ours.media, jobs[film.id]["path"]) == film.data for film in films[1::2])

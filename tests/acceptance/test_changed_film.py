"""A film that changes or goes away, over the API and over the lives of the server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
SEEDING = {"CHILLY_SEED_RATIO": "1000"}
CHANGED = "The film is not what it was when it was finished: "


@pytest.fixture
async def film(tmp_path: Path) -> AsyncIterator[tuple[Torrent, str]]:
    make_film(tmp_path / "source" / "film.mkv", 2 * MIB)
    made = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "f.torrent", piece_size=65536)
    async with LibtorrentPeer() as seeder:
        await seeder.seed(made.path, made.folder)
        yield made, f"{made.magnet}&x.pe=127.0.0.1:{seeder.port}"


def damage(path: Path) -> None:
    """Other bytes, and the time of writing set back."""
    then = path.stat()
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", MIB)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


async def seeds(server: Backend) -> None:
    """Wait until the film is published and seeded."""
    await server.until(
        "film", lambda e: e["status"] == "completed" and e["progress"]["phase"] == "seeding"
        and e["event"] == "progress" and not e.get("reason"),
    )  # fmt: skip


async def mended(server: Backend, verb: str) -> str:
    """Recheck the film, which fails it, and then let it be mended; what the recheck told."""
    assert (await server.http.post("/downloads/film/recheck")).status_code == 200
    failed = await server.until("film", lambda event: event["status"] == "failed")
    assert failed["error"]["code"] == "damaged"
    await server.verb(verb, {"id": "film"})
    await server.until(
        "film", lambda event: event["status"] == "completed" and event["_id"] > failed["_id"]
    )
    return str(failed["error"]["message"])


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
async def test_a_change_is_told_in_the_next_life_of_the_server_and_mended_on_request(
    tmp_path: Path, film: tuple[Torrent, str], end: str
) -> None:
    made, magnet = film
    ours = tmp_path / "ours"
    published = ours / "media" / "film.mkv"
    async with Backend(ours, SEEDING, warm=True) as server:
        await server.start(magnet, id="film")
        await seeds(server)
        damage(published)
        await (server.stop() if end == "SIGTERM" else server.kill())
    async with Backend(ours, SEEDING, warm=True) as server:
        await server.until("film", lambda event: event.get("reason", "").startswith(CHANGED))
        job = await server.job("film")
        assert (job["status"], job["seeding"]) == ("completed", False)
        assert sha256_of(published) != sha256_of(made.content)
        assert (await mended(server, "resume")).endswith("differ; resume fetches it again.")
        assert sha256_of(published) == sha256_of(made.content)


async def test_a_film_that_is_gone_while_it_seeds_is_fetched_anew_into_its_place(
    tmp_path: Path, film: tuple[Torrent, str]
) -> None:
    made, magnet = film
    async with Backend(tmp_path / "ours", SEEDING, warm=True) as server:
        published = server.media / "film.mkv"
        await server.start(magnet, id="film")
        await seeds(server)
        published.unlink()
        await server.until("film", lambda event: "is not there" in event.get("reason", ""))
        told = await mended(server, "start")
        assert told == f"{CHANGED}the file 'film.mkv' is not there; resume fetches it again."
        job = await server.job("film")
        assert (job["status"], job["path"], job["seeding"]) == ("completed", "film.mkv", True)
        assert sha256_of(published) == sha256_of(made.content)
        answer = await server.http.get("/stream/film/0")
        assert answer.content == made.content.read_bytes()

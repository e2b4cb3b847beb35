"""Mirrors: further places for a torrent's bytes, asked beside its peers and never believed."""

from __future__ import annotations

import asyncio
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Status
from tests.integration.engine import magnet_to, running, until
from tests.integration.web_answers import Asked, http, part, web_answers
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_films, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
PIECE = 64 * 1024


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 4 * MIB)
    content = tmp_path / "source" / "film.mkv"
    return make_torrent(content, tmp_path / "film.torrent", piece_size=PIECE)


def is_right(tmp_path: Path, film: Torrent) -> bool:
    return sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_torrent_whose_only_seeder_died_at_40_percent_finishes_from_a_mirror_given_then(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    content = film.content.read_bytes()
    await seeder.seed(film.path, film.folder, upload_limit=2 * MIB)
    async with (
        web_answers(lambda asked: part(content, asked)) as web,
        running(tmp_path) as downloader,
    ):
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.percent >= 40)
        await seeder.kill()
        job = await until(downloader, "a", lambda job: job.progress.peers == 0)
        assert job.progress.percent < 100
        await downloader.adjust("a", mirrors=[{"sourceUrn": f"{web.url}/film.mkv"}])
        job = await downloader.wait("a")
    assert (job.status, job.attempts) == (Status.COMPLETED, 0)
    assert is_right(tmp_path, film)


async def test_a_mirror_with_one_wrong_byte_never_reaches_the_film(
    tmp_path: Path, film: Torrent
) -> None:
    content = film.content.read_bytes()
    wrong = bytearray(content)
    wrong[len(wrong) // 2] ^= 1
    async with (
        web_answers(lambda asked: part(bytes(wrong), asked)) as bad,
        web_answers(lambda asked: part(content, asked)) as good,
        running(tmp_path, web_seed_retry=0.2) as downloader,
    ):
        mirrors = [{"sourceUrn": f"{bad.url}/film.mkv"}]
        await downloader.start(id="a", torrent=film.path.read_bytes(), mirrors=mirrors)
        job = await until(downloader, "a", lambda job: "wrong data" in (job.reason or ""))
        assert job.progress.percent < 100
        await downloader.adjust("a", mirrors=[*mirrors, {"sourceUrn": f"{good.url}/film.mkv"}])
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert is_right(tmp_path, film)


async def test_a_mirror_with_a_password_is_asked_after_a_restart_and_only_the_job_knows_it(
    tmp_path: Path, film: Torrent
) -> None:
    content, told = film.content.read_bytes(), b64encode(b"canary-u:canary-p!").decode()
    opened = False

    def answer(asked: Asked) -> bytes:
        if not opened:
            return http("503 Busy")
        knows = f"authorization: basic {told}".lower() in asked.head.lower()
        return part(content, asked) if knows else http("401 Unauthorized")

    async with web_answers(answer) as web:
        link = f"http://127.0.0.1:{web.port}/film.mkv"
        mirror: dict[str, Any] = {"sourceUrn": link, "username": "canary-u"}
        async with running(tmp_path, web_seed_retry=0.2) as downloader:
            torrent, mirrors = film.path.read_bytes(), [mirror | {"password": "canary-p!"}]
            await downloader.start(id="a", torrent=torrent, mirrors=mirrors)
            job = await until(downloader, "a", lambda job: "web seed" in (job.reason or ""))
            assert "canary" not in repr(job)
        opened = True
        async with running(tmp_path, web_seed_retry=0.2) as downloader:
            job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert is_right(tmp_path, film)
    with closing(sqlite3.connect(tmp_path / "state" / "chilly.db")) as database:
        kept = database.execute("SELECT data FROM resume").fetchall()
        names = [row[1] for row in database.execute("PRAGMA table_info(jobs)")]
        row = database.execute("SELECT * FROM jobs").fetchone()
    assert not [data for (data,) in kept if b"canary" in data or link.encode() in data]
    told_in = [name for name, value in zip(names, row, strict=True) if "canary" in str(value)]
    assert told_in == ["secret"]


async def test_a_mirror_of_several_files_is_a_folder_also_of_a_magnet(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    wanted = make_films(tmp_path / "show", {"one.mkv": MIB, "two.mkv": MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=PIECE)
    await seeder.seed(torrent.path, torrent.folder, upload_limit=PIECE)

    def answer(asked: Asked) -> bytes:
        return part((tmp_path / asked.path.removeprefix("/at/")).read_bytes(), asked)

    async with web_answers(answer) as web, running(tmp_path) as downloader:
        source = magnet_to(torrent, seeder.port)
        await downloader.start(id="a", source_urn=source, mirrors=[{"sourceUrn": f"{web.url}/at"}])
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert {f: sha256_of(tmp_path / "media" / "show" / f) for f in wanted} == wanted
    assert any(path.startswith("/at/show/") for path in web.asked)


async def test_a_mirror_that_is_taken_away_is_asked_no_more(tmp_path: Path, film: Torrent) -> None:
    async with (
        web_answers(lambda _: http("503 Busy")) as web,
        running(tmp_path, web_seed_retry=0.05) as downloader,
    ):
        mirrors = [{"sourceUrn": f"{web.url}/film.mkv"}]
        await downloader.start(id="a", torrent=film.path.read_bytes(), mirrors=mirrors)
        await asyncio.wait_for(web.until_asked("/film.mkv", 2), 30)
        job = await downloader.adjust("a", mirrors=None)
        assert job.mirrors == ()
        await until(downloader, "a", lambda job: "web seed" not in (job.reason or ""))
        asked = len(web.asked)
        await asyncio.sleep(1.5)  # the claim: nothing happens
    assert len(web.asked) <= asked + 1


@pytest.mark.parametrize("secret", [{"password": "a@b"}, {"cookies": {"a": "b"}}])
async def test_a_mirror_that_wants_what_cannot_be_sent_is_left_out_and_says_so(
    tmp_path: Path, film: Torrent, secret: dict[str, Any]
) -> None:
    async with web_answers(lambda _: http("503 Busy")) as web, running(tmp_path) as downloader:
        mirrors = [{"sourceUrn": f"{web.url}/film.mkv", **secret}]
        await downloader.start(id="a", torrent=film.path.read_bytes(), mirrors=mirrors)
        await until(downloader, "a", lambda job: "cannot be told" in (job.reason or ""))
        assert web.asked == []


async def test_a_private_mirror_is_left_out_with_the_setting_that_lets_it_in(
    tmp_path: Path, film: Torrent
) -> None:
    mirrors = [{"sourceUrn": "http://127.0.0.1:9/film.mkv"}]
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        await downloader.start(id="a", torrent=film.path.read_bytes(), mirrors=mirrors)
        job = await until(downloader, "a", lambda job: "web seed" in (job.reason or ""))
    assert "CHILLY_ALLOW_PRIVATE_ADDRESSES" in (job.reason or "")

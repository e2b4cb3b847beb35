"""Three candidates of which two are dead, with the real engine: the third gives the film."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies import Status
from tests.integration.engine import magnet_to, running
from tests.integration.web_answers import Asked, http, web_answers
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
NOBODY = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=Nobody"


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 2 * MIB)
    return make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")


def left_over(tmp_path: Path) -> list[str]:
    incomplete = tmp_path / "media" / ".incomplete"
    return [str(p.relative_to(incomplete)) for p in incomplete.rglob("*") if "." not in p.name[:1]]


async def test_of_three_sources_two_are_dead_and_the_third_completes_the_job(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)

    def answer(asked: Asked) -> bytes:
        return http("503 Busy")

    async with (
        web_answers(answer) as web,
        running(tmp_path, source_patience=1, source_tries=1) as downloader,
    ):
        busy, good = f"{web.url}/busy.torrent", magnet_to(film, seeder.port)
        candidates = [{"sourceUrn": busy}, {"sourceUrn": good}]
        await downloader.start(id="a", source_urn=NOBODY, candidates=candidates)
        job = await downloader.wait("a")
        changes = await downloader.changes_since(0)
        again = await downloader.start(id="a", source_urn=NOBODY)
    assert (job.status, job.path, job.source.urn) == (Status.COMPLETED, "film.mkv", NOBODY)
    assert again.id == "a"
    assert job.info_hash in (film.v1, film.v2)
    news = [change.news for change in changes if change.event == "source" and change.news]
    assert [(one["from"]["sourceUrn"], one["to"]["sourceUrn"]) for one in news] == [
        (NOBODY, busy),
        (busy, good),
    ]
    assert "looking for peers" in news[0]["reason"]
    assert news[1]["reason"] == "The link's server answered 503."
    assert Status.FAILED not in [change.status for change in changes]
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
    assert left_over(tmp_path) == []


async def test_half_a_film_of_a_seeder_that_died_is_deleted_before_the_next_source_is_taken(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    make_film(tmp_path / "other" / "other.mkv", 4 * MIB, seed=5)
    content = tmp_path / "other" / "other.mkv"
    dying = make_torrent(content, tmp_path / "other.torrent", piece_size=64 * 1024)
    await seeder.seed(film.path, film.folder)
    async with LibtorrentPeer() as first:
        await first.seed(dying.path, dying.folder, upload_limit=MIB)
        async with running(tmp_path, source_patience=2) as downloader:
            candidates = [{"sourceUrn": magnet_to(film, seeder.port)}]
            source = magnet_to(dying, first.port)
            await downloader.start(id="a", source_urn=source, candidates=candidates)
            async with downloader.listen("a") as changes:
                async for change in changes:
                    if change.progress.bytes_downloaded > MIB:
                        break
                await first.kill()
                async for change in changes:
                    if change.event == "source":
                        break
            assert not list((tmp_path / "media").rglob("other.mkv"))
            job = await downloader.wait("a")
    assert (job.status, job.path) == (Status.COMPLETED, "film.mkv")
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
    assert left_over(tmp_path) == []


async def test_a_magnet_without_peers_is_waited_for_if_there_is_no_other_source(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, source_patience=1, source_tries=1) as downloader:
        await downloader.start(id="a", source_urn=NOBODY)
        async with downloader.listen("a") as changes:
            seen = [await anext(changes) for _ in range(5)]
    assert {change.status for change in seen if change.event == "progress"} == {Status.ACTIVE}

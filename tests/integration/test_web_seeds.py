"""Web seeds: what went wrong with them is told, and what passes does not end them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies import Status
from tests.integration.engine import running, until
from tests.integration.web_answers import Answer, Asked, http, part, web_answers
from tests.peers.process import free_port
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def film(tmp_path: Path, seed: str) -> Torrent:
    content = tmp_path / "source" / "film.mkv"
    make_film(content, 300_000)
    return make_torrent(content, tmp_path / "film.torrent", web_seeds=[seed], piece_size=16_384)


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "503 Service Unavailable"])
async def test_a_web_seed_that_answers_with_an_error_is_told_with_it(
    tmp_path: Path, status: str
) -> None:
    async with web_answers(lambda _: http(status)) as web, running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=film(tmp_path, f"{web.url}/").path.read_bytes())
        job = await until(downloader, "a", lambda job: "web seed" in (job.reason or ""))
    assert job.reason == f"no peers found yet: 1 web seed failed ({status})"


async def test_a_web_seed_that_cannot_be_reached_or_sends_another_part_is_told(
    tmp_path: Path,
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=film(tmp_path, nowhere).path.read_bytes())
        job = await until(downloader, "a", lambda job: "web seed" in (job.reason or ""))
        assert job.reason == "no peers found yet: 1 web seed failed (Connection refused)"
        await downloader.remove("a")
        async with web_answers(shorter_than_asked) as web:
            torrent = film(tmp_path, f"{web.url}/").path.read_bytes()
            await downloader.start(id="b", torrent=torrent)
            job = await until(downloader, "b", lambda job: "web seed" in (job.reason or ""))
            assert "1 web seed failed (invalid HTTP range)" in (job.reason or "")


def shorter_than_asked(asked: Asked) -> bytes:
    return http("206 Partial Content", bytes(9), Content_Range="bytes 0-8/300000")


def busy_at_first(content: bytes) -> Answer:
    def answer(asked: Asked) -> bytes:
        if asked.times <= 2:
            return http("503 Service Unavailable", Retry_After="1")
        return part(content, asked)

    return answer


def moving_on(content: bytes) -> Answer:
    """Leads to another address each time; an old one is closed, as with links that run out."""
    led = 0

    def answer(asked: Asked) -> bytes:
        nonlocal led
        if asked.path.startswith("/at/"):
            led += 1
            return http("302 Found", Location=f"/there/{led}/film.mkv")
        old = asked.path != f"/there/{led}/film.mkv" or led == 1
        return http("403 Forbidden") if old else part(content, asked)

    return answer


@pytest.mark.parametrize("kind", [busy_at_first, moving_on])
async def test_a_web_seed_that_failed_is_asked_again_and_gives_the_film(
    tmp_path: Path, kind: object
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 300_000)
    content = (tmp_path / "source" / "film.mkv").read_bytes()
    answer = kind(content)  # type: ignore[operator]
    async with web_answers(answer) as web, running(tmp_path, web_seed_retry=0.5) as downloader:
        torrent = film(tmp_path, f"{web.url}/at/")
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await until(downloader, "a", lambda job: job.status is Status.COMPLETED)
    assert job.reason is None
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(torrent.content)


async def test_a_web_seed_that_sends_wrong_data_is_not_asked_again(tmp_path: Path) -> None:
    wrong = bytes(300_000)
    async with (
        web_answers(lambda asked: part(wrong, asked)) as web,
        running(tmp_path, web_seed_retry=0.1) as downloader,
    ):
        await downloader.start(id="a", torrent=film(tmp_path, f"{web.url}/").path.read_bytes())
        job = await until(downloader, "a", lambda job: "wrong data" in (job.reason or ""))
        assert "1 web seed failed (it sent wrong data)" in (job.reason or "")
        asked = len(web.asked)
        await downloader.pause("a")
    assert len(web.asked) == asked

"""What is secret goes to the source's own server, and nowhere else."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.integration.engine import running, until
from tests.integration.web_answers import Asked, http, web_answers
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

BASIC = b64encode(b"canary-user:canary-pass").decode()


async def test_a_torrent_file_behind_a_password_is_fetched_with_the_user_of_the_link(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 30_000)
    torrent = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    heads: list[str] = []

    def answer(asked: Asked) -> bytes:
        heads.append(asked.head)
        if f"authorization: basic {BASIC}".lower() not in asked.head.lower():
            return http("401 Unauthorized")
        return http("200 OK", torrent.path.read_bytes())

    async with web_answers(answer) as web, running(tmp_path) as downloader:
        link = f"http://canary-user:canary-pass@127.0.0.1:{web.port}/film.torrent"
        more = {"cookies": {"sid": "1", "lang": "de"}, "headers": {"X-Token": "t"}}
        await downloader.start({"id": "a", "sourceUrn": link, **more})
        job = await until(downloader, "a", lambda job: bool(job.files))
    assert job.source.urn == f"{web.url}/film.torrent"
    assert "cookie: sid=1; lang=de" in heads[0].lower()
    assert "x-token: t" in heads[0].lower()


async def test_a_server_that_the_link_redirects_to_is_told_nothing(tmp_path: Path) -> None:
    heads: list[str] = []

    def elsewhere(asked: Asked) -> bytes:
        heads.append(asked.head.lower())
        return http("404 Not Found")

    async with web_answers(elsewhere) as other:
        here = {"/first": "/second", "/second": f"{other.url}/third"}

        def answer(asked: Asked) -> bytes:
            heads.append(asked.head.lower())
            return http("302 Found", Location=here[asked.path])

        async with web_answers(answer) as web, running(tmp_path) as downloader:
            link = f"http://canary-user:canary-pass@127.0.0.1:{web.port}/first"
            more = {"cookies": {"sid": "1"}, "headers": {"X-Token": "t"}}
            await downloader.start({"id": "a", "sourceUrn": link, **more})
            job = await until(downloader, "a", lambda job: job.error is not None)
    assert job.error is not None
    assert job.error.code == "source_not_found"
    told = ("authorization", "cookie", "x-token")
    assert [any(name in head for name in told) for head in heads] == [True, True, False]

"""The request's own examples: the curl lines, and the library example of the contract."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Status, WebTorrentDownloader
from tests.acceptance.backend import Backend
from tests.integration.engine import QUIET
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent

pytestmark = pytest.mark.anyio
SECRET = "supersecret"
JSON = ("-H", "Content-Type: application/json")


async def curl(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a request made with the real curl."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-w", "\n%{http_code}", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    body, _, code = out.decode().rpartition("\n")
    return int(code), json.loads(body)


async def test_without_a_secret_the_api_is_open(tmp_path: Path) -> None:
    async with Backend(tmp_path, None, "--mock", warm=True) as ours:
        body = (
            '{"id":"1","sourceType":"torrent","sourceUrn":"magnet:?xt=urn:btih:' + "a" * 40 + '"}'
        )
        code, job = await curl("-X", "POST", *JSON, "-d", body, f"{ours.url}/download/start")
        assert (code, job["id"]) == (200, "1")
        code, job = await curl(f"{ours.url}/download/status/1")
        assert (code, set(job) >= {"id", "status", "progress"}) == (200, True)


async def test_with_a_secret_the_key_is_asked_for_and_taken_from_header_and_query(
    tmp_path: Path,
) -> None:
    async with Backend(tmp_path, {"API_SECRET": SECRET}, "--mock", warm=True) as ours:
        start = ("-X", "POST", *JSON, "-d", '{"id":"1","sourceUrn":"mock:"}')
        url = f"{ours.url}/download/start"
        code, problem = await curl(*start, url)
        assert (code, problem["code"]) == (401, "unauthorized")
        assert (await curl(*start, "-H", f"x-api-key: {SECRET}", url))[0] == 200
        assert (await curl(*start, f"{url}?api_key={SECRET}"))[0] == 200
        assert (await curl(*start, "-H", f"Authorization: Bearer {SECRET}", url))[0] == 200
        assert (await curl(*start, "-H", "x-api-key: supersecreT", url))[0] == 401
        assert (await curl(f"{ours.url}/health"))[0] == 200
        assert SECRET not in ours.log()


async def test_the_fourth_quick_request_is_refused_when_three_are_allowed(tmp_path: Path) -> None:
    async with Backend(
        tmp_path, {"CHILLY_RATE_LIMIT_START": "3/minute"}, "--mock", warm=True
    ) as ours:
        codes = []
        for number in range(4):
            body = json.dumps({"id": str(number)})
            code, problem = await curl(
                "-X", "POST", *JSON, "-d", body, f"{ours.url}/download/start"
            )
            codes.append(code)
        assert codes == [422, 422, 422, 429]  # an id nobody knows; the seed's body has no source
        assert "Too many requests" in problem["detail"]


async def test_the_library_example_runs_as_written(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", 2 << 20)
    torrent = make_torrent(tmp_path / "film.mkv", tmp_path / "film.torrent")
    percents: list[float] = []
    errors: list[Exception] = []
    async with LibtorrentPeer() as seeder:
        await seeder.seed(torrent.path, torrent.folder)
        urn = f"{torrent.magnet}&x.pe=127.0.0.1:{seeder.port}"
        async with WebTorrentDownloader(
            media_root=tmp_path / "media", state_dir=tmp_path / "state", **QUIET
        ) as downloader:
            downloader.on("progress", lambda job: percents.append(job.progress.percent))
            downloader.on("error", lambda error, job: errors.append(error))
            await downloader.start(id="unique-id", source_type="torrent", source_urn=urn)
            await downloader.pause("unique-id")
            await downloader.resume("unique-id")
            job = await downloader.wait("unique-id")
            await downloader.cancel("unique-id")
    assert job.status is Status.COMPLETED
    assert (tmp_path / "media" / "film.mkv").is_file()
    assert percents
    assert errors == []

"""A film of the Internet Archive by its name, in one call: by web seeds, or by a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import HttpUrl

from chilly_movies import Status
from chilly_movies.app import AssembledDownloader, create_app, torrent_parts
from chilly_movies.catalogue.settings import CatalogueSettings
from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.jobs.models import Job, SourceType
from chilly_movies.jobs.retry import policy_of
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.storage.catalogues import open_catalogues
from chilly_movies.storage.memory import MemoryResumeStore
from tests.integration.archive_origin import ArchiveOrigin, archive_origin
from tests.integration.file_origin import Served
from tests.old_films import FILMS
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

FILM = FILMS[-1]
NODE = "http://ia600301.us.archive.org/12/items/"


@pytest.fixture
async def archive() -> AsyncIterator[ArchiveOrigin]:
    async with archive_origin(FILMS[-3:]) as origin:
        yield origin


def add_item(archive: ArchiveOrigin, tmp_path: Path, *, torrent: bool = True) -> bytes:
    """An item with an upload, a film made of it, a thumbnail, and its torrent; the film's bytes."""
    content = tmp_path / "made" / FILM.identifier
    make_film(content / "night.mpeg", 200_000)
    make_film(content / "night.mp4", 300_000)
    make_film(content / "night.gif", 50_000)
    film = (content / "night.mp4").read_bytes()
    made: dict[str, Any] = {"source": "derivative", "original": "night.mpeg"}
    archive.add_file(FILM.identifier, "night.mpeg", (content / "night.mpeg").read_bytes())
    archive.add_file(FILM.identifier, "night.mp4", film, **made)
    archive.add_file(FILM.identifier, "night.gif", (content / "night.gif").read_bytes(), **made)
    if torrent:
        seeds = [NODE, f"{archive.base_url}/download/"]
        path = tmp_path / "item.torrent"
        make_torrent(content, path, web_seeds=seeds, piece_size=16_384)
        said = {"source": "metadata", "format": "Archive BitTorrent"}
        name = f"{FILM.identifier}_archive.torrent"
        archive.add_file(FILM.identifier, name, path.read_bytes(), **said)
    return film


@asynccontextmanager
async def backend(
    tmp_path: Path, archive: ArchiveOrigin
) -> AsyncIterator[tuple[AssembledDownloader, httpx2.AsyncClient]]:
    media, state = tmp_path / "media", StateFolder(tmp_path / "state")
    media.mkdir(exist_ok=True)
    config = EngineConfig(
        media, port=0, dht=False, lsd=False, upnp=False, webtorrent=False,
        allow_private_addresses=True,
    )  # fmt: skip
    settings = JobSettings(source_patience=25, source_tries=1)
    network = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
    parts = torrent_parts(
        config, state, max_active=2, min_free_space=0, retry=policy_of(settings),
        others=lambda net: {SourceType.HTTP: HttpDriver(media, MemoryResumeStore(), net)},
    )  # fmt: skip
    wanted = CatalogueSettings(archive_base_url=HttpUrl(archive.base_url))
    metadata, catalogue = open_catalogues(wanted, state, network)
    async with AssembledDownloader(parts) as downloader:
        app = create_app(downloader, metadata=metadata, catalogue=catalogue)
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield downloader, http
    await catalogue.aclose()


async def started(http: httpx2.AsyncClient, **more: object) -> httpx2.Response:
    urn = f"archive:{FILM.identifier}"
    return await http.post("/download/start", json={"id": "a", "sourceUrn": urn, **more})


async def completed(downloader: AssembledDownloader) -> Job:
    async with asyncio.timeout(60):
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED, job.error
    return job


async def test_one_call_fetches_the_film_alone_by_the_torrent_and_no_node_is_ever_asked(
    tmp_path: Path, archive: ArchiveOrigin
) -> None:
    film = add_item(archive, tmp_path)
    async with backend(tmp_path, archive) as (downloader, http):
        assert (await started(http)).status_code == 200
        again = await started(http, labels={"title": "Another"})
        assert again.json()["id"] == "a"
        job = await completed(downloader)
        assert job.source.type == SourceType.TORRENT
        assert [mirror.source.urn for mirror in job.mirrors] == [archive.link("/node1/items/")]
    wanted = [file for file in job.files if file.wanted]
    assert [Path(file.path).name for file in wanted] == ["night.mp4"]
    assert (tmp_path / "media" / wanted[0].path).read_bytes() == film
    assert job.labels == {
        "archiveId": FILM.identifier,
        "mediaType": "movie",
        "title": FILM.name,
        "year": str(FILM.year),
    }


async def test_where_the_web_seeds_fail_the_link_to_the_film_is_taken_and_compared(
    tmp_path: Path, archive: ArchiveOrigin
) -> None:
    film = add_item(archive, tmp_path)
    for name in ("night.mpeg", "night.gif"):
        archive.files[f"/download/{FILM.identifier}/{name}"] = Served(
            raw=b"HTTP/1.1 404 No\r\n\r\n"
        )
    archive.answers[f"/download/{FILM.identifier}/night.mp4"] = Served(
        raw=b"HTTP/1.1 404 No\r\n\r\n"
    )
    async with backend(tmp_path, archive) as (downloader, http):
        assert (await started(http)).status_code == 200
        job = await downloader.status("a")
        [candidate] = job.candidates
        assert (candidate.source.type, candidate.size) == (SourceType.HTTP, len(film))
        assert (candidate.checksum or "").startswith("sha1:")


async def test_an_item_without_a_torrent_comes_by_a_link_with_its_checksum(
    tmp_path: Path, archive: ArchiveOrigin
) -> None:
    film = add_item(archive, tmp_path, torrent=False)
    async with backend(tmp_path, archive) as (downloader, http):
        assert (await started(http)).status_code == 200
        job = await completed(downloader)
    assert job.source.type == SourceType.HTTP
    assert (job.options.checksum or "").startswith("sha1:")
    assert (tmp_path / "media" / job.files[0].path).read_bytes() == film


async def test_a_torrent_that_is_gone_or_older_than_the_film_is_passed_over(
    tmp_path: Path, archive: ArchiveOrigin
) -> None:
    add_item(archive, tmp_path)
    name = f"/download/{FILM.identifier}/{FILM.identifier}_archive.torrent"
    archive.answers[name] = Served(raw=b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")
    async with backend(tmp_path, archive) as (downloader, http):
        assert (await started(http)).status_code == 200
        assert (await completed(downloader)).source.type == SourceType.HTTP


async def test_what_is_not_there_or_holds_no_film_is_told_in_one_sentence(
    tmp_path: Path, archive: ArchiveOrigin
) -> None:
    async with backend(tmp_path, archive) as (_downloader, http):
        empty = await started(http)
        assert (empty.status_code, empty.json()["code"]) == (422, "invalid_source")
        assert "holds no film" in empty.json()["detail"]
        unknown = await started(http, sourceUrn="archive:no_such_item")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "title_not_found")
        archive.answers["/metadata/"] = Served(
            raw=b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"
        )
        away = await started(http, sourceUrn="archive:another")
        assert (away.status_code, away.json()["code"]) == (503, "metadata_unavailable")

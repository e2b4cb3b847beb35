"""No way to write, name or redirect to a private place gets a byte out of it over http."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from chilly_movies import Status
from chilly_movies.errors import InvalidRequest
from tests.integration.http_rig import fetch, fetching
from tests.security.private_links import (
    PRIVATE_LINKS,
    PUBLIC,
    PUBLIC_NAME,
    answering,
    one_public,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
FILM = bytes(range(251)) * 400


@dataclass
class Site:
    """A public server that leads to private places, and a private one that must stay unasked."""

    port: int = 0
    canary: int = 0
    asked: list[str] = field(default_factory=list)
    touched: int = 0

    def links(self) -> dict[str, str]:
        return {name: link.format(port=self.canary) for name, link in PRIVATE_LINKS.items()}


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Serves `/film.mkv`, `/to/<n>` which redirects to the n-th link, `/far/<n>` which does so
    by two steps, and `/film.meta4` with all of them as places of one film."""
    made = Site()

    async def private(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.touched += 1
        writer.close()

    async def public(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode("latin-1")
        path = path.partition("?")[0]
        made.asked.append(path)
        writer.write(answer(path))
        await writer.drain()
        writer.close()

    def answer(path: str) -> bytes:
        links = list(made.links().values())
        head, body, kind = "200 OK", FILM, "video/mp4"
        if path.startswith("/to/"):
            head, body = f"302 Found\r\nLocation: {links[int(path[4:])]}", b""
        elif path.startswith("/far/"):
            head, body = f"307 Temporary Redirect\r\nLocation: /to/{path[5:]}", b""
        elif path.endswith(".meta4"):
            urls = "".join(f"<url>{escape(link)}</url>" for link in links)
            text = f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="film.mkv">{urls}'
            body, kind = f"{text}</file></metalink>".encode(), "application/metalink4+xml"
        top = f"HTTP/1.1 {head}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
        return f"{top}\r\nConnection: close\r\n\r\n".encode() + body

    async with (
        await asyncio.start_server(public, PUBLIC, 0) as one,
        await asyncio.start_server(private, "127.0.0.1", 0) as other,
    ):
        made.port = one.sockets[0].getsockname()[1]
        made.canary = other.sockets[0].getsockname()[1]
        yield made


@pytest.fixture
async def places(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> AsyncIterator[Site]:
    answering(monkeypatch)
    one_public(monkeypatch)
    async with site() as made:
        yield made


async def test_the_public_place_of_these_tests_is_one(places: Site, tmp_path: Path) -> None:
    async with fetching(tmp_path, allow_private_addresses=False) as downloader:
        job = await fetch(downloader, f"http://{PUBLIC_NAME}:{places.port}/film.mkv")
    assert job.status is Status.COMPLETED


async def test_no_private_place_is_asked_however_it_is_written(
    places: Site, tmp_path: Path
) -> None:
    assert len(PRIVATE_LINKS) >= 60
    async with fetching(tmp_path, allow_private_addresses=False) as downloader:
        for number, (name, link) in enumerate(places.links().items()):
            try:
                job = await fetch(downloader, link, id=str(number))
            except InvalidRequest:
                continue
            await downloader.remove(job.id)  # another spelling may be the same link
            assert job.status is Status.FAILED, name
            assert job.error is not None
            assert job.error.code in ("source_rejected", "source_unavailable"), (name, job.error)
    assert places.touched == 0


@pytest.mark.parametrize("way", ["to", "far"])
async def test_no_redirect_leads_to_a_private_place(places: Site, tmp_path: Path, way: str) -> None:
    base = f"http://{PUBLIC_NAME}:{places.port}/{way}/"
    async with fetching(tmp_path, allow_private_addresses=False) as downloader:
        for number, name in enumerate(PRIVATE_LINKS):
            job = await fetch(downloader, f"{base}{number}", id=str(number))
            assert job.status is Status.FAILED, name
            assert job.error is not None
            assert job.error.code in ("source_rejected", "source_unavailable"), (name, job.error)
    assert places.touched == 0
    assert len(places.asked) >= len(PRIVATE_LINKS) * (1 if way == "to" else 2)


async def test_no_mirror_is_asked_at_a_private_place(places: Site, tmp_path: Path) -> None:
    links = [link for link in places.links().values() if link.strip().startswith("http")]
    source = f"http://{PUBLIC_NAME}:{places.port}/film.mkv"
    async with fetching(tmp_path, allow_private_addresses=False) as downloader:
        for number in range(0, len(links), 40):
            mirrors = [{"sourceUrn": link} for link in links[number : number + 40]]
            job = await fetch(downloader, f"{source}?{number}", id=str(number), mirrors=mirrors)
            assert job.status is Status.COMPLETED
    assert places.touched == 0


async def test_no_place_of_a_metalink_is_asked_if_it_is_private(
    places: Site, tmp_path: Path
) -> None:
    async with fetching(tmp_path, allow_private_addresses=False) as downloader:
        job = await fetch(downloader, f"http://{PUBLIC_NAME}:{places.port}/film.meta4")
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "private" in job.error.message
    assert places.touched == 0

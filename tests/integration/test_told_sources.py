"""What a source is, told before it is a job: real torrents, a real server, the real engine."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chilly_movies import WebTorrentDownloader
from chilly_movies.app import create_app
from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.drivers.http.settings import HttpSourceSettings
from chilly_movies.jobs.ports import Driver
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.storage.memory import MemoryResumeStore
from tests.contract.web import problem, served_by
from tests.integration.engine import QUIET, magnet_to
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = pytest.mark.anyio
SIZE = 300_000
FILM = bytes(range(256)) * 20
PAGE = b"<!DOCTYPE html><title>A film</title>"
HASH = "ab" * 20
METALINK = b"""<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">
<file name="dawn.mkv"><size>700</size><url>http://films.example/dawn.mkv</url></file></metalink>"""


def files(folder: Path, *, private: bool) -> dict[str, Driver]:
    """The driver of plain files, as one that is handed in."""
    policy = NetworkPolicy(NetworkConfig(allow_private_addresses=private))
    resume, settings = MemoryResumeStore(), HttpSourceSettings()
    return {"http": HttpDriver(folder / "media", resume, policy, settings)}


@dataclass
class Site:
    """A server with a torrent file, a film, a page and ways to them; it notes what is asked."""

    torrent: bytes
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and hang up."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        self.asked.append(path.partition("?")[0])
        known = {
            "/dl/1": (self.torrent, "application/octet-stream"),
            "/film.torrent": (self.torrent, "application/x-bittorrent"),
            "/dl/2": (FILM, "video/mp4"),
            "/dl/3": (METALINK, "application/metalink4+xml"),
            "/watch": (PAGE, "text/html; charset=utf-8"),
        }
        to = {
            "/go/1": "/dl/1",
            "/go/magnet": f"magnet:?xt=urn:btih:{HASH}&dn=Led",
            "/go/nowhere": "http://[::1",
            "/go/nowhere.mkv": "http://[::1",
            "/go/nowhere.torrent": "http://[::1",
        }
        body, kind = known.get(path, (b"", "text/plain"))
        status = "200 OK" if body else "302 Found" if path in to else "404 Not Found"
        where = f"Location: {to[path]}\r\n" if path in to else ""
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{where}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            writer.transport.abort()  # it knows enough


@dataclass
class Rig:
    """A server of ours beside the site."""

    client: httpx2.AsyncClient
    site: Site
    torrent: Torrent

    async def inspect(self, urn: str, **more: Any) -> httpx2.Response:
        """What is said of a source."""
        return await self.client.post("/sources/inspect", json={"sourceUrn": urn, **more})

    async def kind_of(self, urn: str) -> str:
        """Of which kind a job becomes that is started without one; it does not run."""
        body = {"id": f"job-{len(self.site.asked)}", "sourceUrn": urn, "held": True}
        answer = await self.client.post("/download/start", json=body)
        assert answer.status_code == 200, answer.text
        shown = (await self.client.get(f"/downloads/{body['id']}")).json()
        assert (await self.client.delete(f"/downloads/{body['id']}")).status_code == 204
        return str(shown["sourceType"])


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[Site]:
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    async with server:
        site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield site


@pytest.fixture(scope="module")
async def rig(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Torrents and plain files, as two kinds that both take every link."""
    folder = tmp_path_factory.mktemp("told")
    make_film(folder / "film.mkv", SIZE)
    torrent = make_torrent(folder / "film.mkv", folder / "film.torrent")
    downloader = WebTorrentDownloader(
        folder / "media",
        state_dir=folder / "state",
        drivers=files(folder, private=True),
        **QUIET,
    )
    site = Site(torrent.path.read_bytes())
    client = served_by(create_app(downloader, start_limit="999/minute"))
    async with listening(site), downloader, client:
        yield Rig(client, site, torrent)


@pytest.mark.parametrize(
    ("urn", "kind"),
    [
        (f"magnet:?xt=urn:btih:{HASH}", "torrent"), (HASH, "torrent"),
        (base64.b32encode(bytes.fromhex(HASH)).decode(), "torrent"), ("cd" * 32, "torrent"),
        ("{site}/film.torrent", "torrent"), ("{site}/a%20film.MKV", "http"),
        ("{site}/f.meta4?a=1", "http"),
        ("http://127.0.0.1:1/gone.torrent?k=1", "torrent"),
    ],
)  # fmt: skip
async def test_what_a_text_says_of_itself_is_told_without_asking_anybody(
    rig: Rig, urn: str, kind: str
) -> None:
    rig.site.asked.clear()
    assert await rig.kind_of(urn.format(site=rig.site.url)) == kind
    assert rig.site.asked == []


@pytest.mark.parametrize(
    ("path", "kind"), [("/dl/1", "torrent"), ("/go/1", "torrent"), ("/dl/2", "http")]
)
async def test_a_link_that_may_be_of_two_kinds_is_told_by_what_its_server_sends(
    rig: Rig, path: str, kind: str
) -> None:
    assert await rig.kind_of(rig.site.url + path) == kind


async def test_a_link_to_a_page_is_refused_unless_a_type_says_who_is_to_try(rig: Rig) -> None:
    link = f"{rig.site.url}/watch"
    for path in ("/download/start", "/sources/inspect"):
        answer = await rig.client.post(path, json={"sourceUrn": link, "held": True})
        told = problem(answer, 422, "invalid_source", field="sourceUrn")
        assert "leads to a page, which no driver" in told["detail"]
    body: dict[str, Any] = {"sourceUrn": HASH, "candidates": [{"sourceUrn": link}]}
    problem(await rig.client.post("/download/start", json=body), 422, "invalid_source",
            field="candidates")  # fmt: skip
    body = {"id": "page", "sourceUrn": link, "sourceType": "http", "held": True}
    assert (await rig.client.post("/download/start", json=body)).status_code == 200
    again = await rig.client.post("/download/start", json={"id": "page", "sourceUrn": link})
    assert again.status_code == 200, "a known id with its source needs no type"
    assert (await rig.client.delete("/downloads/page")).status_code == 204


@pytest.mark.parametrize("urn", ["No Such Film.mkv", "nonsense", "ftp://films.example/film.mkv"])
async def test_what_is_no_source_is_answered_with_all_that_would_be_one(rig: Rig, urn: str) -> None:
    for path in ("/download/start", "/sources/inspect"):
        answer = await rig.client.post(path, json={"sourceUrn": urn})
        told = problem(answer, 422, "invalid_source", field="sourceUrn")
        for kind in ("magnet link", "info hash", "http or https link", "path of a film"):
            assert kind in told["detail"]


async def test_a_link_whose_server_is_silent_is_what_it_was_before_anybody_asked(rig: Rig) -> None:
    assert await rig.kind_of("http://127.0.0.1:1/dl/9") == "torrent"


async def test_candidates_are_told_apart_at_a_start_and_when_they_are_changed(rig: Rig) -> None:
    links = [{"sourceUrn": rig.site.url + path} for path in ("/dl/2", "/dl/1")]
    body = {"id": "many", "sourceUrn": HASH, "candidates": links, "held": True}
    assert (await rig.client.post("/download/start", json=body)).status_code == 200
    changed = await rig.client.patch("/downloads/many", json={"candidates": links[::-1]})
    assert [one["sourceType"] for one in changed.json()["candidates"]] == ["torrent", "http"]
    assert (await rig.client.delete("/downloads/many")).status_code == 204


async def test_hashes_magnets_and_uploads_are_inspected_without_sending_anything(rig: Rig) -> None:
    met: list[str] = []

    async def meet(_reader: object, writer: asyncio.StreamWriter) -> None:
        met.append("a peer")
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as peer:
        port = peer.sockets[0].getsockname()[1]
        rig.site.asked.clear()
        tracker = f"&tr={rig.site.url}/announce&x.pe=127.0.0.1:{port}"
        found = (
            await rig.inspect(f"magnet:?xt=urn:btih:{HASH}&dn=My+Film&xl=1234{tracker}")
        ).json()
        upload = {"torrent": ("a.torrent", rig.site.torrent, "application/x-bittorrent")}
        read = (await rig.client.post("/sources/inspect", files=upload)).json()
        bare = (await rig.inspect(HASH)).json()
    assert (met, rig.site.asked) == ([], [])
    assert (found["sourceType"], found["name"], found["totalBytes"]) == ("torrent", "My Film", 1234)
    assert found["files"] == []
    assert set(found) == {"sourceType", "sourceUrn", "name", "totalBytes", "files"}
    assert (bare["name"], bare["totalBytes"]) == (None, None)
    assert (read["sourceUrn"], read["name"], read["totalBytes"]) == ("", "film.mkv", SIZE)
    assert [(f["index"], f["path"], f["size"]) for f in read["files"]] == [(0, "film.mkv", SIZE)]
    assert read["torrent"]["infoHash"] == rig.torrent.v1


async def test_a_link_asks_its_own_server_alone_and_a_magnet_its_peers_if_that_is_wanted(
    rig: Rig, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(rig.torrent.path, rig.torrent.folder)
    rig.site.asked.clear()
    linked = (await rig.inspect(f"{rig.site.url}/dl/1")).json()
    led = (await rig.inspect(f"{rig.site.url}/go/magnet")).json()
    assert set(rig.site.asked) == {"/dl/1", "/go/magnet"}
    film = (await rig.inspect(f"{rig.site.url}/dl/2")).json()
    assert (film["sourceType"], film["name"], film["totalBytes"]) == ("http", "2.mp4", len(FILM))
    assert [(f["index"], f["path"]) for f in film["files"]] == [(0, "2.mp4")]
    pack = (await rig.inspect(f"{rig.site.url}/dl/3")).json()
    assert (pack["sourceType"], pack["name"], pack["totalBytes"]) == ("http", "dawn.mkv", 700)
    assert (linked["totalBytes"], linked["torrent"]["peers"]) == (SIZE, None)
    assert "torrent" not in led
    magnet = magnet_to(rig.torrent, seeder.port)
    resolved = (await rig.inspect(magnet, resolve=True)).json()
    assert (resolved["totalBytes"], resolved["torrent"]["peers"]) == (SIZE, 1)
    body = {"id": "mine", "sourceUrn": magnet, "held": True}
    assert (await rig.client.post("/download/start", json=body)).status_code == 200
    assert (await rig.inspect(f"{rig.site.url}/film.torrent")).json()["existingId"] == "mine"
    assert (await rig.client.delete("/downloads/mine")).status_code == 204


async def test_what_is_not_there_or_is_no_source_is_told_in_a_sentence(rig: Rig) -> None:
    problem(await rig.inspect("hello there"), 422, "invalid_source", field="sourceUrn")
    problem(await rig.inspect(HASH, sourceType="tape"), 422, "unsupported_source")
    problem(await rig.inspect(f"{rig.site.url}/none.torrent"), 502, "source_not_found")
    problem(await rig.inspect("http://127.0.0.1:1/x.torrent"), 502, "source_unavailable")
    problem(await rig.client.post("/sources/inspect", json={}), 422, "invalid_request",
            field="sourceUrn")  # fmt: skip


@pytest.mark.parametrize("path", ["/go/nowhere", "/go/nowhere.mkv", "/go/nowhere.torrent"])
async def test_a_link_that_leads_to_what_is_no_address_is_refused_in_a_sentence(
    rig: Rig, path: str
) -> None:
    problem(await rig.inspect(rig.site.url + path), 502, "source_rejected")


async def test_no_private_address_is_asked_what_is_there(tmp_path: Path) -> None:
    downloader = WebTorrentDownloader(
        tmp_path / "media",
        state_dir=tmp_path / "state",
        drivers=files(tmp_path, private=False),
        **{**QUIET, "allow_private_addresses": False},
    )
    async with (
        listening(Site(b"")) as site,
        downloader,
        served_by(create_app(downloader)) as client,
    ):
        for link in (f"{site.url}/dl/2", f"{site.url}/x.torrent"):
            answer = await client.post("/sources/inspect", json={"sourceUrn": link})
            problem(answer, 502, "source_rejected")
        assert site.asked == []

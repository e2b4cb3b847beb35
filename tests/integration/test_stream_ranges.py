"""`/stream` over a real connection: the table of requests, on complete and on arriving files."""

from __future__ import annotations

import asyncio
import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest

from chilly_movies.jobs.downloader import Downloader
from tests.contract.web import problem, serving
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent
from tests.range_table import CASES, DATE, EARLIER, EMPTY, ETAG, LATER, SIZE, Case

pytestmark = pytest.mark.anyio
NASTY = 'fi"lm; x=1 <b>ü%0d%0a.mp4'


@asynccontextmanager
async def player(downloader: Downloader, **settings: float) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `/stream` on a real server."""
    limits = httpx2.Limits(max_connections=None)
    async with (
        serving(downloader, **settings) as live,
        httpx2.AsyncClient(base_url=live.url, limits=limits, timeout=50) as client,
    ):
        yield client


def small_film(folder: Path, size: int = SIZE) -> Torrent:
    make_film(folder / "source" / "film.mp4", size)
    return make_torrent(
        folder / "source" / "film.mp4", folder / "film.torrent", piece_size=16 * 1024
    )


def filled_in(case: Case, etag: str, modified: str) -> list[tuple[str, str]]:
    """The case's fields with the file's own validators."""
    moment = parsedate_to_datetime(modified)
    second = timedelta(seconds=1)
    known = {
        ETAG: etag, DATE: modified,
        EARLIER: format_datetime(moment - second, usegmt=True),
        LATER: format_datetime(moment + second, usegmt=True),
    }  # fmt: skip
    fields = []
    for name, text in case.headers:
        value = text
        for old, new in known.items():
            value = value.replace(old, new)
        fields.append((name, value))
    return fields


async def check(
    client: httpx2.AsyncClient, case: Case, source: bytes, head: httpx2.Response
) -> None:
    fields = filled_in(case, head.headers["etag"], head.headers["last-modified"])
    answer = await client.request(case.method, "/stream/a/0", headers=fields)
    size = len(source)
    assert answer.status_code == case.status, case
    assert answer.headers["x-content-type-options"] == "nosniff"
    if case.status == 416:
        problem(answer, 416, "range_not_satisfiable")
        assert answer.headers["content-range"] == f"bytes */{size}"
        return
    if case.status == 412:
        if case.method == "GET":
            problem(answer, 412, "precondition_failed")
        return
    assert answer.headers["etag"] == head.headers["etag"]
    assert answer.headers["accept-ranges"] == "bytes"
    if case.method == "HEAD" or case.status == 304:
        assert answer.content == b""
        assert case.status == 304 or answer.headers["content-length"] == str(size)
        return
    sent = [source[first : last + 1] for first, last in case.parts]
    assert answer.headers["content-length"] == str(len(answer.content))
    if len(sent) > 1:
        assert parts_of(answer) == [
            (f"bytes {first}-{last}/{size}", "video/mp4", data)
            for (first, last), data in zip(case.parts, sent, strict=True)
        ]
        return
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content == b"".join(sent)
    if case.status == 206:
        first, last = case.parts[0]
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
    else:
        assert "content-range" not in answer.headers


def parts_of(answer: httpx2.Response) -> list[tuple[str, str, bytes]]:
    """The parts of a multipart answer, read by a parser that is not ours."""
    kind = answer.headers["content-type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    whole = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content)
    boundary = kind.partition("boundary=")[2].encode()
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.content.split(b"\r\n--" + boundary)]
    found = whole.get_payload()
    assert isinstance(found, list)
    return [
        (str(part["content-range"]), str(part["content-type"]), body)
        for part, body in zip(found, bodies[1:-1], strict=True)
    ]


async def until_cut(answer: httpx2.Response) -> bytes:
    """The bytes up to where the server closes the connection short of what it promised."""
    got = b""
    try:
        async for chunk in answer.aiter_bytes():
            got += chunk
    except httpx2.RemoteProtocolError:
        return got
    raise AssertionError("the answer came to its end")


async def test_every_request_of_the_table_is_answered_exactly_before_and_after_the_film_is_there(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = small_film(tmp_path)
    source = torrent.content.read_bytes()
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(256 * 1024)
    async with running(tmp_path) as downloader, player(downloader) as client:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        early = await client.head("/stream/a/0")
        assert (await downloader.status("a")).progress.percent < 90
        await asyncio.gather(*(check(client, case, source, early) for case in CASES))
        await downloader.wait("a")
        late = await client.head("/stream/a")
        for name in ("etag", "last-modified", "content-length", "content-type"):
            assert early.headers[name] == late.headers[name]
        for case in CASES:
            await check(client, case, source, late)


async def test_a_file_without_a_byte_is_streamed(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    folder = tmp_path / "show"
    make_film(folder / "a.mp4", 100_000)
    (folder / "b.txt").touch()
    torrent = make_torrent(folder, tmp_path / "show.torrent")
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader, player(downloader) as client:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await downloader.wait("a")
        [index] = [file.index for file in job.files if file.size == 0]
        for case in EMPTY:
            answer = await client.request(
                case.method, f"/stream/a/{index}", headers=list(case.headers)
            )
            assert answer.status_code == case.status, case
            assert case.status != 416 or answer.headers["content-range"] == "bytes */0"
            assert case.status != 200 or answer.headers["content-length"] == "0"


async def test_a_stall_is_503_before_the_head_and_a_short_body_after_it(
    tmp_path: Path, seeder: LibtorrentPeer, caplog: pytest.LogCaptureFixture
) -> None:
    torrent = small_film(tmp_path, 4_000_000)
    source = torrent.content.read_bytes()
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(500_000)
    async with (
        running(tmp_path) as downloader,
        player(downloader, stream_timeout=2.0) as client,
    ):
        await downloader.start(id="none", source_urn="magnet:?xt=urn:btih:" + "1" * 40)
        stalled = await client.get("/stream/none")
        problem(stalled, 503, "stream_stalled")
        assert int(stalled.headers["retry-after"]) > 0
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 300_000)
        async with client.stream("GET", "/stream/a") as answer:
            assert answer.headers["content-length"] == str(len(source))
            await seeder.kill()
            got = await until_cut(answer)
        assert 0 < len(got) < len(source)
        assert got == source[: len(got)]
        problem(await client.get("/stream/a", headers={"Range": "bytes=2500000-2500009"}), 503,
                "stream_stalled")  # fmt: skip
    assert "without completing" not in caplog.text  # the server takes a cut for no mistake of ours


async def test_a_paused_film_is_refused_with_the_remedy_which_works(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = small_film(tmp_path)
    source = torrent.content.read_bytes()
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(300_000)
    async with running(tmp_path) as downloader, player(downloader) as client:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        await downloader.pause("a")
        refused = problem(await client.get("/stream/a"), 409, "not_readable")
        assert "resume=true" in refused["detail"]
        assert (await client.get("/stream/a?resume=true")).content == source
        problem(await client.get("/stream/a/7"), 404, "file_not_found")
        problem(await client.get("/stream/b"), 404, "job_not_found")
        problem(await client.get("/stream/a/x"), 422, "invalid_request", field="fileIndex")
        problem(await client.get("/stream/a?resume=x"), 422, "invalid_request", field="resume")


@pytest.mark.parametrize("verb", ["cancel", "remove"])
async def test_a_job_that_goes_away_cuts_its_streams(
    tmp_path: Path, seeder: LibtorrentPeer, verb: str
) -> None:
    torrent = small_film(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(100_000)
    async with running(tmp_path) as downloader, player(downloader) as client:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with client.stream("GET", "/stream/a") as answer:
            assert answer.status_code == 200
            await getattr(downloader, verb)("a")
            assert len(await until_cut(answer)) < SIZE


async def test_a_hostile_name_breaks_no_header(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    make_film(tmp_path / "source" / NASTY, 10_000)
    torrent = make_torrent(tmp_path / "source" / NASTY, tmp_path / "film.torrent")
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader, player(downloader) as client:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        answer = await client.get("/stream/a/0")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    field = answer.headers["content-disposition"]
    assert re.fullmatch(
        r"inline; filename=\"[^\"<>]*\"; filename\*=UTF-8''[A-Za-z0-9%._~-]*", field
    )

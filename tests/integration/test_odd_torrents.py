"""Torrents that others spell in their own way, downloaded to the end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import libtorrent as lt
import pytest

from chilly_movies import Job, Status, WebTorrentDownloader
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.run import Run
from chilly_movies.errors import SourceRejected
from chilly_movies.jobs.models import MediaFile, Source, SourceType
from lab.siege import bombs
from tests.integration.engine import running, until
from tests.integration.sqlite_tools import make_job

pytestmark = pytest.mark.anyio
PIECE = 16 * 1024


@asynccontextmanager
async def web_seed(films: dict[str, bytes], asked: list[str]) -> AsyncIterator[str]:
    """A web server that knows these paths as they stand in a request, and notes all it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                asked.append(path)
                writer.write(_answer(head, films.get(path)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _answer(head: bytes, film: bytes | None) -> bytes:
    if film is None:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    wanted = head.lower().partition(b"range: bytes=")[2].split(b"\r\n")[0].decode()
    first, last = map(int, wanted.split("-"))
    part = film[first : last + 1]
    fields = f"Content-Length: {len(part)}\r\nContent-Range: bytes {first}-{last}/{len(film)}"
    return f"HTTP/1.1 206 Partial Content\r\n{fields}\r\n\r\n".encode() + part


def torrent(name: bytes, films: Mapping[Any, bytes], **members: Any) -> bytes:
    """A v1 torrent of these files, or of the one file that has no path."""
    data = b"".join(films.values())
    pieces = (hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))
    info: Any = {b"name": name, b"piece length": PIECE, b"pieces": b"".join(pieces)}
    if () in films:
        info[b"length"] = len(data)
    else:
        info[b"files"] = [
            {b"length": len(film), b"path": list(path)} for path, film in films.items()
        ]
    named = {key.replace("_", "-").encode(): value for key, value in members.items()}
    return lt.bencode({b"info": info, **named})


async def fetched(folder: Path, data: bytes) -> Job:
    """The job of this torrent, at its end."""
    async with running(folder) as downloader, asyncio.timeout(45):
        await downloader.start(id="a", torrent=data)
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED, job.error
    return job


def lying_in(folder: Path) -> dict[str, bytes]:
    """The finished files below the media root."""
    media = folder / "media"
    files = (
        path for path in media.rglob("*") if path.is_file() and ".incomplete" not in path.parts
    )
    return {str(path.relative_to(media)): path.read_bytes() for path in files}


async def test_a_web_seed_is_asked_for_the_path_as_the_torrent_spells_it(tmp_path: Path) -> None:
    film, asked = bytes(range(256)) * 200, list[str]()
    async with web_seed({"/a%20%5Bx%5D.mkv": film}, asked) as url:
        data = torrent(b"film.mkv", {(): film}, url_list=f" {url.upper()}/a%20[x].mkv\r\n".encode())
        await fetched(tmp_path, data)
    assert set(asked) == {"/a%20%5Bx%5D.mkv"}
    assert lying_in(tmp_path) == {"film.mkv": film}


async def test_a_file_in_the_way_of_a_folder_gets_a_number_and_both_arrive(tmp_path: Path) -> None:
    film, note, asked = b"f" * 70_000, b"n" * 50_000, list[str]()
    films = {(b"a",): note, (b"a", b"b.mkv"): film}
    async with web_seed({"/show/a": note, "/show/a/b.mkv": film}, asked) as url:
        await fetched(tmp_path, torrent(b"show", films, url_list=f"{url}/".encode()))
    assert lying_in(tmp_path) == {"show/a (2)": note, "show/a/b.mkv": film}


async def test_names_in_an_old_charset_are_read_and_found_again_after_a_restart(
    tmp_path: Path,
) -> None:
    film, asked = b"f" * 70_000, list[str]()
    films = {("電影.mkv".encode("gbk"),): film, (b"a.srt",): b"s" * 100}
    async with web_seed({"/s/__.mkv": film, "/s/a.srt": b"s" * 100}, asked) as url:
        data = torrent(b"s", films, url_list=f"{url}/".encode(), encoding=b"GBK")
        job = await fetched(tmp_path, data)
    assert lying_in(tmp_path) == {"s/電影.mkv": film, "s/a.srt": b"s" * 100}
    async with running(tmp_path) as downloader:
        await downloader.recheck("a")
        again = await until(downloader, "a", lambda job: "every byte" in (job.reason or ""))
    assert (again.status, again.error) == (Status.COMPLETED, None)
    assert [file.path for file in again.files] == [file.path for file in job.files]


def test_a_film_that_was_published_under_other_names_keeps_them() -> None:
    films = {("電影.mkv".encode("gbk"),): b"f" * 100, (b"a.srt",): b"s"}
    info = p.parse_torrent(torrent(b"s", films)).ti
    assert info is not None
    metadata = p.read_metadata(info, encoding="gbk")
    assert sorted(metadata.disk_paths.values()) == ["s/a.srt", "s/電影.mkv"]
    files = (MediaFile(0, "s (2)/__.mkv", 100), MediaFile(1, "s (2)/a.srt", 1))
    job = replace(make_job(), files=files, path="s (2)")
    run = Run(job, job.source, job.path, published=True, metadata=metadata)
    assert run.published_paths() == {0: "s (2)/__.mkv", 1: "s (2)/a.srt"}
    elsewhere = replace(run, path="t")
    assert elsewhere.published_paths() == {0: "t/電影.mkv", 1: "t/a.srt"}


async def test_metadata_of_a_peer_that_has_a_key_twice_is_refused(tmp_path: Path) -> None:
    whole: Any = lt.bdecode(torrent(b"film.mkv", {(): b"f" * 100}))
    info = lt.bencode(whole[b"info"])
    twice = info.replace(b"4:name", b"4:name5:other4:name", 1)
    async with running(tmp_path) as downloader, bombs.MetadataPeer(twice) as magnet:
        await downloader.start(id="a", source_urn=magnet)
        job = await downloader.wait("a")
        assert job.error is not None
        assert (job.status, job.error.code) == (Status.FAILED, "source_rejected")
        assert "a key is there twice" in job.error.message
        inspector = cast(WebTorrentDownloader, downloader).parts.tools.inspector
        assert inspector is not None
        with pytest.raises(SourceRejected, match="a key is there twice"):
            await inspector.inspect(Source(SourceType.TORRENT, magnet))

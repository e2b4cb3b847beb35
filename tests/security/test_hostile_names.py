"""Names made by strangers: no file name, track title or subtitle breaks a header or a line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import libtorrent as lt
import pytest

from chilly_movies.drivers.mock.driver import MockScript
from chilly_movies.jobs.models import Status
from chilly_movies.mock import MockDownloader
from tests.acceptance.backend import Backend
from tests.contract.rig import reach
from tests.contract.web import Live, listening, serving
from tests.films import Films
from tests.peers.libtorrent_peer import LibtorrentPeer

pytestmark = pytest.mark.anyio

NAMES = [
    'say "hi"', "it's", "two\nlines", "a\r\nSet-Cookie: x=1\r\n\r\n<b>", "../../../etc/passwd",
    "..", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "Ünïcødé 日本語 🎬",
    "\u202egpj.exe", "nul\0byte", "a;b=c, d", "%0d%0aX-Evil: 1", "back\\slash", "C:\\con", "~/.ssh",
    "x,y\n#EXTINF:1,z\nhttp://evil.example/", "#EXTM3U", "tab\tbell\a", "\ufeff\u2028line", " ",
    "&lt;b&gt;&amp;", "${PATH} $(id) `id`", "--help", "n" * 300,
]  # fmt: skip
HEADERS = {
    "accept-ranges", "cache-control", "content-disposition", "content-length", "content-range",
    "content-security-policy", "content-type", "cross-origin-opener-policy",
    "cross-origin-resource-policy", "date", "etag", "last-modified", "permissions-policy",
    "referrer-policy", "retry-after", "server", "transfer-encoding", "x-content-type-options",
    "x-frame-options", "x-permitted-cross-domain-policies",
}  # fmt: skip
TYPES = (
    "application/json", "application/problem+json", "audio/x-mpegurl", "text/vtt", "video/",
    "application/octet-stream",
)  # fmt: skip
ROUTES = (
    "/downloads", "/downloads/{}", "/downloads/{}/files", "/downloads/{}/media",
    "/downloads/{}/peers", "/download/status/{}", "/subtitles/{}", "/stream/{}.m3u8", "/stream/{}",
    "/stream/{}/0",
)  # fmt: skip


def assert_harmless(answer: httpx2.Response) -> None:
    """Its head holds nothing but known, printable fields; its body is no page."""
    if (answer.status_code, answer.headers.get("location")) == (307, "docs"):
        return  # for a client `/downloads/..` is `/`, which leads there
    assert {name for name, _ in answer.headers.items()} <= HEADERS, answer.headers
    for _, value in answer.headers.raw:
        assert re.fullmatch(rb"[\x20-\x7e]*", value), value
    kind = answer.headers["content-type"]
    assert kind.startswith(TYPES), kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" in answer.headers
    if "json" in kind and answer.content:
        answer.json()


def assert_playlist(text: str, count: int, url: str) -> None:
    """One title and one link of ours for each film, whatever they are called."""
    lines = text.split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    titles, links = lines[1:-1:2], lines[2:-1:2]
    assert len(titles) == len(links) == count
    for title in titles:
        assert re.match(r'#EXTINF:-?\d+,[^"]+$', title)
        assert title.isprintable()
    assert all(re.fullmatch(rf"{re.escape(url)}/\d+", link) for link in links)


@pytest.fixture(scope="module")
async def live() -> AsyncIterator[tuple[Live, MockDownloader]]:
    """One server for all names."""
    script = MockScript(size=1000, seconds=0, metadata_seconds=0, seed_seconds=0)
    downloader = MockDownloader(script, max_active=100, tick=0.01)
    async with downloader, serving(downloader) as live:
        yield live, downloader


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_no_name_breaks_an_answer_even_one_that_no_driver_cleaned(
    name: str, live: tuple[Live, MockDownloader]
) -> None:
    server, downloader = live
    job_id = f"job{NAMES.index(name)}"
    await downloader.start(id=job_id, source_urn=f"mock:?name={quote(name, safe='')}")
    await reach(downloader, job_id, Status.COMPLETED)
    async with httpx2.AsyncClient(base_url=server.url, timeout=20) as client:
        for route in ROUTES:
            assert_harmless(answer := await client.get(route.format(job_id)))
            if route.endswith(".m3u8"):
                assert_playlist(answer.text, 1, f"{server.url}/stream/{job_id}")
        assert_harmless(await client.head(f"/stream/{job_id}/0"))
        assert_harmless(await client.get(f"/downloads/{quote(name, safe='')}"))
        assert_harmless(await client.get(f"/subtitles/{job_id}/{quote(name, safe='')}.vtt"))
    async with listening(server.url, f"/events/{job_id}") as events:
        assert (await events.next())["id"] == job_id


def bencode(value: Any) -> bytes:
    """The stub of libtorrent's own does not know lists in dictionaries."""
    return bytes(lt.bencode(value))


def hostile_torrent(folder: Path, files: Sequence[tuple[list[bytes], bytes]]) -> Path:
    """A torrent of several files whose paths no honest program would write."""
    data, piece = b"".join(content for _, content in files), 16 * 1024
    hashes = [hashlib.sha1(data[i : i + piece]).digest() for i in range(0, len(data), piece)]
    info = {
        b"name": b'F "<script>\r\n', b"piece length": piece, b"pieces": b"".join(hashes),
        b"files": [{b"path": path, b"length": len(content)} for path, content in files],
    }  # fmt: skip
    path = folder / "hostile.torrent"
    path.write_bytes(bencode({b"info": info}))
    loaded = lt.load_torrent_file(str(path)).ti
    assert loaded is not None
    layout = loaded.layout()
    for index, (_, content) in enumerate(files):
        place = folder / "source" / layout.file_path(index)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return path


async def test_a_hostile_torrent_arrives_and_is_played_without_harm(
    films: Films, tmp_path: Path
) -> None:
    evil = b"1\n00:00:01,000 --> 00:00:02,000\n<script>alert(1)</script> <i>x</i>\n"
    film = films.mkv(seconds=1, signs='"><script>alert(1)</script>').read_bytes()
    torrent = hostile_torrent(
        tmp_path,
        [
            ([b"..", b"..", b'ev"il\n<b>.mkv'], film),
            ([b"..", b"..", b'ev"il\n<b>.en.srt'], evil),
            ([b"/etc", b"<img src=x onerror=alert(1)>.de.srt"], evil),
            ([b"\xff\xfe\xe2\x80\xae", b"10.mkv"], film), ([b"9\r\nX: y.mkv"], film),
        ],
    )  # fmt: skip
    magnet = lt.make_magnet_uri(lt.load_torrent_file(str(torrent)))
    async with LibtorrentPeer() as seeder, Backend(tmp_path / "ours", warm=True) as ours:
        await seeder.seed(torrent, tmp_path / "source")
        await ours.start(f"{magnet}&x.pe=127.0.0.1:{seeder.port}", id="a")
        job = await ours.wait("a")
        assert job["status"] == "completed", job
        for file in job["files"]:
            place = (ours.media / file["path"]).resolve()
            assert place.is_relative_to(ours.media.resolve()), file
            assert place.stat().st_size == file["size"]
        assert [path.name for path in ours.media.iterdir() if path.name != ".incomplete"] == [
            job["path"]
        ]
        for route in ROUTES:
            ranged = {"Range": "bytes=0-9"}
            assert_harmless(answer := await ours.http.get(route.format("a"), headers=ranged))
            if route.endswith(".m3u8"):
                assert_playlist(answer.text, 3, f"{ours.url}/stream/a")
        media = (await ours.http.get("/downloads/a/media")).json()["files"]
        assert [file["state"] for file in media] == ["known"] * 3
        listed = (await ours.http.get("/subtitles/a")).json()["subtitles"]
        assert len([one for one in listed if one["source"] == "embedded"]) == 6
        sidecars = [one for one in listed if one["source"] == "sidecar"]
        assert [one["language"] for one in sidecars] == ["en", "de"]
        for one in listed:
            answer = await ours.http.get(one["url"])
            assert_harmless(answer)
            assert not re.search(r"<(?!/?[ibu]>)", answer.text)
        text = (await ours.http.get(sidecars[0]["url"])).text
        cue = "&lt;script&gt;alert(1)&lt;/script&gt; <i>x</i>"  # text, as it is no markup of SRT
        assert text == f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{cue}\n"

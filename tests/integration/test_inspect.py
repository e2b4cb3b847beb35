"""Looking into real torrents: nothing is stored, nothing of a film is fetched, time is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import libtorrent as lt
import pytest

from chilly_movies import Status, WebTorrentDownloader
from chilly_movies.errors import EngineError, InvalidSource, NoMetadata, SourceRejected
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.torrents import InspectedTorrent
from lab.siege import bombs
from tests.doubles import until as happens
from tests.integration.engine import magnet_to, running
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_films, make_torrent
from tests.security import hostile

pytestmark = pytest.mark.anyio
MIB = 1 << 20
NOBODY = "magnet:?xt=urn:btih:" + "12" * 20


def show(folder: Path, version: str = "v1") -> Torrent:
    make_films(folder / "show", {"one.mkv": 2 * MIB, "sub/one.srt": 1000, "setup.exe": 500})
    return make_torrent(folder / "show", folder / "show.torrent", piece_size=64 * 1024,
                        version=version)  # type: ignore[arg-type]  # fmt: skip


async def inspect(
    downloader: Downloader, urn: str = "", data: bytes | None = None
) -> InspectedTorrent:
    assert isinstance(downloader, WebTorrentDownloader)
    inspector = downloader.parts.tools.inspector
    assert inspector is not None
    return await inspector.inspect(Source(SourceType.TORRENT, urn, data))


def torrents_of(downloader: Downloader) -> int:
    return len(downloader._drivers[SourceType.TORRENT]._session._torrents)  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_a_magnet_tells_its_files_without_a_byte_of_them(
    tmp_path: Path, seeder: LibtorrentPeer, version: str
) -> None:
    torrent = show(tmp_path, version)
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        found = await inspect(downloader, magnet_to(torrent, seeder.port))
        files = {file.path: (file.size, file.blocked) for file in found.files}
        assert files == {
            "show/one.mkv": (2 * MIB, False), "show/setup.exe": (500, True),
            "show/sub/one.srt": (1000, False),
        }  # fmt: skip
        assert (found.name, found.size, found.private) == ("show", 2 * MIB + 1500, False)
        assert ((found.v1 or ""), (found.v2 or "")) == (torrent.v1, torrent.v2)
        assert found.piece_size == 64 * 1024
        assert found.peers == 1
        assert not await downloader.list()
        assert torrents_of(downloader) == 0
        chosen = [file.index for file in found.files if file.path.endswith(".srt")]
        await downloader.start(source_urn=magnet_to(torrent, seeder.port), id="a", files=chosen)
        job = await downloader.wait("a")
        assert [file.path for file in job.files if file.wanted] == ["show/sub/one.srt"]
    assert (await seeder.stats()).uploaded < 2 * MIB
    assert not list((tmp_path / "media" / ".incomplete").glob("look-*"))


async def test_a_torrent_file_is_read_without_asking_anybody(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", 100_000)
    trackers = ["http://tracker.example/announce", "http://127.0.0.1:9/announce", "file:///etc/x"]
    torrent = make_torrent(tmp_path / "film.mkv", tmp_path / "film.torrent", trackers=trackers,
                           private=True)  # fmt: skip
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        found = await inspect(downloader, data=torrent.path.read_bytes())
        assert found.trackers == ("http://tracker.example/announce",)
        assert (found.private, found.peers) == (True, None)
        assert [(file.index, file.path, file.size) for file in found.files] == [
            (0, "film.mkv", 100_000)
        ]
        with pytest.raises(SourceRejected, match="private address"):
            await inspect(downloader, "http://127.0.0.1:9/film.torrent")


async def test_a_magnet_that_nobody_answers_ends_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, metadata_timeout=1.0) as downloader:
        async with asyncio.timeout(20):
            looks = [inspect(downloader, NOBODY) for _ in range(12)]
            ends = await asyncio.gather(*looks, return_exceptions=True)
        assert {type(end) for end in ends} == {NoMetadata}
        assert torrents_of(downloader) == 0
        with pytest.raises(InvalidSource):
            await inspect(downloader, "magnet:?xt=urn:btih:nonsense")


async def test_a_look_that_nobody_waits_for_ends_at_once_and_so_does_one_at_the_end(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as downloader:
        looks = [asyncio.create_task(inspect(downloader, NOBODY)) for _ in range(2)]
        async with asyncio.timeout(20):
            await happens(lambda: torrents_of(downloader) == 1)
            looks[0].cancel()
            await asyncio.wait(looks[:1])
    with pytest.raises(EngineError):
        await looks[1]


async def test_a_job_takes_the_place_of_a_look_and_a_look_shares_that_of_a_job(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = show(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    bare = torrent.magnet  # nobody is named, so the look has to wait
    async with running(tmp_path, seed_ratio=9.0) as downloader, asyncio.timeout(30):
        look = asyncio.create_task(inspect(downloader, bare))
        await happens(lambda: torrents_of(downloader) == 1)
        await downloader.start(source_urn=magnet_to(torrent, seeder.port), id="a")
        assert len((await look).files) == 3
        assert (await downloader.wait("a")).status is Status.COMPLETED
        assert len((await inspect(downloader, bare)).files) == 3
        assert (await downloader.status("a")).status is Status.COMPLETED


async def test_what_no_film_has_is_refused_as_at_a_start(tmp_path: Path) -> None:
    deep = [f"d{number}".encode() for number in range(40)]
    data = lt.bencode(hostile.several([*deep, b"film.mkv"]))
    async with running(tmp_path) as downloader:
        with pytest.raises(InvalidSource):
            await inspect(downloader, data=data)
        with pytest.raises(InvalidSource):
            await inspect(downloader, data=b"d4:infode")


@pytest.mark.parametrize(
    ("info", "sentence"),
    [(bombs.deep(10**6), "invalid metadata"), (bombs.files(60_000), "1 to 20000 files")],
    ids=["nested", "many files"],
)
async def test_metadata_that_is_a_bomb_is_refused_as_soon_as_it_is_there(
    tmp_path: Path, info: bytes, sentence: str
) -> None:
    async with running(tmp_path) as downloader, bombs.MetadataPeer(info) as magnet:
        with pytest.raises(SourceRejected, match=sentence):
            await inspect(downloader, magnet)
        await downloader.start(id="a", source_urn=magnet)
        job = await downloader.wait("a")
        assert job.error is not None
        assert (job.status, job.error.code) == (Status.FAILED, "source_rejected")

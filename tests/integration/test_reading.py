"""Files of real torrents are read while they arrive, from a real seeder at a limited speed."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest

from chilly_movies import Status
from chilly_movies.disk.files import flush_tree
from chilly_movies.errors import FileNotFound, NotArrived, NotReadable
from chilly_movies.jobs.bus import Filter
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Progress
from chilly_movies.jobs.ports import FileReader
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_films, make_torrent

pytestmark = pytest.mark.anyio
MIB = 1 << 20


def film(folder: Path, size: int, *, version: str = "v1", piece_size: int = 256 * 1024) -> Torrent:
    make_film(folder / "source" / "film.mkv", size)
    return make_torrent(
        folder / "source" / "film.mkv", folder / "film.torrent",
        version=version, piece_size=piece_size,  # type: ignore[arg-type]
    )  # fmt: skip


async def read_all(reader: FileReader, chunk: int = MIB) -> bytes:
    parts, at = [], 0
    while data := await reader.read(at, chunk):
        parts.append(data)
        at += len(data)
    return b"".join(parts)


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_a_film_is_read_byte_for_byte_at_full_speed_while_it_arrives(
    tmp_path: Path, seeder: LibtorrentPeer, version: str
) -> None:
    torrent = film(tmp_path, 48 * MIB + 123, version=version)
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(45), downloader.open_file("a") as reader:
            assert (reader.name, reader.size) == ("film.mkv", torrent.size)
            assert await read_all(reader) == torrent.content.read_bytes()
        await downloader.wait("a")


async def test_readers_at_many_places_get_the_right_bytes_through_publishing_and_after(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 24 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(12 * MIB)
    source = torrent.content.read_bytes()

    async def jump_about(downloader: Downloader, seed: int) -> None:
        places = random.Random(seed)
        async with downloader.open_file("a", 0) as reader:
            for _ in range(12):
                at, length = places.randrange(len(source)), places.randrange(1, MIB)
                data = await reader.read(at, length)
                assert 1 <= len(data) <= length
                assert data == source[at : at + len(data)]

    async with running(tmp_path, seed_ratio=9.0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(60), downloader.open_file("a", 0) as lasting:
            first = await lasting.read(0, 1000)
            async with asyncio.TaskGroup() as group:
                for seed in range(4):
                    group.create_task(jump_about(downloader, seed))
            await downloader.wait("a")
            assert first == source[:1000]
            assert await lasting.read(20 * MIB, 1000) == source[20 * MIB : 20 * MIB + 1000]
            async with downloader.open_file("a", 0) as late:
                assert await read_all(late) == source


async def test_a_film_first_opened_while_it_is_being_published_is_read(
    tmp_path: Path, seeder: LibtorrentPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    torrent = film(tmp_path, 2 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    loop, publishing, opened = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow(path: Path, *, shared: bool) -> None:
        loop.call_soon_threadsafe(publishing.set)
        opened.wait(10)
        flush_tree(path, shared=shared)

    monkeypatch.setattr("chilly_movies.drivers.torrent.driver.flush_tree", slow)
    async with asyncio.timeout(20), running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await publishing.wait()
        async with downloader.open_file("a", 0) as reader:
            opened.set()
            assert await read_all(reader) == torrent.content.read_bytes()
        await downloader.wait("a")


async def test_a_seek_to_the_end_comes_before_what_lies_between(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 40 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(4 * MIB)
    source = torrent.content.read_bytes()
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(30), downloader.open_file("a") as reader:
            assert await reader.read(0, 1000) == source[:1000]
            assert await reader.read(30 * MIB, 1000) == source[30 * MIB : 30 * MIB + 1000]
            assert (await downloader.status("a")).progress.bytes_downloaded < 20 * MIB
            between = range(
                8 * MIB, 28 * MIB, MIB
            )  # what was asked for before may come all the same
            assert sum(reader.available(place) > 0 for place in between) < len(between) / 3


async def test_seeks_take_nothing_back_from_the_progress(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 40 * MIB, piece_size=MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(4 * MIB)
    shown: list[Progress] = []
    async with running(tmp_path) as downloader:
        downloader.on("progress", lambda job: shown.append(job.progress))
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(30):
            for place in (0, 1, 22, 23, 35, 30, 12):
                async with downloader.open_file("a") as reader:
                    await reader.read(place * MIB, 1000)
    done = [progress.bytes_downloaded for progress in shown]
    assert {progress.bytes_total for progress in shown} <= {None, 40 * MIB}
    assert done == sorted(done)
    assert len(done) > 3


async def test_a_reader_that_leaves_gives_its_priority_back(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 40 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(30), downloader.open_file("a") as reader:
            await reader.read(20 * MIB, 1000)
            driver = downloader._drivers["torrent"]
            [availability] = driver._readers._by_job.values()  # type: ignore[attr-defined]
            hurried = sorted(availability.order.due)
            raised = availability.pieces.priorities()
            assert hurried[0] in (80, 81)
            given = [raised[p] for p in hurried if not availability._there[p]]
            assert given == sorted(given, reverse=True)
            assert given[0] == 7
            assert raised[40] == 1
        left = availability.pieces.priorities()
        assert {p for p, priority in enumerate(left) if priority != 4} <= availability.order.ends
        assert not availability.order.due


async def test_a_quiet_reader_gets_what_is_there_and_changes_no_order(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 20 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(2 * MIB)
    source = torrent.content.read_bytes()
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 3 * MIB)
        driver = downloader._drivers["torrent"]
        [availability] = driver._readers._by_job.values()  # type: ignore[attr-defined]
        async with downloader.open_file("a", quiet=True) as quiet:
            assert not availability.readers
            there = [at for at in range(0, 20 * MIB, MIB // 4) if quiet.available(at)]
            assert there
            for at in there:
                data = await quiet.read(at, 1000)
                assert data == source[at : at + len(data)]
            gone = next(at for at in range(0, 20 * MIB, MIB // 4) if at not in there)
            with pytest.raises(NotArrived):
                await quiet.read(gone, 1)
            assert not availability.order.due
        async with asyncio.timeout(30), downloader.open_file("a") as reader:
            assert await reader.read(12 * MIB, 1000) == source[12 * MIB : 12 * MIB + 1000]
        assert not availability.readers


async def test_files_that_become_complete_are_told_while_others_arrive(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_films(tmp_path / "show", {"one.mkv": 10 * MIB, "two.mkv": MIB // 2})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=64 * 1024)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(2 * MIB)
    wanted = Filter(events=frozenset({"file", "completed"}))
    seen: list[tuple[str, str, bool]] = []
    async with (
        asyncio.timeout(45),
        running(tmp_path) as downloader,
        downloader.listen("a", wanted) as changes,
    ):
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await until(downloader, "a", lambda job: bool(job.files))
        small = next(file.index for file in job.files if file.path.endswith("two.mkv"))
        await downloader.choose_files("a", {small: 7})
        async for change in changes:
            told = dict(change.news or {})
            seen.append((change.event, told.get("path", ""), told.get("complete", False)))
            if told.get("complete") and told["path"].endswith("one.mkv"):
                break
    assert ("file", "show/two.mkv", True) in seen
    assert any(path == "show/one.mkv" and not whole for _, path, whole in seen)
    assert seen.index(("file", "show/two.mkv", True)) < len(seen) - 1


async def test_a_choice_of_files_holds_while_somebody_reads_elsewhere(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_films(tmp_path / "show", {"one.mkv": 30 * MIB, "two.mkv": 4 * MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=64 * 1024)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(4 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await until(downloader, "a", lambda job: bool(job.files))
        number = {file.path.rpartition("/")[2]: file.index for file in job.files}
        async with asyncio.timeout(40), downloader.open_file("a", number["one.mkv"]) as reader:
            assert await reader.read(20 * MIB, 1000)
            await downloader.choose_files("a", {number["two.mkv"]: 0})
            for at in (25 * MIB, 12 * MIB, 29 * MIB):
                assert await reader.read(at, 1000)
        await seeder.set_upload_limit(0)
        job = await downloader.wait("a")
        done = {file.index: file.done for file in await downloader.files("a")}
    assert done[number["one.mkv"]] == 30 * MIB
    assert done[number["two.mkv"]] == 0
    assert job.progress.bytes_total == 30 * MIB


async def test_files_show_how_far_they_are_and_can_be_chosen_while_it_runs(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_films(tmp_path / "show", {"one.mkv": 6 * MIB, "two.mkv": 6 * MIB, "three.srt": 1000})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=64 * 1024)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(2 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await until(downloader, "a", lambda job: bool(job.files))
        number = {file.path.rpartition("/")[2]: file.index for file in job.files}
        job = await downloader.choose_files("a", {number["two.mkv"]: 0, number["three.srt"]: 7})
        assert [f.path for f in job.files if not f.wanted] == ["show/two.mkv"]
        with pytest.raises(NotReadable):
            async with downloader.open_file("a", number["two.mkv"]):
                pass
        with pytest.raises(FileNotFound):
            async with downloader.open_file("a", 99):
                pass
        await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")  # nothing came before
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        await downloader.pause("a")
        paused = {f.index: f for f in await downloader.files("a")}
        assert paused[number["three.srt"]].priority == 7
        assert paused[number["two.mkv"]].priority == 0
        await downloader.resume("a")
        job = await downloader.wait("a")
        assert job.status is Status.COMPLETED
        done = {f.index: f.done for f in await downloader.files("a")}
    media = tmp_path / "media" / "show"
    assert {p.name for p in media.iterdir()} == {"one.mkv", "three.srt"}
    assert done == {number["one.mkv"]: 6 * MIB, number["two.mkv"]: 0, number["three.srt"]: 1000}


async def test_files_chosen_in_addition_arrive_too(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    wanted = make_films(tmp_path / "show", {"one.mkv": 4 * MIB, "two.mkv": 4 * MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=64 * 1024)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(2 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port), files=[0])
        job = await until(downloader, "a", lambda job: bool(job.files))
        await downloader.choose_files("a", {1: 4})
        async with asyncio.timeout(30), downloader.open_file("a", 1) as reader:
            data = await read_all(reader)
        job = await downloader.wait("a")
    assert data == (tmp_path / "show" / job.files[1].path.split("/")[1]).read_bytes()
    assert {p.name for p in (tmp_path / "media" / "show").iterdir()} == set(wanted)


async def test_a_reader_of_a_paused_job_gets_what_is_there_and_is_told_why_not_more(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 16 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    await seeder.set_upload_limit(2 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(30), downloader.open_file("a") as reader:
            first = await reader.read(0, 1000)
            waiting = asyncio.ensure_future(reader.read(12 * MIB, 1000))
            await downloader.pause("a")
            with pytest.raises(NotReadable):
                await waiting
            assert await reader.read(0, 1000) == first
            with pytest.raises(NotReadable):
                async with downloader.open_file("a"):
                    pass
            async with downloader.open_file("a", resume=True) as again:
                assert await again.read(12 * MIB, 1000)
            await downloader.cancel("a")
            with pytest.raises(NotReadable):
                await reader.read(0, 1000)


async def test_a_film_somebody_reads_does_not_wait_for_a_slot(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent = film(tmp_path, 2 * MIB)
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path, max_active=1) as downloader:
        await downloader.start(id="first", source_urn="magnet:?xt=urn:btih:" + "1" * 40)
        await until(downloader, "first", lambda job: job.status is Status.ACTIVE)
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        async with asyncio.timeout(30), downloader.open_file("a") as reader:
            assert await read_all(reader) == torrent.content.read_bytes()

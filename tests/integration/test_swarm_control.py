"""Trackers, peers, pieces and torrent files of jobs, on real swarms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import libtorrent as lt
import pytest

from chilly_movies.errors import InvalidRequest, NotReadable
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.swarm import Tracker, TrackerStatus
from chilly_movies.tracker.http import Tracker as TrackerServer
from chilly_movies.tracker.http import serve_tracker
from tests.integration.engine import magnet_to, running, until
from tests.integration.web_answers import Asked, http, web_answers
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SIZE = 500_000
PIECE = 16 * 1024
NOBODY = b"d8:completei7e10:downloadedi9e10:incompletei3e8:intervali1800e5:peers0:e"
NOWHERE = "http://127.0.0.1:9/announce"


def film(
    folder: Path, trackers: Sequence[str] = (), *, private: bool = False, version: str = "v1"
) -> Torrent:
    make_film(folder / "source" / "film.mkv", SIZE)
    return make_torrent(
        folder / "source" / "film.mkv", folder / "film.torrent", trackers=trackers,
        piece_size=PIECE, private=private, version=version,  # type: ignore[arg-type]
    )  # fmt: skip


async def started(downloader: Downloader, torrent: Torrent, **options: object) -> None:
    """Job `a` runs, and its metadata is known."""
    await downloader.start(id="a", torrent=torrent.path.read_bytes(), **options)
    await until(downloader, "a", lambda job: job.progress.phase == "downloading")


async def trackers(downloader: Downloader, status: TrackerStatus | None = None) -> list[Tracker]:
    """Those of job `a`, once the last one has this status."""
    async with asyncio.timeout(20):
        while True:
            found = list(await downloader.swarm.trackers("a"))
            if status is None or (found and found[-1].status is status):
                return found
            await asyncio.sleep(0.05)


# --- trackers -------------------------------------------------------------------------------


async def test_a_tracker_that_is_added_to_a_running_job_is_asked_and_brings_its_peers(
    tmp_path: Path,
) -> None:
    async with serve_tracker(TrackerServer()) as url, LibtorrentPeer() as seeder:
        known = film(tmp_path / "known", [str(url)])
        await seeder.seed(known.path, known.folder)
        unknown = film(tmp_path / "unknown")
        assert unknown.v1 == known.v1
        async with running(tmp_path / "ours") as downloader:
            await started(downloader, unknown)
            assert await trackers(downloader) == []
            await downloader.swarm.add_trackers("a", [str(url)])
            job = await downloader.wait("a")
    assert job.status == "completed"


async def test_a_tracker_that_was_added_is_asked_after_a_restart_and_one_removed_is_not(
    tmp_path: Path,
) -> None:
    async with web_answers(lambda _: http("200 OK", NOBODY)) as web:
        torrent = film(tmp_path, [f"{web.url}/own/announce"])
        async with running(tmp_path) as downloader:
            await started(downloader, torrent)
            await web.until_asked("/own/announce", 1)
            await downloader.swarm.add_trackers("a", [f"{web.url}/mine/announce"])
            await web.until_asked("/mine/announce", 1)
            [own, mine] = await trackers(downloader)
            assert (own.tier, mine.tier) == (0, 1)
            await downloader.swarm.remove_tracker("a", own.id)
            assert [one.url for one in await trackers(downloader)] == [mine.url]
        asked = web.asked.count("/own/announce")
        async with running(tmp_path) as downloader:
            await until(downloader, "a", lambda job: job.progress.phase == "downloading")
            await web.until_asked("/mine/announce", 2)
            assert [one.url for one in await trackers(downloader)] == [mine.url]
            magnet = await downloader.swarm.magnet("a")
        assert web.asked.count("/own/announce") == asked
    assert "mine" in magnet
    assert "own" not in magnet


async def test_what_a_tracker_tells_of_the_swarm_is_shown_with_its_next_announce(
    tmp_path: Path,
) -> None:
    answers = web_answers(lambda _: http("200 OK", NOBODY))
    async with answers as web, running(tmp_path) as downloader:
        await started(downloader, film(tmp_path, [f"{web.url}/announce"]))
        [one] = await trackers(downloader, TrackerStatus.WORKING)
        assert (one.seeds, one.peers, one.downloads, one.message) == (7, 10, 9, None)
        assert one.next_announce_at is not None
        job = await downloader.status("a")
        left = (one.next_announce_at - job.updated_at).total_seconds()
        assert 1700 < left <= 1801
        await until(downloader, "a", lambda j: j.figures.swarm_peers == 10)
        job = await downloader.pause("a")
        [still] = await trackers(downloader)
    assert (still.url, still.status) == (one.url, TrackerStatus.NOT_CONTACTED)
    assert job.figures.swarm_seeds is None


async def test_an_announce_on_request_does_not_wait_for_the_interval_and_is_not_repeated(
    tmp_path: Path,
) -> None:
    answers = web_answers(lambda _: http("200 OK", NOBODY))
    async with answers as web, running(tmp_path) as downloader:
        await started(downloader, film(tmp_path, [f"{web.url}/announce"]))
        await trackers(downloader, TrackerStatus.WORKING)
        torrent = next(iter(downloader.parts.drivers.values()))._running  # type: ignore[attr-defined]
        [one] = torrent.values()
        await downloader.swarm.announce("a")  # it was asked a moment ago
        await asyncio.sleep(0.5)
        assert web.asked == ["/announce"]
        one.announces._asked_at.clear()
        await downloader.swarm.announce("a")
        await web.until_asked("/announce", 2)
        await downloader.pause("a")
        with pytest.raises(NotReadable, match="paused"):
            await downloader.swarm.announce("a")


async def test_a_trackers_words_are_one_plain_line_and_a_failure_is_one(tmp_path: Path) -> None:
    said = b"<b>gone</b>\x1b[2J\r\nsecond \xe2\x80\xae line" + b"y" * 5000

    def answer(_: Asked) -> bytes:
        return http("200 OK", b"d14:failure reason%d:%be" % (len(said), said))

    async with web_answers(answer) as web, running(tmp_path) as downloader:
        await started(downloader, film(tmp_path, [f"{web.url}/announce"]))
        [one] = await trackers(downloader, TrackerStatus.NOT_WORKING)
    assert one.message is not None
    assert one.message.startswith("<b>gone</b> [2J second line")
    assert one.message.isprintable()
    assert len(one.message) <= 200


async def test_trackers_pass_the_gate_of_magnets_and_are_bounded(tmp_path: Path) -> None:
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        await downloader.start(id="a", torrent=film(tmp_path).path.read_bytes())
        for url, why in (
            (NOWHERE, "private address"),
            ("udp://[::1]:1/announce", "private address"),
            ("file:///etc/passwd", "no address"),
            ("http://u:p@tracker.example/announce", "no address"),
            ("http://tracker.example/\x1b[2J", "no address"),
            ("wss://tracker.example/", "WebTorrent is off"),
        ):
            with pytest.raises(InvalidRequest, match=why):
                await downloader.swarm.add_trackers("a", [url])
        many = [f"https://tracker{n}.example/announce" for n in range(100)]
        await downloader.swarm.add_trackers("a", many)
        with pytest.raises(InvalidRequest, match="at most 100"):
            await downloader.swarm.add_trackers("a", ["https://one.more.example/announce"])
        assert len(await downloader.swarm.add_trackers("a", many)) == 100
        job = await downloader.status("a")
    assert len(job.trackers.added) == 100


async def test_a_tracker_that_a_setting_keeps_out_is_shown_as_disabled(tmp_path: Path) -> None:
    torrent = film(tmp_path, [NOWHERE])
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        [one] = await trackers(downloader, TrackerStatus.DISABLED)
        assert "CHILLY_ALLOW_PRIVATE_ADDRESSES" in (one.message or "")
        assert await downloader.swarm.remove_tracker("a", one.id) == []


async def test_a_passkey_is_changed_in_a_job_that_waits_and_in_one_that_runs(
    tmp_path: Path,
) -> None:
    async with web_answers(lambda _: http("200 OK", NOBODY)) as web:
        torrent = film(tmp_path, [f"{web.url}/old/announce"], private=True)
        async with running(tmp_path) as downloader:
            await started(downloader, torrent)
            await web.until_asked("/old/announce", 1)
            [old] = await trackers(downloader)
            await downloader.swarm.edit_tracker("a", old.id, url=f"{web.url}/new/announce")
            await web.until_asked("/new/announce", 1)
            await downloader.pause("a")
            [new] = await trackers(downloader)
            assert (new.url, new.tier) == (f"{web.url}/new/announce", old.tier)
            await downloader.swarm.edit_tracker("a", new.id, url=f"{web.url}/third/announce")
            await downloader.resume("a")
            await web.until_asked("/third/announce", 1)
            [third] = await trackers(downloader)
            [last] = await downloader.swarm.edit_tracker("a", third.id, tier=5)
    assert (last.url, last.tier) == (third.url, 5)


# --- peers ----------------------------------------------------------------------------------


async def test_a_peer_is_added_by_its_address_and_a_private_torrent_takes_none(
    tmp_path: Path,
) -> None:
    async with LibtorrentPeer() as seeder, running(tmp_path) as downloader:
        torrent = film(tmp_path)
        await seeder.seed(torrent.path, torrent.folder)
        await started(downloader, torrent)
        await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")
        await downloader.wait("a")
        with pytest.raises(NotReadable, match="completed"):
            await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")
    private = film(tmp_path / "private", private=True)
    async with running(tmp_path / "private") as downloader:
        await started(downloader, private)
        with pytest.raises(NotReadable, match="BEP 27"):
            await downloader.swarm.add_peer("a", "127.0.0.1:6881")


async def test_a_peer_passes_the_gate_of_all_peers(tmp_path: Path) -> None:
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        await started(downloader, film(tmp_path))
        for address, why in (
            ("127.0.0.1:6881", "private"), ("[::1]:6881", "private"), ("10.0.0.1:1", "private"),
            ("tracker.example:80", "no IP address"), ("8.8.8.8", "no IP address"),
            ("8.8.8.8:0", "no IP address"), ("8.8.8.8:99999", "no IP address"),
        ):  # fmt: skip
            with pytest.raises(InvalidRequest, match=why):
                await downloader.swarm.add_peer("a", address)


async def test_a_banned_peer_is_dropped_and_kept_out_while_others_go_on(tmp_path: Path) -> None:
    torrent = film(tmp_path)
    bound = {"outgoing_interfaces": "127.0.0.3"}  # it calls us, too
    async with LibtorrentPeer() as one, LibtorrentPeer(host="127.0.0.3", settings=bound) as other:
        await one.seed(torrent.path, torrent.folder, upload_limit=30_000)
        await other.seed(torrent.path, torrent.folder, upload_limit=30_000)
        async with running(tmp_path) as downloader:
            await started(downloader, torrent)
            for host, seeder in (("127.0.0.1", one), ("127.0.0.3", other)):
                await downloader.swarm.add_peer("a", f"{host}:{seeder.port}")
            await until(downloader, "a", lambda job: job.progress.peers == 2)
            await downloader.swarm.ban_peer("a", f"127.0.0.3:{other.port}")
            await until(downloader, "a", lambda job: job.progress.peers == 1)
            with pytest.raises(InvalidRequest, match="no IP address"):
                await downloader.swarm.ban_peer("a", "tracker.example")
            with pytest.raises(InvalidRequest, match="banned"):
                await downloader.swarm.add_peer("a", f"127.0.0.3:{other.port}")
            await asyncio.sleep(2.5)  # it called again meanwhile
            [left] = await downloader.peers("a")
            assert left.address == f"127.0.0.1:{one.port}"
            await one.set_upload_limit(0)
            assert (await downloader.wait("a")).status == "completed"


# --- pieces and torrent file ----------------------------------------------------------------


async def test_the_piece_map_of_a_half_loaded_torrent_shows_what_is_there(tmp_path: Path) -> None:
    torrent = film(tmp_path)
    count = -(-SIZE // PIECE)
    wanted = sum(1 << (8 * 4 - 1 - piece) for piece in range(3, 15)).to_bytes(4, "big")
    async with LibtorrentPeer() as seeder, running(tmp_path) as downloader:
        await seeder.seed(torrent.path, torrent.folder, have=range(3, 15))
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        with pytest.raises(NotReadable, match="not known yet"):
            await downloader.swarm.pieces("a")
        job = await until(downloader, "a", lambda j: j.progress.bytes_downloaded == 12 * PIECE)
        assert job.figures.distributed_copies == round(12 / count, 2)
        found = await downloader.swarm.pieces("a")
        assert (found.count, found.piece_size, found.have) == (count, PIECE, wanted)
        await downloader.pause("a")
        assert await downloader.swarm.pieces("a") == found


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_the_torrent_file_of_a_magnet_has_its_info_hash_and_serves_another_client(
    tmp_path: Path, version: str
) -> None:
    torrent = film(tmp_path, version=version)
    async with LibtorrentPeer() as seeder, running(tmp_path / "ours") as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        with pytest.raises(NotReadable, match="not known yet"):
            await downloader.swarm.torrent_file("a")
        assert torrent.v1 in await downloader.swarm.magnet("a")
        await seeder.seed(torrent.path, torrent.folder)
        await downloader.wait("a")
        name, data = await downloader.swarm.torrent_file("a")
        magnet = lt.parse_magnet_uri(await downloader.swarm.magnet("a"))
    assert name == "film.mkv"
    info = lt.load_torrent_buffer(data).ti
    assert info is not None
    hashes = info.info_hashes()
    assert hashes == magnet.info_hashes
    assert (str(hashes.v1) if hashes.has_v1() else "") == torrent.v1
    assert (str(hashes.v2) if hashes.has_v2() else "") == torrent.v2


@pytest.mark.parametrize("version", ["hybrid", "v2"])
async def test_without_the_hashes_of_its_pieces_a_magnet_has_a_link_and_no_torrent_file_yet(
    tmp_path: Path, version: str
) -> None:
    torrent = film(tmp_path, version=version)
    async with LibtorrentPeer() as peer, running(tmp_path) as downloader:
        await peer.leech(torrent.path, tmp_path / "theirs")
        await downloader.start(id="a", source_urn=magnet_to(torrent, peer.port))
        await until(downloader, "a", lambda job: bool(job.files))
        with pytest.raises(NotReadable, match="hashes of its pieces"):
            await downloader.swarm.torrent_file("a")
        assert torrent.v2 in await downloader.swarm.magnet("a")


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_an_uploaded_torrent_file_comes_back_as_it_was_until_its_trackers_change(
    tmp_path: Path, version: str
) -> None:
    torrent = film(tmp_path, [NOWHERE], version=version)
    given = torrent.path.read_bytes()
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=given)
        assert await downloader.swarm.torrent_file("a") == ("film.mkv", given)
        await downloader.swarm.add_trackers("a", ["https://tracker.example/announce"])
        _, changed = await downloader.swarm.torrent_file("a")
    params = lt.load_torrent_buffer(changed)
    assert sorted(params.trackers) == sorted([NOWHERE, "https://tracker.example/announce"])
    assert params.ti is not None
    assert params.ti.info_hashes() == lt.load_torrent_buffer(given).info_hashes

"""The torrent driver with the real engine against a libtorrent peer in its own process."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chilly_movies import Downloader, Phase, Status
from tests.doubles import idle
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_films, make_torrent, sha256_of

pytestmark = pytest.mark.anyio
MIB = 1 << 20


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 8 * MIB)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", piece_size=256 * 1024
    )


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_a_magnet_of_any_version_arrives_byte_for_byte(
    tmp_path: Path, seeder: LibtorrentPeer, version: str
) -> None:
    wanted = make_film(tmp_path / "source" / "film.mkv", 4 * MIB)
    torrent = make_torrent(
        tmp_path / "source" / "film.mkv",
        tmp_path / "film.torrent",
        version=version,  # type: ignore[arg-type]
    )
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await downloader.wait("a")
    assert (job.status, job.path, job.progress.percent) == (Status.COMPLETED, "film.mkv", 100.0)
    assert sha256_of(tmp_path / "media" / "film.mkv") == wanted
    assert {i.split(":")[1] for i in job.identities} == {torrent.v1, torrent.v2} - {""}


async def test_of_a_held_torrent_nothing_runs_before_it_is_resumed(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    link = magnet_to(film, seeder.port)
    async with running(tmp_path) as downloader:
        held = await downloader.start(id="a", source_urn=link, held=True, forced=True)
        assert held.status is Status.PAUSED
        await idle()
        assert downloader.listening == (), "the engine was started"
        assert list((tmp_path / "media").glob("**/*.*")) == [], "something was written"
        await downloader.resume("a")
        assert (await downloader.wait("a")).status is Status.COMPLETED
        told = [change.event for change in await downloader.changes_since(0)]
    assert told[:3] == ["paused", "resumed", "started"]


async def port_of(downloader: Downloader) -> int:
    """Where peers reach its engine, which a film that seeds again may only be opening."""
    session = downloader._drivers["torrent"]._session  # type: ignore[attr-defined]
    await session.open()
    return int(session.port)


async def test_an_uploaded_torrent_file_tells_its_files_and_arrives(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    wanted = make_films(tmp_path / "show", {"one.mkv": MIB, "extras/two.srt": 1000})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", version="hybrid")
    async with running(tmp_path) as downloader:
        job = await downloader.start(torrent=torrent.path.read_bytes())
        assert job.name == "show"
        await until(downloader, job.id, lambda j: bool(j.files))
        port = await port_of(downloader)
        await seeder.seed(torrent.path, torrent.folder)
        await seeder.connect(port)
        job = await downloader.wait(job.id)
    assert {f.path: f.size for f in job.files} == {"show/one.mkv": MIB, "show/extras/two.srt": 1000}
    for name, digest in wanted.items():
        assert sha256_of(tmp_path / "media" / "show" / name) == digest


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server of the test's folder."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, with the one kind of Range that web seeds ask for."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range", "")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1] if asked else data
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


async def test_a_link_to_a_torrent_file_with_a_web_seed_needs_no_peer(
    tmp_path: Path, web: str
) -> None:
    wanted = make_film(tmp_path / "source" / "film.mkv", 2 * MIB)
    make_torrent(
        tmp_path / "source" / "film.mkv",
        tmp_path / "film.torrent",
        web_seeds=[f"{web}/source/film.mkv"],
    )
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=f"{web}/film.torrent")
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED, job.error
    assert sha256_of(tmp_path / "media" / "film.mkv") == wanted


async def test_a_link_to_something_else_fails_with_one_sentence(
    tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "chilly_movies.jobs.runner.next_delay", lambda *_: 0.05
    )  # tried in quick turns
    (tmp_path / "page.torrent").write_text("<html>not a torrent</html>")
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=f"{web}/page.torrent")
        job = await downloader.wait("a")
        await downloader.start(id="b", source_urn=f"{web}/missing.torrent")
        other = await downloader.wait("b")
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "source_rejected"
    assert "not a usable torrent file" in job.error.message
    assert other.error is not None
    assert "404" in other.error.message


@pytest.mark.parametrize("how", ["option", "magnet"])
async def test_only_the_chosen_files_are_downloaded(
    tmp_path: Path, seeder: LibtorrentPeer, how: str
) -> None:
    wanted = make_films(tmp_path / "show", {"1.mkv": 3 * MIB, "2.mkv": 3 * MIB, "3.mkv": 3 * MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=MIB)
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        options = {"files": [1]} if how == "option" else {}
        link = magnet_to(torrent, seeder.port, "&so=1" if how == "magnet" else "")
        await downloader.start(id="a", source_urn=link, **options)
        job = await downloader.wait("a")
    assert job.progress.bytes_total == 3 * MIB
    assert [file.wanted for file in job.files] == [False, True, False]
    assert sha256_of(tmp_path / "media" / "show" / "2.mkv") == wanted["2.mkv"]
    assert sorted(p.name for p in (tmp_path / "media" / "show").iterdir()) == ["2.mkv"]


async def test_a_file_that_is_there_already_is_never_replaced(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "film.mkv").write_text("mine")
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        job = await downloader.wait("a")
    assert job.path == "film (2).mkv"
    assert job.files[0].path == "film (2).mkv"
    assert (tmp_path / "media" / "film.mkv").read_text() == "mine"
    assert sha256_of(tmp_path / "media" / "film (2).mkv") == sha256_of(film.content)


async def test_a_hostile_name_is_made_harmless(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    folder = tmp_path / "so: bad?"
    make_films(folder, {"CON.mkv": 1000, "a|b.srt": 1000, ".hidden": 1000})
    torrent = make_torrent(folder, tmp_path / "bad.torrent")
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await downloader.wait("a")
    assert job.path == "so_ bad_"
    names = {p.name for p in (tmp_path / "media" / "so_ bad_").iterdir()}
    assert names == {"_CON.mkv", "a_b.srt", "_hidden"}


async def test_bytes_that_rot_before_completion_are_found_and_fetched_again(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=4 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 3 * MIB)
        await downloader.pause("a")
        staged = next((tmp_path / "media" / ".incomplete").glob("*/film.mkv"))
        original, rotten = film.content.read_bytes(), bytearray(staged.read_bytes())
        at = next(i for i in range(0, len(rotten), MIB) if rotten[i : i + 9] == original[i : i + 9])
        rotten[at] ^= 1
        staged.write_bytes(rotten)
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_pause_stops_the_traffic_and_resume_fetches_no_finished_piece_again(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=3 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 3 * MIB)
        job = await downloader.pause("a")
        assert job.status is Status.PAUSED
        at_pause = (await seeder.stats(key)).uploaded
        await asyncio.sleep(1.0)  # the claim is that nothing happens for a while
        assert (await seeder.stats(key)).uploaded == at_pause
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        await downloader.wait("a")
        sent = (await seeder.stats(key)).uploaded
    pieces_in_the_air = 12
    assert sent <= film.size + pieces_in_the_air * 256 * 1024
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_paused_download_uploads_nothing_either(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=100.0) as downloader, LibtorrentPeer() as leecher:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port), upload_limit=MIB)
        await downloader.wait("a")
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        await seeder.kill()
        port = await port_of(downloader)
        key = await leecher.leech(magnet_to(film, port), tmp_path / "leech")
        await until(downloader, "a", lambda job: job.progress.ratio > 0.1)
        job = await downloader.pause("a")
        received = (await leecher.stats(key)).downloaded
        assert (job.status, job.seeding) == (Status.COMPLETED, False)
        await asyncio.sleep(1.0)  # the claim is that nothing happens for a while
        assert (await leecher.stats(key)).downloaded == received


async def test_cancel_leaves_no_file_behind_and_the_job_stays_canceled(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=2 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > MIB)
        assert (await downloader.cancel("a")).status is Status.CANCELED
        ours = (".incomplete", ".chilly-media")
        left = [p for p in (tmp_path / "media").rglob("*") if p.name not in ours]
        assert left == []
    async with running(tmp_path) as downloader:
        assert (await downloader.status("a")).status is Status.CANCELED


async def test_an_active_job_goes_on_by_itself_after_a_restart(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=3 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 3 * MIB)
    await seeder.set_upload_limit(0, key)
    async with running(tmp_path) as downloader:
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_finished_film_seeds_from_where_it_was_published_also_after_a_restart(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_films(tmp_path / "show", {"1.mkv": MIB, "2.mkv": MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent")
    await seeder.seed(torrent.path, torrent.folder)
    (tmp_path / "media" / "show").mkdir(parents=True)
    async with running(tmp_path, seed_ratio=50.0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        assert (await downloader.wait("a")).path == "show (2)"
    await seeder.kill()
    async with running(tmp_path, seed_ratio=50.0) as downloader, LibtorrentPeer() as leecher:
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        port = await port_of(downloader)
        await leecher.leech(magnet_to(torrent, port), tmp_path / "leech")
        await leecher.wait_done()
    for name in ("1.mkv", "2.mkv"):
        assert sha256_of(tmp_path / "leech" / "show" / name) == sha256_of(torrent.content / name)


async def test_seeding_ends_at_its_goal(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=1.0, seed_time=1) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        job = await until(downloader, "a", lambda j: j.status.is_final and not j.seeding)
    assert job.status is Status.COMPLETED
    assert job.reason == "the seeding goal is reached"


@pytest.mark.parametrize("which", ["job", "engine"])
async def test_a_speed_limit_holds_even_on_loopback(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, which: str
) -> None:
    await seeder.seed(film.path, film.folder)
    engine = {"download_limit": MIB} if which == "engine" else {}
    options = {"download_limit": MIB} if which == "job" else {}
    async with running(tmp_path, **engine) as downloader:
        loop = asyncio.get_running_loop()
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port), **options)
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        began = loop.time()
        job = await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 4 * MIB)
        rate = job.progress.bytes_downloaded / (loop.time() - began)
    assert rate < 2 * MIB


async def test_private_addresses_are_left_alone_unless_allowed(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder)
    async with running(tmp_path, allow_private_addresses=False) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.start(id="b", source_urn="http://127.0.0.1:9/film.torrent")
        refused = await downloader.wait("b")
        job = await until(downloader, "a", lambda job: job.reason is not None)
    assert refused.error is not None
    assert "private address" in refused.error.message
    assert job.reason is not None
    assert job.reason.startswith("looking for peers")
    assert (await seeder.stats(key)).peers == 0


async def test_a_hybrid_torrent_known_by_its_other_hash_is_refused_as_a_duplicate(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_film(tmp_path / "film.mkv", MIB)
    torrent = make_torrent(tmp_path / "film.mkv", tmp_path / "f.torrent", version="hybrid")
    await seeder.seed(torrent.path, torrent.folder)
    peer = f"&x.pe=127.0.0.1:{seeder.port}"
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=f"magnet:?xt=urn:btih:{torrent.v1}{peer}")
        await downloader.wait("a")
        link = f"magnet:?xt=urn:btmh:1220{torrent.v2}{peer}"
        with pytest.raises(Exception, match="already downloads this"):
            await downloader.start(id="b", source_urn=link)


async def test_a_media_folder_that_cannot_be_used_is_waited_for(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    (tmp_path / "media").write_text("a file where the folder should be")
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        job = await until(downloader, "a", lambda job: job.reason is not None)
        assert (job.status, job.attempts) == (Status.QUEUED, 0)
        assert job.reason == "The media folder cannot be used: Not a directory."
        (tmp_path / "media").unlink()
        assert (await downloader.wait("a")).status is Status.COMPLETED


async def test_removing_with_files_deletes_the_film_and_nothing_else(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_films(tmp_path / "show", {"1.mkv": MIB, "2.mkv": MIB})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent")
    await seeder.seed(torrent.path, torrent.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        await downloader.wait("a")
        (tmp_path / "media" / "show" / "mine.txt").write_text("mine")
        await downloader.remove("a", delete_files=True)
        assert await downloader.list() == []
    names = [p.name for p in (tmp_path / "media" / "show").iterdir()]
    assert names == ["mine.txt"]


async def test_many_jobs_at_once_start_one_engine_and_none_of_them_crashes(tmp_path: Path) -> None:
    async with running(tmp_path, max_active=20) as downloader:
        ids = [f"job-{number}" for number in range(20)]
        for number, job_id in enumerate(ids):
            link = f"magnet:?xt=urn:btih:{number + 1:040x}"
            await downloader.start(id=job_id, source_urn=link)
    async with running(tmp_path, max_active=20) as downloader:
        for job_id in ids:
            job = await until(downloader, job_id, lambda job: job.progress.phase is not None)
            assert (job.status, job.error) == (Status.ACTIVE, None)

"""Hostile torrents against the real engine: what they want to do to the disk does not happen."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies import Status
from chilly_movies.disk.plain import NotPlainError, harmless, hold_plain
from chilly_movies.errors import DiskError
from tests.acceptance.backend import Backend
from tests.integration.engine import running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.security.hostile import documents

pytestmark = pytest.mark.anyio

KIB = 1024


class Hostile:
    """A torrent whose content a peer really has.

    Args:
        folder: the content is made in there.
        files: path to size.
        more: further entries of a file, by its path.
        links: path to target.
    """

    def __init__(
        self,
        folder: Path,
        files: dict[str, int],
        more: dict[str, dict[bytes, Any]] | None = None,
        links: dict[str, list[bytes]] | None = None,
    ) -> None:
        self.folder = folder / "seed"
        listed: list[dict[bytes, Any]] = []
        data = b""
        for number, (name, size) in enumerate(files.items()):
            content = bytes([65 + number]) * size
            path = self.folder / "films" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            data += content
            parts = [part.encode() for part in name.split("/")]
            listed.append({b"length": size, b"path": parts, **(more or {}).get(name, {})})
        for name, target in (links or {}).items():
            listed.append({b"length": 0, b"path": [name.encode()], b"attr": b"l",
                           b"symlink path": target})  # fmt: skip
        piece = 16 * KIB
        hashes = (hashlib.sha1(data[i : i + piece]).digest() for i in range(0, len(data), piece))
        info: Any = {b"name": b"films", b"piece length": piece, b"pieces": b"".join(hashes),
                     b"files": listed}  # fmt: skip
        self.data = lt.bencode({b"info": info})
        self.path = folder / "hostile.torrent"
        self.path.write_bytes(self.data)
        self._hash = hashlib.sha1(lt.bencode(info)).hexdigest()

    def magnet(self, port: int) -> str:
        return f"magnet:?xt=urn:btih:{self._hash}&x.pe=127.0.0.1:{port}"


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below the folder: kind and rights, size, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(folder))] = (status.st_mode, len(content), content)
    return found


# --- programs -------------------------------------------------------------------------------

FILES = {"film.mkv": 96 * KIB, "codec.exe": 40 * KIB, "empty.scr": 0, "see.url": 100}


async def test_programs_of_a_film_never_reach_the_disk_and_the_event_says_so(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile = Hostile(tmp_path, FILES)
    await seeder.seed(hostile.path, hostile.folder)
    reasons: list[str | None] = []
    async with running(tmp_path) as downloader:
        downloader.on("metadata", lambda job: reasons.append(job.reason))
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert sorted(p.name for p in (tmp_path / "media/films").iterdir()) == ["film.mkv"]
    assert {f.path.rsplit("/", 1)[-1]: (f.wanted, f.blocked) for f in job.files} == {
        "film.mkv": (True, False), "codec.exe": (False, True), "empty.scr": (False, True),
        "see.url": (False, True),
    }  # fmt: skip
    assert job.progress.bytes_total == 96 * KIB
    assert "codec.exe, empty.scr, see.url are left out" in str(reasons[0])


async def test_programs_come_if_the_job_allows_them(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    hostile = Hostile(tmp_path, FILES)
    await seeder.seed(hostile.path, hostile.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(
            id="a", source_urn=hostile.magnet(seeder.port), allow_executables=True
        )
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert len(list((tmp_path / "media/films").iterdir())) == 4
    assert not any(file.blocked for file in job.files)


async def test_a_magnet_to_programs_alone_fails_with_one_sentence(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile = Hostile(tmp_path, {"setup.exe": 20 * KIB, "crack.bat": 20 * KIB})
    await seeder.seed(hostile.path, hostile.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        job = await downloader.wait("a")
        assert job.error is not None
        assert (job.status, job.error.code) == (Status.FAILED, "source_rejected")
        assert "nothing but programs" in job.error.message
        assert not list((tmp_path / "media").rglob("*.[eb][xa][et]"))


# --- rights, links --------------------------------------------------------------------------


async def test_no_published_file_may_be_run(tmp_path: Path, seeder: LibtorrentPeer) -> None:
    may_run = {b"attr": b"x"}
    hostile = Hostile(
        tmp_path, {"film.mkv": 40 * KIB, "run": 20 * KIB}, {"film.mkv": may_run, "run": may_run}
    )
    await seeder.seed(hostile.path, hostile.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        assert (await downloader.wait("a")).status is Status.COMPLETED
    for path in (tmp_path / "media/films").iterdir():
        assert path.stat().st_mode & 0o111 == 0


async def test_a_magnet_to_links_is_refused_and_none_is_ever_made(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile = Hostile(tmp_path, {"film.mkv": 40 * KIB}, links={"ln": [b"film.mkv"]})
    (hostile.folder / "films/ln").symlink_to("film.mkv")
    await seeder.seed(hostile.path, hostile.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        job = await downloader.wait("a")
        assert job.error is not None
        assert (job.status, job.error.code) == (Status.FAILED, "source_rejected")
        assert not any(path.is_symlink() for path in (tmp_path / "media").rglob("*"))
        assert not list((tmp_path / "media").rglob("films/*"))


async def test_a_link_planted_in_the_place_of_unfinished_data_is_not_followed(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile = Hostile(tmp_path, {"film.mkv": 40 * KIB})
    await seeder.seed(hostile.path, hostile.folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "media").mkdir()
    (tmp_path / "media/.incomplete").symlink_to(outside)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        job = await until(downloader, "a", lambda job: job.reason is not None)
    assert job.status is Status.QUEUED
    assert "'.incomplete' is a link to another place" in str(job.reason)
    assert not list(outside.iterdir())


async def test_every_kind_of_link_and_special_file_in_unfinished_data_is_found(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    staging = tmp_path / "media/.incomplete/key"
    deep = staging / "films/extras"
    deep.mkdir(parents=True)
    (deep / "film.mkv").write_bytes(b"film")
    (await hold_plain(staging)).let_go()
    assert stat.S_IMODE(staging.stat().st_mode) == 0o700
    planted = deep / "planted"
    plants: list[Callable[[], None]] = [
        lambda: planted.symlink_to(victim), lambda: planted.symlink_to("nowhere"),
        lambda: planted.hardlink_to(victim), lambda: os.mkfifo(planted),
        lambda: planted.symlink_to(tmp_path),
    ]  # fmt: skip
    for plant in plants:
        plant()
        with pytest.raises(DiskError, match="so nothing is written"):
            await hold_plain(staging)
        with pytest.raises(NotPlainError):
            harmless(staging / "films")
        planted.unlink()
    (await hold_plain(staging)).let_go()
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "media/.incomplete/other"
    other.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError, match="so nothing is written"):
        await hold_plain(other)
    assert victim.read_bytes() == b"mine"


def test_rights_to_run_are_taken_before_publishing_and_nothing_else_changes(tmp_path: Path) -> None:
    top = tmp_path / "films"
    (top / "a").mkdir(parents=True)
    for name, mode in (("x", 0o755), ("a/y", 0o711), ("a/z", 0o640)):
        (top / name).write_bytes(b"film")
        (top / name).chmod(mode)
    harmless(top)
    modes = {name: stat.S_IMODE((top / name).stat().st_mode) for name in ("x", "a/y", "a/z")}
    assert modes == {"x": 0o644, "a/y": 0o600, "a/z": 0o640}
    single = tmp_path / "film.mkv"
    single.write_bytes(b"film")
    single.chmod(0o777)
    harmless(single)
    assert stat.S_IMODE(single.stat().st_mode) == 0o666


async def test_a_folder_swapped_for_a_link_while_a_film_arrives_leads_the_engine_nowhere(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile, outside = Hostile(tmp_path, {"film.mkv": 8 * 1024 * KIB}), tmp_path / "outside"
    outside.mkdir()
    await seeder.seed(hostile.path, hostile.folder, upload_limit=2 * 1024 * KIB)
    # at each save the engine closes its files, and opens or makes them at the next write
    async with running(tmp_path, save_bytes=1, save_interval=0.05) as downloader:
        await downloader.start(id="a", source_urn=hostile.magnet(seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 1024 * KIB)
        staging = tmp_path / "media/.incomplete" / (await downloader.status("a")).key
        staging.rename(tmp_path / "aside")
        staging.symlink_to(outside)
        # what is there is looked for by its name when it is saved, and is missing
        stopped = await until(downloader, "a", lambda job: job.status is not Status.ACTIVE)
    assert stopped.error is not None
    assert stopped.error.code == "disk_error"
    assert list(outside.iterdir()) == []


# --- metadata -------------------------------------------------------------------------------


async def test_metadata_that_never_comes_gives_the_slot_to_others_and_says_why(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    hostile = Hostile(tmp_path, {"film.mkv": 40 * KIB})
    await seeder.seed(hostile.path, hostile.folder)
    async with running(tmp_path, max_active=1, metadata_timeout=1.0) as downloader:
        await downloader.start(id="dead", source_urn="magnet:?xt=urn:btih:" + "d" * 40)
        await downloader.start(id="live", source_urn=hostile.magnet(seeder.port))
        assert (await downloader.wait("live")).status is Status.COMPLETED
        dead = await downloader.status("dead")
    assert dead.error is not None
    assert dead.error.code == "no_metadata"
    assert dead.error.message == "Nobody sent the torrent's metadata within 1 s."


async def test_a_magnet_nobody_has_fails_in_the_end_and_can_be_tried_again(tmp_path: Path) -> None:
    magnet = "magnet:?xt=urn:btih:" + "d" * 40
    async with running(tmp_path, metadata_timeout=0.5, metadata_tries=2) as downloader:
        await downloader.start(id="dead", source_urn=magnet)
        failed = await downloader.wait("dead")
        again = await downloader.resume("dead")
    assert (failed.status, failed.attempts) == (Status.FAILED, 2)
    assert failed.error is not None
    assert failed.error.code == "no_metadata"
    given_up = "within 0.5 s; given up after 2 tries, resume tries again."
    assert failed.error.message == f"Nobody sent the torrent's metadata {given_up}"
    assert (again.status, again.attempts) == (Status.QUEUED, 0)


# --- three hundred hostile files ------------------------------------------------------------


async def test_every_hostile_torrent_file_is_refused_or_tamed_and_the_server_lives(
    tmp_path: Path,
) -> None:
    around = tmp_path / "around"
    home = around / "home"
    for place in (around, home):
        place.mkdir()
        (place / "victim").write_bytes(b"mine")
    (home / "media").mkdir()
    (home / "media/film.mkv").write_bytes(b"the user's own film")
    settings = {"CHILLY_RATE_LIMIT_START": "100000/minute", "CHILLY_MAX_ACTIVE": "1000",
                "CHILLY_ALLOW_PRIVATE_ADDRESSES": "false"}  # fmt: skip
    hostile = list(documents())
    assert len(hostile) >= 300
    taken = []
    async with Backend(home, settings, warm=True) as ours:
        before = {name: entry for name, entry in tree(around).items() if not _is_ours(name)}
        for number, (what, data) in enumerate(hostile):
            answer = await ours.http.post(
                "/download/start", data={"id": str(number)},
                files={"torrent": ("x.torrent", data)},
            )  # fmt: skip
            assert answer.status_code in (200, 409, 413, 422), (what, answer.text)
            if answer.status_code == 200:
                taken.append(number)
        for number in taken:
            job = await ours.job(str(number))
            assert job["status"] in ("active", "failed", "queued"), hostile[number][0]
            for file in job["files"]:
                assert ".." not in file["path"].split("/")
                assert not file["path"].startswith(("/", "."))
                assert "\\" not in file["path"]
                assert "\0" not in file["path"]
        assert (await ours.http.get("/health")).json()["status"] == "ok"
        assert not [p for p in (home / "media").rglob("*") if p.is_symlink()]
        after = {name: entry for name, entry in tree(around).items() if not _is_ours(name)}
    assert after == before
    assert 20 < len(taken) < len(hostile)
    media = {name: entry[2] for name, entry in tree(home / "media").items()}
    assert {n: c for n, c in media.items() if not n.startswith(".incomplete")} == {
        "film.mkv": b"the user's own film"
    }


def _is_ours(name: str) -> bool:
    """What the server may write: its state, its log, and the folder of unfinished data."""
    return name.startswith(("home/state", "home/media/.incomplete")) or name == "home/server.log"

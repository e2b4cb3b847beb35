"""`chilly backup`, `chilly restore` and `chilly doctor` on a real installation."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend, clean_environment, start_chilly
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
MIB = 1 << 20
PIECE = 64 * 1024


async def chilly(folder: Path, *words: str | Path, **settings: str) -> tuple[int, str, str]:
    """Run a command in a folder's installation: exit code, what it said, what it complained of."""
    (folder / "chilly.toml").touch()
    process = await start_chilly([*map(str, words)], clean_environment(folder, settings), folder)
    said, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


async def doctor(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code, said, complained = await chilly(folder, "doctor", "--json", *words)
    assert said, complained
    return code, json.loads(said)


def problems(report: dict[str, Any]) -> list[str]:
    return [f["message"] for f in report["findings"] if f["level"] == "problem"]


def make(folder: Path, name: str, size: int) -> Torrent:
    make_film(folder / name / f"{name}.mkv", size, seed=len(name))
    return make_torrent(folder / name / f"{name}.mkv", folder / f"{name}.torrent", piece_size=PIECE)


async def three_jobs(ours: Backend, folder: Path, seeder: LibtorrentPeer) -> list[Torrent]:
    """One that is complete, one that is half there, one that is paused."""
    films = [
        make(folder, "whole", MIB),
        make(folder, "half-way", 16 * MIB),
        make(folder, "idle", MIB),
    ]
    for film, limit in zip(films, (0, 2 * MIB), strict=False):
        await seeder.seed(film.path, film.folder, upload_limit=limit)
    for film in films:
        await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id=film.name)
    await ours.wait(films[0].name)
    await ours.verb("pause", {"id": films[2].name})
    await seeder.seed(films[2].path, films[2].folder)  # not before, or it might be complete already
    await ours.until("half-way.mkv", lambda event: event["progress"]["bytesDownloaded"] > 6 * MIB)
    return films


async def test_a_backup_moves_an_installation_to_another_folder(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "all.tar.gz"
    old.mkdir()
    (old / "chilly.toml").write_text('media_root = "somewhere"\nmax_active = 7\n')
    async with Backend(old, warm=True) as ours:
        films = await three_jobs(ours, tmp_path / "sources", seeder)
        code, said, _ = await chilly(old, "backup", archive)
        assert (code, "holds 3 jobs" in said, "API keys" in said) == (0, True, True)
        assert archive.stat().st_mode & 0o777 == 0o600
        code, _, complained = await chilly(old, "backup", archive)
        assert (code, "is not replaced" in complained) == (1, True)
        assert (await doctor(old))[1]["serverRunning"] is True
    new.mkdir()
    shutil.move(old / "media", new / "films")
    settings = {"CHILLY_MEDIA_ROOT": str(new / "films"), "CHILLY_PORT": "0"}
    code, said, complained = await chilly(
        new, "restore", archive, "--media-root", new / "films", "--force"
    )
    assert code == 0, complained
    assert 'media_root = "' + str(new / "films") in (new / "chilly.toml").read_text()
    assert "max_active = 7" in (new / "chilly.toml").read_text()
    async with Backend(new, settings, warm=True) as ours:
        whole, half, idle = [await ours.job(film.name) for film in films]
        assert (whole["status"], idle["status"]) == ("completed", "paused")
        assert half["status"] in ("active", "queued", "completed")  # it goes on at once
        done = await ours.wait(films[1].name)
        await ours.verb("resume", {"id": films[2].name})
        assert (await ours.wait(films[2].name))["status"] == "completed"
        assert done["status"] == "completed"
        assert sha256_of(new / "films" / done["path"]) == sha256_of(films[1].content)
    code, report = await doctor_in(new, settings)
    assert (code, problems(report)) == (0, [])


async def doctor_in(
    folder: Path, settings: dict[str, str], *words: str
) -> tuple[int, dict[str, Any]]:
    code, said, complained = await chilly(folder, "doctor", "--json", *words, **settings)
    assert said, complained
    return code, json.loads(said)


async def test_a_state_folder_that_is_not_empty_is_replaced_only_when_asked(tmp_path: Path) -> None:
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.start(f"magnet:?xt=urn:btih:{1:040x}", id="a")
        assert (await chilly(tmp_path / "ours", "backup", tmp_path / "b.tar.gz"))[0] == 0
        code, _, said = await restore(tmp_path, "--force")
        assert (code, "Another instance" in said) == (2, True)
    code, _, said = await restore(tmp_path)
    assert (code, "is not empty" in said) == (2, True)
    code, _, said = await restore(tmp_path, "--force")
    assert code == 0, said
    assert (tmp_path / "ours" / "state" / "chilly.db.old").exists()
    async with Backend(tmp_path / "ours", warm=True) as ours:
        assert (await ours.job("a"))["status"] in ("active", "queued")


async def restore(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    ours = tmp_path / "ours"
    return await chilly(
        ours, "restore", tmp_path / "b.tar.gz", "--media-root", ours / "media", *words
    )


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(PIECE * 3 + 7)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


async def test_the_doctor_finds_what_is_wrong_and_changes_nothing(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    film = make(tmp_path / "sources", "whole", MIB)
    await seeder.seed(film.path, film.folder)
    async with Backend(tmp_path / "ours", warm=True) as ours:
        await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id="film")
        await ours.wait("film")
    ours_folder, media = tmp_path / "ours", tmp_path / "ours" / "media"
    code, report = await doctor(ours_folder)
    assert (code, problems(report), report["serverRunning"]) == (0, [], False)

    code, report = await doctor(ours_folder, "--verify")
    assert (code, problems(report)) == (0, [])
    sentences = [f["message"] for f in report["findings"]]
    assert "1 finished films have the right hashes." in sentences
    assert not [words for words in sentences if "is not readable" in words]

    flip_a_byte(media / "whole.mkv")
    (media / "home video.mkv").touch()
    assert (await doctor(ours_folder))[0] == 0
    code, report = await doctor(ours_folder, "--verify")
    assert code == 1
    assert problems(report) == ["The film of job 'film' is damaged: 66 kB are not right."]
    assert "These belong to no job: 'home video.mkv'." in [f["message"] for f in report["findings"]]
    assert not list((media / ".incomplete").glob("*/*"))

    with (media / "whole.mkv").open("ab") as file:
        file.write(b"longer")
    (media / ".incomplete" / ("f" * 32)).mkdir()
    (media / ".incomplete" / ("f" * 32) / "film.mkv").touch()
    with closing(sqlite3.connect(ours_folder / "state" / "chilly.db")) as database, database:
        database.execute("UPDATE resume SET data = 'nonsense'")
    code, report = await doctor(ours_folder)
    assert code == 1
    assert problems(report) == [
        f"The film of job 'film': 'whole.mkv' has {MIB + 6} bytes instead of {MIB}."
    ]
    said = " ".join(f["message"] for f in report["findings"])
    assert "No job goes on with what is in" in said
    assert "The resume data of job 'film' is not readable" in said
    code, said, _ = await chilly(ours_folder, "doctor")
    assert (code, "1 things are wrong" in said, "Put it back" in said) == (1, True, True)


async def test_the_doctor_says_which_setting_is_wrong(tmp_path: Path) -> None:
    code, said, _ = await chilly(tmp_path, "doctor", "--json", CHILLY_PORT="many")
    assert code == 1
    assert "CHILLY_PORT" in problems(json.loads(said))[0]


# --- archives from strangers ----------------------------------------------------------------


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


def with_extra(extra: tarfile.TarInfo, content: bytes = b"") -> Callable[[Path, Path], None]:
    def spoil(good: Path, bad: Path) -> None:
        with tarfile.open(good) as source, tarfile.open(bad, "w:gz") as target:
            for member in source:
                target.addfile(member, source.extractfile(member))
            extra.size = len(content)
            target.addfile(extra, io.BytesIO(content))

    return spoil


def without_database(good: Path, bad: Path) -> None:
    with tarfile.open(good) as source, tarfile.open(bad, "w:gz") as target:
        for member in source:
            if member.name != "chilly.db":
                target.addfile(member, source.extractfile(member))


def with_link_as_database(good: Path, bad: Path) -> None:
    with tarfile.open(good) as source, tarfile.open(bad, "w:gz") as target:
        for member in source:
            if member.name == "chilly.db":
                target.addfile(entry("chilly.db", tarfile.SYMTYPE, "/etc/passwd"))
            else:
                target.addfile(member, source.extractfile(member))


def cut(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:-200])


def no_archive(_good: Path, bad: Path) -> None:
    bad.write_bytes(b"PK\x03\x04 nothing of the kind")


HOSTILE = {
    "a path that leads out": with_extra(entry("../evil"), b"x"),
    "an absolute path": with_extra(entry("/tmp/evil"), b"x"),
    "a symlink": with_extra(entry("link", tarfile.SYMTYPE, "/etc")),
    "a device": with_extra(entry("null", tarfile.CHRTYPE)),
    "a second database": with_extra(entry("chilly.db"), b"x"),
    "a second manifest": with_extra(entry("manifest.json"), b"{}"),
    "no database": without_database,
    "a link in the database's place": with_link_as_database,
    "an end that is missing": cut,
    "no archive at all": no_archive,
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an installation with one job."""
    from chilly_movies.cli import archive as a
    from tests.doubles import make_job

    folder = tmp_path_factory.mktemp("good")
    database = folder / "chilly.db"
    asyncio.run(store_one(database, make_job("a", key="0" * 32, path="film.mkv")))
    (folder / "chilly.toml").write_text("max_active = 5\n")
    contents = {"chilly.db": database, "chilly.toml": folder / "chilly.toml"}
    files = {name: a.digest(path) for name, path in contents.items()}
    a.pack(folder / "good.tar.gz", a.Manifest("0", "/m", "/s", 1, "now", files), contents)
    return folder / "good.tar.gz"


async def store_one(path: Path, job: Any) -> None:
    from chilly_movies.jobs.events import Change
    from chilly_movies.storage.jobs import open_stores

    store, _ = open_stores(path)
    await store.load()
    await store.add(job, Change.of(0, "queued", job))
    await store.aclose()


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_that_is_not_ours_is_refused_and_leaves_nothing(
    tmp_path: Path, good: Path, spoil: Callable[[Path, Path], None]
) -> None:
    from chilly_movies.cli import archive as a
    from chilly_movies.cli.exits import CommandFailed

    bad, into = tmp_path / "bad.tar.gz", tmp_path / "into"
    into.mkdir()
    spoil(good, bad)
    with pytest.raises(CommandFailed):
        a.unpack(bad, into)
    assert {path.name for path in into.iterdir()} <= {"chilly.db", "chilly.toml"}
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("path", ["../film.mkv", "/etc/passwd", "a/../../b"])
async def test_a_job_that_points_out_of_the_media_folder_is_refused(
    tmp_path: Path, path: str
) -> None:
    from chilly_movies.cli import archive as a
    from tests.doubles import make_job

    database = tmp_path / "chilly.db"
    await store_one(database, make_job("a", key="0" * 32, path=path))
    files = {"chilly.db": a.digest(database)}
    manifest = a.Manifest("0", "/m", "/s", 1, "now", files)
    a.pack(tmp_path / "b.tar.gz", manifest, {"chilly.db": database})
    code, _, said = await chilly(
        tmp_path, "restore", "b.tar.gz", "--media-root", tmp_path / "media"
    )
    assert (code, "points out of the media folder" in said) == (1, True)
    assert not (tmp_path / "state" / "chilly.db").exists()

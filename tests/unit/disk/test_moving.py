"""Moving films on the disk: nothing is replaced, nothing is lost, whatever was there before."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.disk import files as disk
from chilly_movies.disk import moving
from chilly_movies.disk.moving import Mover, make_folder
from chilly_movies.errors import DiskError, DiskFull
from chilly_movies.jobs.models import Job, MediaFile, Status
from tests.doubles import make_job

pytestmark = pytest.mark.anyio
FILES = {"a.mkv": b"a" * 5000, "extra/b.srt": b"b" * 70}


def film_in(root: Path, path: str = "Film", to: str = "Films/Film") -> Job:
    for name, data in FILES.items():
        file = root / path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    files = [
        MediaFile(i, f"{path}/{name}", len(data)) for i, (name, data) in enumerate(FILES.items())
    ]
    left_out = MediaFile(len(files), f"{path}/c.txt", 9, wanted=False)
    return make_job(
        "a", Status.COMPLETED, path=path, moving_to=to, files=(*files, left_out)
    )  # fmt: skip


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def at(path: str) -> dict[str, bytes]:
    return {f"{path}/{name}": data for name, data in FILES.items()}


async def moved(root: Path, job: Job) -> list[str]:
    """The places a move tells of; the last is where the film is."""
    return [step async for step in Mover(root, job).go() if isinstance(step, str)]


@pytest.fixture
def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The film and the folder it goes to count as two disks; hidden copies are on the second."""
    publish = disk.publish

    def refuse(source: Path, target: Path) -> None:
        if not source.name.startswith("."):
            raise OSError(18, "Invalid cross-device link")
        publish(source, target)

    monkeypatch.setattr(disk, "publish", refuse)
    monkeypatch.setattr(moving, "_device", lambda path: path.parent.name)


async def test_a_film_is_renamed_with_everything_in_its_folder(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    (tmp_path / "Film" / "mine.nfo").write_bytes(b"note")
    inode = (tmp_path / "Film" / "a.mkv").stat().st_ino
    assert await moved(tmp_path, job) == ["Films/Film"]
    assert tree(tmp_path) == {**at("Films/Film"), "Films/Film/mine.nfo": b"note"}
    assert (tmp_path / "Films" / "Film" / "a.mkv").stat().st_ino == inode


async def test_folders_that_are_empty_afterwards_are_gone_and_others_stay(tmp_path: Path) -> None:
    job = film_in(tmp_path, "Old/2024/Film", "Film")
    (tmp_path / "Old" / "mine.txt").write_bytes(b"x")
    await moved(tmp_path, job)
    assert tree(tmp_path) == {**at("Film"), "Old/mine.txt": b"x"}
    assert not (tmp_path / "Old" / "2024").exists()


async def test_a_name_that_is_taken_is_told_with_a_number_before_it_is_used(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    stranger = tmp_path / "Films" / "Film"
    stranger.mkdir(parents=True)
    (stranger / "a.mkv").write_bytes(b"stranger")
    steps = [
        (step, (tmp_path / "Films" / "Film (2)").exists())
        async for step in Mover(tmp_path, job).go()
        if isinstance(step, str)
    ]
    assert steps == [("Films/Film (2)", False), ("Films/Film (2)", True)]
    assert tree(tmp_path) == {**at("Films/Film (2)"), "Films/Film/a.mkv": b"stranger"}


async def test_a_move_that_was_done_before_a_crash_is_only_told(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    (tmp_path / "Films").mkdir()
    (tmp_path / "Film").rename(tmp_path / "Films" / "Film")
    assert await moved(tmp_path, job) == ["Films/Film"]
    assert tree(tmp_path) == at("Films/Film")


async def test_a_film_that_is_in_neither_place_is_an_error_that_changes_nothing(
    tmp_path: Path,
) -> None:
    job = film_in(tmp_path)
    (tmp_path / "Film").rename(tmp_path / "Elsewhere")
    with pytest.raises(DiskError, match="not where it was"):
        await moved(tmp_path, job)
    assert tree(tmp_path) == at("Elsewhere")


@pytest.mark.usefixtures("another_disk")
async def test_to_another_disk_it_is_copied_with_its_times_and_then_deleted(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    os.utime(tmp_path / "Film" / "a.mkv", ns=(1, 1_234_567_891_234_567_891))
    (tmp_path / "Film" / "link").symlink_to("a.mkv")
    inode = (tmp_path / "Film" / "a.mkv").stat().st_ino
    assert await moved(tmp_path, job) == ["Films/Film"]
    new = tmp_path / "Films" / "Film"
    assert (new / "link").is_symlink()
    (new / "link").unlink()
    assert tree(tmp_path) == at("Films/Film")
    found = (new / "a.mkv").stat()
    assert (found.st_mtime_ns, found.st_ino == inode) == (1_234_567_891_234_567_891, False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Films"]


@pytest.mark.usefixtures("another_disk")
async def test_a_copy_that_was_begun_before_a_crash_is_begun_anew(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    half = tmp_path / "Films" / f".{job.key}.moving"
    half.mkdir(parents=True)
    (half / "a.mkv").write_bytes(b"half")
    assert await moved(tmp_path, job) == ["Films/Film"]
    assert tree(tmp_path) == at("Films/Film")


@pytest.mark.usefixtures("another_disk")
async def test_what_a_crash_left_at_the_old_place_of_a_copied_film_is_deleted(
    tmp_path: Path,
) -> None:
    job = film_in(tmp_path)
    stamp = (tmp_path / "Film" / "extra" / "b.srt").stat().st_mtime_ns
    await moved(tmp_path, job)
    (tmp_path / "Film" / "extra").mkdir(parents=True)
    left = tmp_path / "Film" / "extra" / "b.srt"
    left.write_bytes(FILES["extra/b.srt"])
    os.utime(left, ns=(stamp, stamp))
    assert await moved(tmp_path, job) == ["Films/Film"]
    assert tree(tmp_path) == at("Films/Film")


@pytest.mark.usefixtures("another_disk")
async def test_a_stranger_of_the_same_size_is_not_taken_for_our_copy(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    for name, data in FILES.items():
        file = tmp_path / "Films" / "Film" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(1, 1))
    assert await moved(tmp_path, job) == ["Films/Film (2)"] * 2
    assert tree(tmp_path) == {**at("Films/Film"), **at("Films/Film (2)")}


@pytest.mark.usefixtures("another_disk")
async def test_without_room_on_the_other_disk_nothing_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = film_in(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match="100 bytes free, 5070 needed"):
        await moved(tmp_path, job)
    assert tree(tmp_path) == at("Film")


@pytest.mark.usefixtures("another_disk")
async def test_a_copy_nobody_waits_for_ends_soon_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = film_in(tmp_path)
    monkeypatch.setattr(moving, "_CHUNK", 1)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Mover):
        def _copy_file(self, *args) -> None:  # type: ignore[no-untyped-def]
            begun.set()
            go_on.wait(10)
            super()._copy_file(*args)

    steps = Slow(tmp_path, job).go()
    await anext(steps)
    assert begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    await steps.aclose()
    assert tree(tmp_path) == at("Film")


async def test_settling_deletes_a_half_copy_and_says_where_the_film_is(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    half = tmp_path / "Films" / f".{job.key}.moving"
    half.mkdir(parents=True)
    assert Mover(tmp_path, job).finish_move() == Path("Film")
    assert not half.exists()
    await moved(tmp_path, job)
    assert Mover(tmp_path, job).finish_move() == Path("Films/Film")


@pytest.mark.usefixtures("another_disk")
async def test_settling_a_copy_whose_source_is_half_deleted_finds_the_copy(tmp_path: Path) -> None:
    job = film_in(tmp_path)
    stamp = (tmp_path / "Film" / "extra" / "b.srt").stat().st_mtime_ns
    await moved(tmp_path, job)
    left = tmp_path / "Film" / "extra" / "b.srt"
    left.parent.mkdir(parents=True)
    left.write_bytes(FILES["extra/b.srt"])
    os.utime(left, ns=(stamp, stamp))
    assert Mover(tmp_path, job).finish_move() == Path("Films/Film")
    assert tree(tmp_path) == at("Films/Film")


def test_a_folder_is_made_through_folders_only(tmp_path: Path) -> None:
    make_folder(tmp_path, tmp_path / "a" / "b")
    make_folder(tmp_path, tmp_path / "a" / "b")
    make_folder(tmp_path, tmp_path)
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("file", "link"):
        with pytest.raises(DiskError, match=f"'{name}' is there and is no folder"):
            make_folder(tmp_path, tmp_path / name / "x")
    assert not (tmp_path / "a" / "x").exists()


async def test_a_single_file_moves_like_a_folder(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(b"film")
    job = replace(
        film_in(tmp_path), path="film.mkv", moving_to="Films/film.mkv",
        files=(MediaFile(0, "film.mkv", 4),),
    )  # fmt: skip
    assert await moved(tmp_path, job) == ["Films/film.mkv"]
    assert (tmp_path / "Films" / "film.mkv").read_bytes() == b"film"
    assert not (tmp_path / "film.mkv").exists()

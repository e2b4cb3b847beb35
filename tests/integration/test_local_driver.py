"""Files of this machine as sources: what comes along, in which way, and what becomes of trouble."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.disk.roots import Roots
from chilly_movies.drivers.local.driver import LocalDriver
from chilly_movies.errors import FileNotFound, InvalidSource, SourceRejected
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, Source, SourceType, Status
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from tests.contract.driver_suite import after, run_until_complete
from tests.doubles import FakeVolume, make_job

pytestmark = pytest.mark.anyio
FILM = bytes(range(251)) * 9000


class Desk:
    """A downloader with nothing but the local driver, over folders of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.films, self.media = folder / "films", folder / "media"
        self.films.mkdir()
        self.store = MemoryResumeStore()
        self.volume = FakeVolume(free=1 << 40)
        roots = Roots({"films": self.films}, (self.media,))
        self.driver = LocalDriver(self.media, roots, self.store)
        self.downloader = Downloader(
            {SourceType.LOCAL: self.driver},
            MemoryJobStore(self.store),
            guard=DiskGuard(self.volume),
            retry=RetryPolicy(max_attempts=1, long_attempts=1),
        )

    def put(self, name: str, data: bytes = FILM) -> Path:
        path = self.films / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    async def take(self, urn: str, **more: Any) -> Job:
        """Start a job and wait for its end; its id is the source."""
        job = await self.downloader.start(source_type="local", source_urn=urn, **more)
        return await self.downloader.wait(job.id)

    def published(self) -> dict[str, bytes]:
        """What lies in the media folder."""
        found = (p for p in self.media.rglob("*") if p.is_file() and ".incomplete" not in p.parts)
        return {p.relative_to(self.media).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
async def desk(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    async with made.downloader:
        yield made


async def test_a_film_of_the_same_disk_is_linked_and_takes_no_room(desk: Desk) -> None:
    original = desk.put("a.mkv")
    desk.volume.room = replace(desk.volume.room, free=0)
    said: list[str | None] = []
    desk.downloader.on("metadata", lambda job: said.append(job.reason))
    job = await desk.take(str(original))
    assert (job.status, job.path, job.progress.percent) == (Status.COMPLETED, "a.mkv", 100)
    assert (desk.media / "a.mkv").samefile(original)
    await desk.downloader.aclose()
    assert said == ["hard link: the film is the same file under a second name, and takes no room"]


async def test_a_copy_waits_for_room_and_says_how_much_it_needs(desk: Desk) -> None:
    desk.put("a.mkv")
    desk.volume.room = replace(desk.volume.room, free=1_000_000)
    job = await desk.downloader.start(source_type="local", source_urn="films/a.mkv", mode="copy")
    async with desk.downloader.listen(job.id) as changes:
        async for _ in changes:
            job = await desk.downloader.status(job.id)
            if job.status is Status.QUEUED and job.reason:
                break
    assert job.reason == "disk full: 1 MB free, 2.3 MB needed"
    desk.volume.room = replace(desk.volume.room, free=3_000_000)
    job = await desk.downloader.wait(job.id)
    assert desk.published() == {"a.mkv": FILM}


async def test_the_path_is_kept_and_told_by_its_root_alone(desk: Desk, tmp_path: Path) -> None:
    desk.put("a.mkv")
    other = {"sourceType": "local", "sourceUrn": f"{desk.films}/b.mkv"}
    job = await desk.take(f"{desk.films}/a.mkv", candidates=[other])
    assert job.source.urn == "films/a.mkv"
    assert [one.source.urn for one in job.candidates] == ["films/b.mkv"]
    assert str(tmp_path) not in repr(job)


async def test_a_folder_comes_with_its_subtitles_and_without_what_is_no_part_of_it(
    desk: Desk,
) -> None:
    for name in ("Film/a.mkv", "Film/Subs/a.en.srt", "Film/poster.jpg"):
        desk.put(name, name.encode())
    for name in (".hidden", "b.mkv.part", "Thumbs.db", ".git/x", "c.crdownload", "lost+found/y"):
        desk.put(f"Film/{name}", b"no part of it")
    program = desk.put("Film/setup.exe", b"MZ")
    secret = desk.put("secret.mkv", b"not in the folder")
    (desk.films / "Film/link.mkv").symlink_to(secret)
    (desk.films / "Film/way").symlink_to(desk.films)
    os.mkfifo(desk.films / "Film/pipe.mkv")
    job = await desk.take("films/Film")
    names = ("Film/a.mkv", "Film/Subs/a.en.srt", "Film/poster.jpg")
    assert desk.published() == {name: name.encode() for name in names}
    assert [f.path for f in job.files if f.blocked] == ["Film/setup.exe"]
    assert program.exists()


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
async def test_deleting_a_job_with_its_files_leaves_the_original(desk: Desk, mode: str) -> None:
    original = desk.put("Film/a.mkv")
    job = await desk.take("films/Film", mode=mode)
    assert desk.published() == {"Film/a.mkv": FILM}
    original.chmod(0o755)
    await desk.downloader.remove(job.id, delete_files=True)
    assert desk.published() == {}
    assert original.read_bytes() == FILM
    assert original.stat().st_nlink == 1


async def test_a_link_leaves_the_rights_of_the_original_and_a_copy_runs_nothing(desk: Desk) -> None:
    for mode in ("hardlink", "copy"):
        original = desk.put(f"{mode}.mkv")
        original.chmod(0o750)
        await desk.take(f"films/{mode}.mkv", mode=mode)
        assert original.stat().st_mode & 0o777 == 0o750
    assert not (desk.media / "copy.mkv").stat().st_mode & 0o111


async def test_a_name_that_is_taken_gets_a_number_and_nothing_is_replaced(desk: Desk) -> None:
    desk.media.mkdir()
    (desk.media / "a.mkv").write_bytes(b"another film")
    desk.put("a.mkv")
    job = await desk.take("films/a.mkv", folder="Films")
    assert job.path == "Films/a.mkv"
    again = desk.put("more/a.mkv")
    job = await desk.take("films/more/a.mkv")
    assert (job.path, (desk.media / "a (2).mkv").samefile(again)) == ("a (2).mkv", True)
    assert (desk.media / "a.mkv").read_bytes() == b"another film"


async def test_hostile_names_come_along_harmless_and_distinct(desk: Desk) -> None:
    names = [
        b"CON.mkv",
        b"a\nb.mkv",
        b"caf\xe9.mkv",
        b"caf\xe8.mkv",
        b"x" * 250 + b".mkv",
        b"A.mkv",
    ]
    (desk.films / "Film").mkdir()
    for name in [*names, b"a.mkv"]:
        Path(os.fsdecode(os.fsencode(desk.films / "Film") + b"/" + name)).write_bytes(name)
    job = await desk.take("films/Film", mode="copy")
    assert job.status is Status.COMPLETED
    assert sorted(desk.published().values()) == sorted([*names, b"a.mkv"])
    assert all(name.isprintable() and len(name) < 210 for name in desk.published())


async def test_a_source_that_is_gone_fails_the_job_in_one_sentence(desk: Desk) -> None:
    job = await desk.take("films/Film")
    assert job.error is not None
    assert job.error.message == "There is no file or folder 'films/Film' any more."
    for name in "ab":
        desk.put(f"Film/{name}.mkv")
    job = make_job("a", Status.ACTIVE, source=job.source, options=Options(mode="copy"))

    async def run_and_delete() -> None:
        async with aclosing(desk.driver.run(job)) as reports:
            async for report in reports:
                if report.progress.bytes_downloaded:
                    (desk.films / "Film/b.mkv").unlink(missing_ok=True)

    with pytest.raises(SourceRejected, match=r"no file or folder 'films/Film/b.mkv' any more"):
        await run_and_delete()
    assert desk.published() == {}


async def test_a_file_that_changes_while_it_is_copied_is_copied_anew(desk: Desk) -> None:
    original, fresh = desk.put("a.mkv"), FILM[::-1]
    source = Source(SourceType.LOCAL, "films/a.mkv")
    job = make_job("a", Status.ACTIVE, source=source, options=Options(mode="copy"))
    reasons: list[str | None] = []
    told: list[bool] = []
    async with aclosing(desk.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            reasons.append(report.reason)
            told += [report.anew] if report.facts else []
            if report.progress.bytes_downloaded and len(set(reasons)) < 3:
                original.write_bytes(fresh)
    assert desk.published() == {"a.mkv": fresh}
    assert "'films/a.mkv' was changed while it was copied: the copy begins anew" in reasons
    assert told == [False, True]


async def test_what_was_copied_in_part_is_copied_anew_once_the_source_is_another(
    desk: Desk,
) -> None:
    original, fresh = desk.put("a.mkv"), FILM[::-1]
    source = Source(SourceType.LOCAL, "films/a.mkv")
    job = make_job("a", Status.ACTIVE, source=source, options=Options(mode="copy"))
    async with aclosing(desk.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded:
                break
    original.write_bytes(fresh)
    job, seen = await run_until_complete(desk.driver, job)
    assert desk.published() == {"a.mkv": fresh}
    assert "the source was changed: the copy begins anew" in [report.reason for report in seen]


async def test_what_was_claimed_is_not_copied_again(desk: Desk) -> None:
    desk.put("Film/a.mkv")
    desk.put("Film/b.mkv", FILM * 4)
    source = Source(SourceType.LOCAL, "films/Film")
    job = make_job("a", Status.ACTIVE, source=source, options=Options(mode="copy"))
    async with aclosing(desk.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded > len(FILM):
                break
    [staged] = (desk.media / ".incomplete" / job.key).rglob("a.mkv")
    was = staged.stat()
    job, _ = await run_until_complete(desk.driver, job)
    now = (desk.media / "Film/a.mkv").stat()
    assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    assert desk.published() == {"Film/a.mkv": FILM, "Film/b.mkv": FILM * 4}


async def test_a_film_that_was_published_a_moment_before_a_crash_is_not_published_twice(
    desk: Desk,
) -> None:
    for mode, name in (("hardlink", "a.mkv"), ("copy", "b.mkv"), ("hardlink", "Film")):
        desk.put("Film/c.mkv" if name == "Film" else name)
        source = Source(SourceType.LOCAL, f"films/{name}")
        start = make_job(name, Status.ACTIVE, source=source, options=Options(mode=mode))  # type: ignore[arg-type]
        job = start
        async with aclosing(desk.driver.run(start)) as reports:
            async for report in reports:
                if report.complete:
                    break  # what it says was not stored
                job = after(job, report)
        job, _ = await run_until_complete(desk.driver, job)
        assert job.path == name
        canceled = replace(job, status=Status.CANCELED, completed_at=None)
        await desk.driver.remove(canceled, delete_files=False)
    assert desk.published() == {}
    assert (desk.films / "Film/c.mkv").exists()


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
async def test_a_checksum_is_compared_before_the_film_is_published(desk: Desk, mode: str) -> None:
    desk.put("a.mkv")
    right = "sha256:" + hashlib.sha256(FILM).hexdigest()
    job = await desk.take("films/a.mkv", mode=mode, checksum="sha256:" + "0" * 64)
    assert job.error is not None
    assert job.error.message == "'films/a.mkv' does not have the given checksum."
    assert desk.published() == {}
    await desk.downloader.remove(job.id)
    job = await desk.take("films/a.mkv", mode=mode, checksum=right)
    assert (job.status, desk.published()) == (Status.COMPLETED, {"a.mkv": FILM})


async def test_a_film_that_was_damaged_is_taken_again_from_its_original(desk: Desk) -> None:
    desk.put("Film/a.mkv")
    desk.put("Film/b.mkv")
    job = await desk.take("films/Film", mode="copy")
    (desk.media / "Film/a.mkv").write_bytes(b"damaged")
    (desk.media / "Film/b.mkv").unlink()
    await desk.downloader.recheck(job.id)
    job = await desk.downloader.wait(job.id)
    while job.status is not Status.FAILED:
        async with desk.downloader.listen(job.id) as changes:
            job = await desk.downloader.status(job.id)
            if job.status is not Status.FAILED:
                await anext(changes)
    assert job.error is not None
    assert job.error.code == "damaged"
    await desk.downloader.resume(job.id)
    job = await desk.downloader.wait(job.id)
    assert job.status is Status.COMPLETED
    assert desk.published() == {"Film/a.mkv": FILM, "Film/b.mkv": FILM}


async def test_a_mode_that_the_disk_does_not_have_is_refused_and_never_exchanged(
    desk: Desk, tmp_path: Path
) -> None:
    desk.put("a.mkv")
    job = await desk.take("films/a.mkv", mode="reflink")
    if job.status is Status.COMPLETED:  # this disk can
        assert not (desk.media / "a.mkv").samefile(desk.films / "a.mkv")
        return
    assert job.error is not None
    assert "There can be no reflinks of 'films/a.mkv'" in job.error.message
    assert desk.published() == {}


async def test_an_unfinished_copy_can_be_read_to_its_end_until_its_original_is_another(
    desk: Desk,
) -> None:
    original = desk.put("a.mkv")
    source = Source(SourceType.LOCAL, "films/a.mkv")
    job = make_job("a", Status.ACTIVE, source=source, options=Options(mode="copy"))
    async with aclosing(desk.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded:
                async with aclosing(await desk.driver.open_file(job, 0)) as reader:
                    assert reader.available(0) == len(FILM)
                    assert await reader.read(len(FILM) - 5, 100) == FILM[-5:]
                    original.write_bytes(FILM[::-1])
                    with pytest.raises(FileNotFound):
                        await reader.read(0, 5)
                break


async def test_what_is_no_path_of_a_root_is_refused(desk: Desk) -> None:
    for urn in ("films", "films/", "/etc/passwd"):
        with pytest.raises(InvalidSource):
            await desk.downloader.start(source_type="local", source_urn=urn)

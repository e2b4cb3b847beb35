"""Who may begin, who must give way, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from chilly_movies.errors import DiskError, DiskFull
from chilly_movies.jobs.disk_guard import DiskGuard, amount, bytes_left
from chilly_movies.jobs.models import Job, MediaFile, Progress, Status
from chilly_movies.jobs.ports import Room
from tests.doubles import NOON, FakeVolume, make_job

pytestmark = pytest.mark.anyio

MB = 1_000_000


def job(job_id: str, total: int | None, done: int = 0, **changes: Any) -> Job:
    progress = Progress(bytes_total=total, bytes_downloaded=done)
    return make_job(job_id, Status.ACTIVE, progress=progress, **changes)


async def refusal(
    volume: FakeVolume, wanted: Job, *running: Job, reserve: int = 0
) -> DiskError | None:
    return await DiskGuard(volume, reserve).refusal(volume.room, wanted, running)


async def test_without_a_volume_there_is_always_room() -> None:
    guard = DiskGuard()
    room = await guard.measure()
    assert room.problem is None
    assert await guard.refusal(room, job("a", 10**15), []) is None
    assert await guard.overdue(room, [job("a", 10**15)]) == []


@pytest.mark.parametrize(
    ("free", "total", "done", "reserve", "fits"),
    [
        (100, 100, 0, 0, True),
        (99, 100, 0, 0, False),
        (99, 100, 1, 0, True),
        (100, 100, 0, 1, False),
        (101, 100, 0, 1, True),
        (0, 100, 100, 50, True),  # nothing is missing: it only has to be checked
        (10, None, 0, 10, False),
        (11, None, 0, 10, True),
    ],
)
async def test_a_job_begins_if_what_is_missing_fits_above_the_reserve(
    free: int, total: int | None, done: int, reserve: int, fits: bool
) -> None:
    found = await refusal(FakeVolume(free), job("a", total, done), reserve=reserve)
    assert (found is None) is fits
    assert fits or isinstance(found, DiskFull)


async def test_what_running_jobs_still_need_is_not_promised_twice() -> None:
    volume = FakeVolume(100)
    first, second = job("a", 80, 20), job("b", 60)
    assert await refusal(volume, second) is None
    assert await refusal(volume, second, first) is not None
    assert await refusal(volume, job("c", 40), first) is None


async def test_the_size_of_a_known_torrent_counts_before_it_ever_ran() -> None:
    files = (MediaFile(0, "f/a", 70), MediaFile(1, "f/b", 90, wanted=False))
    assert bytes_left(make_job("a", files=files)) == 70
    assert await refusal(FakeVolume(69), make_job("a", files=files)) is not None
    assert await refusal(FakeVolume(70), make_job("a", files=files)) is None


@pytest.mark.parametrize("there", [{"adopted": True, "path": "f"}, {"path": "f"}])
async def test_a_film_that_lies_where_it_belongs_needs_no_room(there: dict[str, Any]) -> None:
    assert await refusal(FakeVolume(0), job("a", 100, **there), reserve=50) is None


async def test_a_film_that_is_fetched_anew_where_it_was_published_needs_room() -> None:
    finished = {"path": "f", "completed_at": NOON}
    assert bytes_left(job("a", 90, 20, **finished)) == 70
    done = make_job("a", Status.COMPLETED, progress=Progress(bytes_total=90), **finished)
    assert bytes_left(done) == 0


async def test_data_on_the_disk_needs_no_more_room_though_the_figures_forgot_it() -> None:
    volume = FakeVolume(30)
    unchecked = job("a", 100)
    assert await refusal(volume, unchecked) is not None
    volume.on_disk["key-a"] = 70
    assert await refusal(volume, unchecked) is None
    assert await refusal(volume, job("b", 30), unchecked) is not None


async def test_the_sentence_tells_what_is_free_and_what_is_needed() -> None:
    found = await refusal(FakeVolume(120 * MB), job("a", 1_400 * MB))
    assert str(found) == "disk full: 120 MB free, 1.4 GB needed"
    running = job("b", 300 * MB)
    found = await refusal(FakeVolume(2_000 * MB), job("a", 1_400 * MB), running, reserve=1000 * MB)
    assert str(found) == (
        "disk full: 2 GB free, 1.4 GB needed, 300 MB promised to other downloads, 1 GB kept free"
    )
    found = await refusal(FakeVolume(MB), job("a", None), reserve=1000 * MB)
    assert str(found) == "disk full: 1 MB free, 1 GB kept free"


async def test_of_running_jobs_the_first_in_the_queue_stay() -> None:
    volume = FakeVolume(100)
    jobs = [job("c", 30, position=3), job("b", 80, position=2), job("a", 60, position=1)]
    leave = await DiskGuard(volume).overdue(volume.room, jobs)
    assert [(job.id, problem.code) for job, problem in leave] == [("b", "disk_full")]


async def test_a_running_job_may_use_a_part_of_the_reserve() -> None:
    guard, running = DiskGuard(None, 100), [job("a", 50)]
    assert await guard.overdue(Room(125), running) == []
    assert len(await guard.overdue(Room(124), running)) == 1
    assert await guard.refusal(Room(125), running[0], []) is not None


async def test_a_volume_with_a_problem_holds_everybody_back() -> None:
    volume = FakeVolume(10**12)
    volume.room = Room(0, "The media folder is read-only.")
    done = job("a", 100, 100, path="f")
    assert str(await refusal(volume, done)) == "The media folder is read-only."
    assert len(await DiskGuard(volume).overdue(volume.room, [done])) == 1


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (-5, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_400_000_000, "1.4 GB"),
        (119_600_000, "120 MB"), (999_600_000, "1 GB"), (10**18, "1 EB"), (9_960_000, "10 MB"),
    ],
)  # fmt: skip
def test_amounts_are_short(count: int, text: str) -> None:
    assert amount(count) == text

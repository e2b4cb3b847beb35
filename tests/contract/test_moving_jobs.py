"""Films that go to another folder, with a driver that plays scripts."""

from __future__ import annotations

import pytest

from chilly_movies.drivers.mock.driver import MockScript
from chilly_movies.errors import IllegalTransition, InvalidRequest
from chilly_movies.jobs.models import Status
from tests.contract.rig import Rig, history, reach_when

pytestmark = pytest.mark.anyio
SEEDS = MockScript(size=1000, seconds=4.0, metadata_seconds=1.0, seed_seconds=1e5)


async def test_a_finished_film_is_on_its_way_at_once_and_moved_is_told_when_it_is_there(
    rig: Rig,
) -> None:
    downloader = rig.make()
    await rig.bring(Status.COMPLETED)
    going = await downloader.move("a", "Films/New")
    assert (going.path, going.moving_to) == ("a.mkv", "Films/New/a.mkv")
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: job.moving_to is None)
    assert (job.status, job.path) == (Status.COMPLETED, "Films/New/a.mkv")
    assert [file.path for file in job.files] == ["Films/New/a.mkv"]
    assert job.options.folder == "Films/New"
    assert (await history(downloader))[-2:] == ["progress", "moved"]


async def test_a_film_that_was_on_its_way_at_a_crash_goes_on(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(Status.COMPLETED)
    await downloader.move("a", "Films")
    downloader = await rig.crash()
    assert (await downloader.status("a")).moving_to == "Films/a.mkv"
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: job.moving_to is None)
    assert job.path == "Films/a.mkv"


async def test_a_seeding_film_seeds_on_from_its_new_place(rig: Rig) -> None:
    downloader = rig.make(script=SEEDS)
    await rig.add()
    await reach_when(downloader, "a", lambda job: job.seeding)
    await downloader.move("a", "Films")
    job = await reach_when(downloader, "a", lambda job: job.path == "Films/a.mkv")
    assert job.seeding
    again = await reach_when(downloader, "a", lambda job: job.progress.ratio > 0)
    assert (again.status, again.is_running) == (Status.COMPLETED, True)


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_who_stops_the_seeding_does_not_stop_the_move(rig: Rig, verb: str) -> None:
    downloader = rig.make(script=SEEDS)
    await rig.add()
    await reach_when(downloader, "a", lambda job: job.seeding)
    rig.pace.hold()
    await downloader.move("a", "Films")
    job = await getattr(downloader, verb)("a")
    assert (job.seeding, job.moving_to) == (False, "Films/a.mkv")
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: job.moving_to is None)
    assert (job.path, job.is_running) == ("Films/a.mkv", False)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ACTIVE, Status.PAUSED, Status.FAILED])
async def test_an_unfinished_film_is_only_told_where_to_go(rig: Rig, status: Status) -> None:
    downloader = rig.make(max_active=1)
    if status is Status.QUEUED:
        await rig.bring(Status.ACTIVE, "first")
        await rig.add()
    else:
        await rig.bring(status)
    job = await downloader.move("a", "Films")
    assert (job.status, job.options.folder, job.moving_to) == (status, "Films", None)
    assert (await downloader.move("a", "Films")).updated_at == job.updated_at
    assert (await history(downloader, "a")).count("moved") == 1


async def test_a_film_lands_in_the_folder_its_start_or_a_later_move_named(rig: Rig) -> None:
    downloader = rig.make()
    rig.pace.hold()
    await rig.add("a", folder="Films/2024")
    await rig.add("b")
    await downloader.move("b", "Series")
    rig.pace.flow()
    a = await reach_when(downloader, "a", lambda job: job.path == "Films/2024/a.mkv")
    b = await reach_when(downloader, "b", lambda job: job.path == "Series/b.mkv")
    assert (a.status, b.status) == (Status.COMPLETED, Status.COMPLETED)


async def test_where_the_film_is_already_nothing_happens(rig: Rig) -> None:
    downloader = rig.make()
    before = await rig.bring(Status.COMPLETED)
    assert await downloader.move("a", "") == before


async def test_the_same_move_again_is_fine_and_another_one_has_to_wait(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(Status.COMPLETED)
    going = await downloader.move("a", "Films")
    assert await downloader.move("a", "Films") == going
    with pytest.raises(IllegalTransition, match="is being moved to 'Films'"):
        await downloader.move("a", "Elsewhere")
    rig.pace.flow()
    await reach_when(downloader, "a", lambda job: job.path == "Films/a.mkv")


async def test_a_film_the_disk_does_not_let_go_stays_with_the_reason(rig: Rig) -> None:
    downloader = rig.make(script=SEEDS)
    await rig.add()
    await reach_when(downloader, "a", lambda job: job.seeding)
    rig.driver.break_disk = True
    await downloader.move("a", "Films")
    job = await reach_when(downloader, "a", lambda job: job.moving_to is None)
    assert (job.path, job.options.folder) == ("a.mkv", "")
    stored = await downloader.changes_since(0, "a")
    assert "The film was not moved: The film is gone." in [change.reason for change in stored]


async def test_a_canceled_job_has_no_film_to_move(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(Status.CANCELED)
    for folder in ("Films", ""):
        with pytest.raises(IllegalTransition, match="canceled"):
            await downloader.move("a", folder)


async def test_a_removed_job_is_gone_though_it_was_on_its_way(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(Status.COMPLETED)
    await downloader.move("a", "Films")
    await downloader.remove("a", delete_files=True)
    assert await downloader.list() == []
    assert rig.driver.removed == [("a", True)]


@pytest.mark.parametrize(
    "folder",
    ["/etc", "..", "a/../b", "a//b", "a/", ".hidden", ".incomplete/x", "a\\b", "C:", "nul", "a ",
     "x" * 201, "a\x00b", "a\nb", "a/" * 600 + "a", 7, None],
)  # fmt: skip
async def test_a_folder_that_is_no_plain_path_is_refused_and_nothing_happens(
    rig: Rig, folder: object
) -> None:
    downloader = rig.make()
    before = await rig.bring(Status.COMPLETED)
    with pytest.raises(InvalidRequest, match="folder"):
        await downloader.move("a", folder)  # type: ignore[arg-type]
    assert await downloader.status("a") == before

"""The verbs of the Downloader, over every store."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from chilly_movies.errors import (
    DuplicateDownload,
    IdInUse,
    IllegalTransition,
    InvalidRequest,
    InvalidSource,
    JobNotFound,
    StoreError,
    UnsupportedSource,
)
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, SourceType, Status
from chilly_movies.jobs.options import Options
from tests.contract.rig import Rig, history, reach
from tests.doubles import GatedStore, idle

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED
GOES_ON = (QUEUED, ACTIVE)

OUTCOMES: dict[str, dict[Status, tuple[Status, ...]]] = {
    "pause": {
        QUEUED: (PAUSED,), ACTIVE: (PAUSED,), PAUSED: (PAUSED,), COMPLETED: (COMPLETED,),
        FAILED: (), CANCELED: (),
    },
    "resume": {
        QUEUED: GOES_ON, ACTIVE: (ACTIVE,), PAUSED: GOES_ON, COMPLETED: (), FAILED: GOES_ON,
        CANCELED: (),
    },
    "cancel": {
        QUEUED: (CANCELED,), ACTIVE: (CANCELED,), PAUSED: (CANCELED,), COMPLETED: (COMPLETED,),
        FAILED: (CANCELED,), CANCELED: (CANCELED,),
    },
}  # fmt: skip
BECOMES = {"pause": PAUSED, "resume": QUEUED}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("verb", OUTCOMES)
async def test_each_verb_in_each_status_does_what_it_should_or_names_both_states(
    rig: Rig, verb: str, status: Status
) -> None:
    downloader = rig.make(max_active=0 if status is QUEUED else 3)
    assert (await rig.bring(status)).status is status
    expected = OUTCOMES[verb][status]
    if expected:
        assert (await getattr(downloader, verb)("a")).status in expected
        return
    before = await history(downloader)
    with pytest.raises(IllegalTransition, match=f"is {status} and cannot become {BECOMES[verb]}"):
        await getattr(downloader, verb)("a")
    assert (await downloader.status("a")).status is status
    assert await history(downloader) == before


@pytest.mark.parametrize("verb", OUTCOMES)
@pytest.mark.parametrize("status", list(Status))
async def test_a_verb_given_twice_changes_nothing_the_second_time(
    rig: Rig, verb: str, status: Status
) -> None:
    if not OUTCOMES[verb][status]:
        return
    downloader = rig.make(max_active=0 if status is QUEUED else 3)
    await rig.bring(status)
    await getattr(downloader, verb)("a")
    if verb == "resume" and status is not QUEUED:
        await rig.reach_active()
    once, before = await downloader.status("a"), await history(downloader)
    assert (await getattr(downloader, verb)("a")) == once
    assert await history(downloader) == before


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "cancel", "remove", "status", "wait", "snapshot"]
)
async def test_an_unknown_id_is_not_found_by_any_verb(rig: Rig, verb: str) -> None:
    with pytest.raises(JobNotFound, match="'nobody'"):
        await getattr(rig.make(), verb)("nobody")


async def test_a_start_returns_when_it_is_recorded_and_not_when_it_is_done(rig: Rig) -> None:
    downloader = rig.make()
    rig.pace.hold()
    job = await rig.add(files=[0], seedRatio=2, seed_time=5)
    assert (job.id, job.status, job.position) == ("a", QUEUED, 1)
    assert job.options == Options(files=(0,), seed_ratio=2.0, seed_time=5)
    assert job.created_at == job.updated_at == rig.clock.now
    assert (await downloader.changes_since(0))[0].event == "queued"


async def test_the_seeds_mapping_is_understood(rig: Rig) -> None:
    job = await rig.make().start(
        {"id": "1", "sourceType": "http", "sourceUrn": "https://x.example/f", "status": "active"}
    )
    assert (job.id, job.status) == ("1", QUEUED)
    assert (job.source.type, job.source.urn) == (SourceType.HTTP, "https://x.example/f")


async def test_an_id_is_made_up_when_none_is_given(rig: Rig) -> None:
    downloader = rig.make()
    jobs = [await downloader.start(source_urn=f"https://x.example/{n}") for n in range(2)]
    assert jobs[0].id != jobs[1].id
    assert (await downloader.status(jobs[0].id)).id == jobs[0].id


@pytest.mark.parametrize("status", list(Status))
async def test_the_same_start_again_gives_the_job_as_it_stands(rig: Rig, status: Status) -> None:
    downloader = rig.make(max_active=0 if status is QUEUED else 3)
    job = await rig.bring(status)
    before = await history(downloader)
    again = await downloader.start(id="a", source_urn=job.source.urn)
    assert again.status is status
    assert await history(downloader) == before
    assert len(await downloader.list()) == 1


async def test_an_id_of_another_source_is_refused(rig: Rig) -> None:
    downloader = rig.make()
    await rig.add("a")
    with pytest.raises(IdInUse, match="'a'"):
        await downloader.start(id="a", source_urn="https://x.example/other")


async def test_a_film_under_another_id_is_refused_and_the_first_id_told(rig: Rig) -> None:
    downloader = rig.make()
    job = await rig.add("a")
    with pytest.raises(DuplicateDownload) as refused:
        await downloader.start(id="b", source_urn=job.source.urn)
    assert refused.value.existing_id == "a"
    assert [job.id for job in await downloader.list()] == ["a"]


async def test_of_many_starts_of_one_film_at_once_one_is_accepted(rig: Rig) -> None:
    downloader = rig.make()
    starts = [downloader.start(id=f"job-{n}", source_urn="https://x.example/f") for n in range(8)]
    found = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(result, Job) for result in found) == 1
    assert sum(isinstance(result, DuplicateDownload) for result in found) == 7
    assert len(await downloader.list()) == 1


async def test_of_many_equal_starts_at_once_all_get_the_same_job(rig: Rig) -> None:
    downloader = rig.make()
    starts = [downloader.start(id="a", source_urn="https://x.example/f") for _ in range(8)]
    keys = {job.key for job in await asyncio.gather(*starts)}
    assert keys == {(await downloader.status("a")).key}


async def test_many_starts_at_once_get_places_of_their_own(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await asyncio.gather(*(rig.add(f"job-{n}") for n in range(20)))
    assert len({job.position for job in await downloader.list()}) == 20


async def test_a_canceled_film_can_be_started_anew_under_another_id(rig: Rig) -> None:
    downloader = rig.make()
    old = await rig.bring(CANCELED)
    new = await downloader.start(id="b", source_urn=old.source.urn)
    assert new.key != old.key
    assert (await downloader.status("a")).status is CANCELED


@pytest.mark.parametrize(
    ("status", "expected"),
    [(QUEUED, [QUEUED]), (ACTIVE, [ACTIVE]), (PAUSED, GOES_ON), (FAILED, GOES_ON),
     (COMPLETED, [COMPLETED]), (CANCELED, [])],
)  # fmt: skip
async def test_an_id_alone_starts_a_known_job_again(
    rig: Rig, status: Status, expected: list[Status]
) -> None:
    downloader = rig.make(max_active=0 if status is QUEUED else 3)
    await rig.bring(status)
    if expected:
        assert (await downloader.start({"id": "a"})).status in expected
        return
    with pytest.raises(IllegalTransition, match="is canceled and cannot become queued"):
        await downloader.start({"id": "a"})


async def test_an_unknown_id_alone_needs_a_source(rig: Rig) -> None:
    with pytest.raises(InvalidRequest, match="There is no job 'a' yet") as refused:
        await rig.make().start(id="a")
    assert refused.value.field == "sourceUrn"


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        ({"source_urn": "mock:?what=1"}, InvalidSource),
        ({"source_urn": "x", "source_type": "ftp"}, UnsupportedSource),
        ({"source_urn": "x", "id": "../x"}, InvalidRequest),
        ({"source_urn": "x", "files": []}, InvalidRequest),
        ({}, InvalidRequest),
    ],
)  # fmt: skip
async def test_a_wrong_start_leaves_no_job(
    rig: Rig, wishes: dict[str, Any], kind: type[InvalidRequest]
) -> None:
    downloader = rig.make()
    with pytest.raises(kind):
        await downloader.start(wishes)
    assert (list(await downloader.list()), await history(downloader)) == ([], [])


async def test_a_source_type_without_a_driver_is_refused_and_the_others_told(rig: Rig) -> None:
    rig.make()
    downloader = rig.make(drivers={SourceType.TORRENT: rig.driver})
    with pytest.raises(UnsupportedSource, match="it has: torrent"):
        await downloader.start(id="a", source_type="youtube", source_urn="https://x.example/v")


async def test_jobs_whose_driver_is_gone_can_still_be_given_up(rig: Rig) -> None:
    rig.make(max_active=0)
    await rig.add("a", source_type="http")
    await rig.add("b", source_type="http")
    downloader = await rig.restart(max_active=0, drivers={})
    assert (await downloader.cancel("a")).status is CANCELED
    await downloader.remove("b")
    assert [job.id for job in await downloader.list()] == ["a"]


async def test_pause_has_stopped_the_driver_when_it_returns(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(ACTIVE)
    assert rig.pace.sleepers == 1
    job = await downloader.pause("a")
    assert (rig.pace.sleepers, job.progress.download_speed, job.progress.phase) == (0, 0, None)


async def test_a_resumed_job_goes_on_where_it_was_paused(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring_half()
    paused = await downloader.pause("a")
    await downloader.resume("a")
    active = await rig.reach_active()
    assert active.progress.bytes_downloaded == paused.progress.bytes_downloaded == 500
    rig.pace.flow()
    assert (await downloader.wait("a")).status is COMPLETED
    assert (await history(downloader, "a")).count("metadata") == 1


async def test_cancel_deletes_the_unfinished_data_and_nothing_brings_the_job_back(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(ACTIVE)
    await downloader.cancel("a")
    assert (rig.driver.removed, rig.pace.sleepers) == ([("a", False)], 0)
    downloader = await rig.restart()
    assert (await downloader.status("a")).status is CANCELED
    await idle()
    assert rig.pace.sleepers == 0


async def test_cancel_never_deletes_a_finished_film(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(COMPLETED)
    assert (await downloader.cancel("a")).status is COMPLETED
    assert rig.driver.removed == []


@pytest.mark.parametrize("delete_files", [True, False])
@pytest.mark.parametrize("status", list(Status))
async def test_remove_takes_a_job_of_any_status_from_the_list(
    rig: Rig, status: Status, delete_files: bool
) -> None:
    downloader = rig.make(max_active=0 if status is QUEUED else 3)
    await rig.bring(status)
    rig.driver.removed.clear()
    await downloader.remove("a", delete_files=delete_files)
    assert rig.driver.removed == [("a", delete_files)]
    assert rig.pace.sleepers == 0
    with pytest.raises(JobNotFound):
        await downloader.status("a")
    assert (await history(downloader, "a"))[-1] == "removed"
    downloader = await rig.restart()
    assert list(await downloader.list()) == []


async def test_a_removed_film_can_be_started_anew_under_its_old_id(rig: Rig) -> None:
    downloader = rig.make()
    old = await rig.bring(COMPLETED)
    await downloader.remove("a")
    new = await downloader.start(id="a", source_urn=old.source.urn)
    assert new.key != old.key


async def test_verbs_of_one_job_take_turns_and_leave_a_history_that_explains_it(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(ACTIVE)
    verbs = itertools.islice(itertools.cycle([downloader.pause, downloader.resume]), 20)
    await asyncio.gather(*(verb("a") for verb in verbs))
    await downloader.pause("a")
    changes = await downloader.changes_since(0, "a")
    job = await downloader.status("a")
    assert (changes[-1].status, job.status) == (PAUSED, PAUSED)
    assert rig.pace.sleepers == 0
    seqs = [change.seq for change in changes]
    assert seqs == sorted(set(seqs))


async def test_a_verb_is_finished_even_if_its_caller_goes_away(rig: Rig) -> None:
    downloader = rig.make()
    for verb, status in ((downloader.pause, PAUSED), (downloader.cancel, CANCELED)):
        job_id = str(status)
        rig.pace.hold()
        await rig.add(job_id)
        await reach(downloader, job_id, ACTIVE)
        task = asyncio.create_task(verb(job_id))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await reach(downloader, job_id, status)
    await downloader.remove(str(PAUSED))
    assert rig.pace.sleepers == 0


async def test_a_start_is_finished_even_if_its_caller_goes_away(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store, max_active=0)
    await downloader.open()
    store.holding = True
    task = asyncio.create_task(rig.add("a"))
    await idle()
    task.cancel()
    await asyncio.wait([task])
    await store.held[0].release()
    assert (await downloader.status("a")).status is QUEUED


@pytest.mark.parametrize("verb", ["pause", "cancel", "remove"])
async def test_a_verb_that_cannot_be_stored_changes_nothing(rig: Rig, verb: str) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    before = await rig.bring(ACTIVE)
    store.failing = 1
    with pytest.raises(StoreError):
        await getattr(downloader, verb)("a")
    assert await downloader.status("a") == before
    assert (rig.pace.sleepers, rig.driver.removed) == (1, [])


async def test_the_data_of_a_failed_job_stays_if_its_removal_cannot_be_stored(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    before = await rig.bring(FAILED)
    store.failing = 1
    with pytest.raises(StoreError):
        await downloader.remove("a")
    assert (await downloader.status("a"), rig.driver.removed) == (before, [])


async def test_a_failed_job_whose_data_is_gone_is_not_tried_again_though_it_could_not_be_removed(
    rig: Rig,
) -> None:
    class Keeping(GatedStore):
        async def delete(self, job: Job, change: Change) -> int:
            raise StoreError("The disk is full.")

    downloader = rig.make(store=Keeping())
    await rig.bring(FAILED)
    with pytest.raises(StoreError):
        await downloader.remove("a")
    assert (await downloader.status("a")).status is CANCELED
    assert rig.driver.removed == [("a", False)]
    with pytest.raises(IllegalTransition):
        await downloader.start(id="a")


async def test_a_start_that_cannot_be_stored_leaves_no_job_and_can_be_repeated(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await downloader.open()
    store.failing = 1
    with pytest.raises(StoreError):
        await rig.add("a")
    assert list(await downloader.list()) == []
    assert (await rig.add("a")).id == "a"

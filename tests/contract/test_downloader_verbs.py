"""What the verbs promise beyond the happy path: adoption, peers, snapshots, checks, turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chilly_movies.drivers.mock.driver import mock_bytes
from chilly_movies.errors import (
    DuplicateDownload,
    EngineError,
    FilmDamaged,
    IdInUse,
    IllegalTransition,
    InvalidRequest,
    JobNotFound,
    NotReadable,
)
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
    Phase,
    Report,
    Source,
    SourceFacts,
    SourceType,
    Status,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.storage.memory import MemoryJobStore
from tests.contract.rig import SCRIPT, NotingDriver, Rig, reach, reach_when
from tests.doubles import GatedStore, idle, until

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """In memory only: nothing here depends on the store."""
    rig = Rig("memory", tmp_path)
    yield rig
    await rig.aclose()


class Checker(NotingDriver):
    """A mock driver whose checks last until time flows.

    Attributes:
        checks: how many checks go on.
        runs: how many runs of any kind go on.
        started: how many there were.
        damaged: what a check finds.
    """

    checks = runs = started = 0
    damaged = False

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Play the script; of a job that stands still, only a check."""
        self.runs += 1
        self.started += 1
        try:
            if check and self.damaged:
                raise FilmDamaged("Some bytes are wrong.")
            if not check or job.is_running:
                async for report in super().run(job, check=check):
                    yield report
                return
            self.checks += 1
            try:
                yield Report(replace(job.progress, phase=Phase.CHECKING))
                await self._sleep(1.0)
            finally:
                self.checks -= 1
        finally:
            self.runs -= 1


async def under_check(rig: Rig, status: Status) -> Checker:
    """A job that stands still while its data is compared with its hashes."""
    driver = Checker(tick=1.0, sleep=rig.pace.sleep)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver))
    await rig.bring(status)
    await downloader.recheck("a")
    await until(lambda: driver.checks == 1)
    return driver


# --- adoption -------------------------------------------------------------------------------


async def test_what_was_there_is_adopted_under_its_path_and_completes(rig: Rig) -> None:
    downloader = rig.make()
    job = await downloader.adopt("Films/A Film", b"torrent", id="a", options=Options(seed_time=9))
    assert (job.id, job.status, job.path, job.adopted) == ("a", QUEUED, "Films/A Film", True)
    assert (job.source.type, job.source.urn, job.source.data) == (
        SourceType.TORRENT, "", b"torrent",
    )  # fmt: skip
    assert job.options == Options(seed_time=9, allow_executables=True, folder="Films")
    done = await downloader.wait("a")
    assert (done.status, done.path) == (COMPLETED, "Films/A Film")


async def test_an_adoption_without_an_id_gets_one_and_no_limits(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    first, second = [await downloader.adopt(name, name.encode()) for name in "ab"]
    assert first.id
    assert first.id != second.id
    assert first.options == Options(allow_executables=True)


async def test_an_adoption_is_checked_like_a_start(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    first = await downloader.adopt("Film.mkv", b"torrent", id="a")
    assert (await downloader.adopt("Film.mkv", b"torrent", id="a")).key == first.key
    with pytest.raises(DuplicateDownload):
        await downloader.adopt("Film.mkv", b"torrent", id="b")
    with pytest.raises(InvalidRequest):
        await downloader.adopt("../Film.mkv", b"another", id="c")
    with pytest.raises(InvalidRequest, match=r"at most 10\.4 MB"):
        await downloader.adopt("Film.mkv", bytes(10 * 2**20 + 1), id="d")
    assert [job.id for job in await downloader.list()] == ["a"]


class Reader(NotingDriver):
    """A driver to which capital letters in a source mean nothing."""

    def identify(self, source: Source) -> SourceFacts:
        """One film, however it is spelled."""
        return SourceFacts(identities=(f"film:{source.urn.lower()}",))


async def test_another_spelling_of_the_same_film_under_its_id_gives_the_job(rig: Rig) -> None:
    downloader = rig.make(drivers=dict.fromkeys(SourceType, Reader()), max_active=0)
    first = await downloader.start(id="a", source_urn="https://films.example/a")
    again = await downloader.start(id="a", source_urn="https://Films.example/A")
    assert (again.key, again.source) == (first.key, first.source)
    with pytest.raises(IdInUse):
        await downloader.start(id="a", source_urn="https://films.example/b")


async def test_a_job_that_goes_on_waiting_for_the_same_reason_is_left_alone(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await rig.add()
    told = await reach_when(downloader, "a", lambda job: job.reason)
    rig.clock.forward(60)
    await rig.add("another")
    await reach_when(downloader, "another", lambda job: job.reason)
    assert await downloader.status("a") == told


# --- questions ------------------------------------------------------------------------------


async def test_peers_are_those_of_the_jobs_own_driver(rig: Rig) -> None:
    downloader = rig.make()
    job = await rig.bring_half()
    assert await downloader.peers("a") == await rig.driver.peers(job)
    assert len(await downloader.peers("a")) == rig.driver._script.peers
    with pytest.raises(JobNotFound):
        await downloader.peers("b")


async def test_a_job_whose_driver_is_gone_has_no_peers(rig: Rig) -> None:
    rig.make()
    await rig.bring(ACTIVE)
    downloader = await rig.restart(drivers={})
    assert await downloader.peers("a") == ()


async def test_a_snapshot_tells_the_present_state_of_all_jobs_or_of_one(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    for job_id in "ab":
        await rig.add(job_id)
    jobs = await downloader.list()
    for asked, told in [(None, jobs), ("b", [jobs[1]])]:
        snapshot = await downloader.snapshot(asked)
        assert [change.job for change in snapshot] == told
        for change in snapshot:
            assert (change.event, change.durable) == ("snapshot", False)
            assert change.seq == downloader.last_seq


# --- settings that are left out -------------------------------------------------------------


async def test_a_downloader_left_to_itself_runs_three_jobs_and_retries_by_the_default(
    rig: Rig,
) -> None:
    driver = NotingDriver(tick=1.0, sleep=rig.pace.sleep)
    rig.pace.hold()
    async with Downloader(dict.fromkeys(SourceType, driver), MemoryJobStore()) as downloader:
        await downloader.start(id="bad", source_urn="mock:?fail=source_unavailable&failAt=0")
        rig.pace.flow()
        job = await reach_when(downloader, "bad", lambda job: job.next_attempt_at)
        rig.pace.hold()
        assert job.next_attempt_at is not None
        wait = job.next_attempt_at - datetime.now(UTC)
        assert timedelta(seconds=-60) < wait <= timedelta(seconds=RetryPolicy().base)
        for job_id in "abcd":
            await downloader.start(id=job_id, source_urn=f"https://films.example/{job_id}")
        await until(lambda: rig.pace.sleepers == 3)
        await idle()
        active = [job.id for job in await downloader.list() if job.status is ACTIVE]
        assert active == ["a", "b", "c"]


# --- reading and choosing -------------------------------------------------------------------


async def test_a_file_of_a_queued_job_can_be_read_before_it_gets_a_slot(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await rig.add()
    async with downloader.listen("a") as changes:
        async with downloader.open_file("a", 0) as reader:
            assert await reader.read(0, 100) == mock_bytes(0, 100)
        told = [await anext(changes)]
        while told[-1].news != {"index": 0, "readers": 0}:
            told.append(await anext(changes))
    assert "stream" in [change.event for change in told]


async def test_a_paused_job_is_read_only_if_it_may_be_resumed(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(PAUSED)
    with pytest.raises(NotReadable):
        async with downloader.open_file("a"):
            pass
    rig.pace.flow()
    async with downloader.open_file("a", resume=True) as reader:
        assert await reader.read(500, 9) == mock_bytes(500, 9)


async def test_files_tell_how_far_they_are_and_what_was_chosen(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring_half()
    assert await downloader.files("a") == (FileStanding(0, 500, 4),)
    job = await downloader.choose_files("a", {0: 7})
    assert job.options.priorities == ((0, 7),)
    assert await downloader.files("a") == (FileStanding(0, 500, 7),)
    with pytest.raises(JobNotFound):
        await downloader.choose_files("b", {0: 7})


# --- turns ----------------------------------------------------------------------------------


async def test_a_verb_waits_until_the_start_that_is_being_stored_is_told(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(PAUSED)
    store.holding = True
    resuming = asyncio.create_task(downloader.resume("a"))
    await idle()
    await store.held[0].release()
    await resuming
    assert store.held[1].change.event == "started"
    pausing = asyncio.create_task(downloader.pause("a"))
    await idle()
    assert len(store.held) == 2, "the pause was decided before the start was stored"
    await store.held[1].release()
    await store.held[2].release()
    assert (await pausing).status is PAUSED
    assert rig.pace.sleepers == 0, "a paused job runs"


async def test_a_verb_of_one_job_does_not_hold_up_those_of_another(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store, max_active=0)
    for job_id in "ab":
        await rig.add(job_id)
    store.holding = True
    pausing = [asyncio.create_task(downloader.pause(job_id)) for job_id in "ab"]
    await idle()
    assert [held.change.id for held in store.held] == ["a", "b"]
    for held in tuple(store.held):
        await held.release()
    await asyncio.gather(*pausing)


# --- verbs during a check -------------------------------------------------------------------


async def test_pause_ends_the_check_of_a_paused_job(rig: Rig) -> None:
    driver = await under_check(rig, PAUSED)
    assert (await rig.downloader.pause("a")).status is PAUSED
    assert driver.checks == 0


@pytest.mark.parametrize("status", [PAUSED, FAILED])
async def test_resume_ends_the_check_before_the_job_runs_again(rig: Rig, status: Status) -> None:
    driver = await under_check(rig, status)
    await rig.downloader.resume("a")
    assert driver.checks == 0
    await reach(rig.downloader, "a", ACTIVE)
    await until(lambda: rig.pace.sleepers == 1)
    assert driver.runs == 1, "the job runs twice"


async def test_a_resume_that_is_refused_does_not_end_the_seeding(rig: Rig) -> None:
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=100.0))
    rig.pace.hold(after=6)
    await rig.add()
    await reach(downloader, "a", COMPLETED)
    await until(lambda: rig.pace.sleepers == 1)
    with pytest.raises(IllegalTransition):
        await downloader.resume("a")
    assert (await downloader.status("a")).seeding
    assert rig.pace.sleepers == 1


# --- moving ---------------------------------------------------------------------------------


async def test_a_move_takes_the_film_from_the_run_that_seeds_it_and_is_begun_once(
    rig: Rig,
) -> None:
    driver = Checker(replace(SCRIPT, seed_seconds=100.0), tick=1.0, sleep=rig.pace.sleep)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver))
    rig.pace.hold(after=6)
    await rig.add()
    await reach(downloader, "a", COMPLETED)
    await until(lambda: rig.pace.sleepers == 1)
    started = driver.started
    for _ in range(2):
        await downloader.move("a", "Films")
        await until(lambda: rig.pace.sleepers == 1)
        await idle()
        assert (driver.runs, driver.started) == (1, started + 1)


async def test_a_film_that_is_damaged_is_not_moved_and_it_is_said_why(rig: Rig) -> None:
    driver = Checker(replace(SCRIPT, seed_seconds=0.0), tick=1.0, sleep=rig.pace.sleep)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver))
    await rig.bring(COMPLETED)
    driver.damaged = True
    await downloader.recheck("a")
    await reach(downloader, "a", FAILED)
    with pytest.raises(IllegalTransition, match=r"^Job 'a' is failed: its film is not whole\.$"):
        await downloader.move("a", "Films")


# --- giving up ------------------------------------------------------------------------------


async def test_remove_leaves_the_film_unless_it_is_told_otherwise(rig: Rig) -> None:
    downloader = rig.make()
    for job_id, wish in [("a", {}), ("b", {"delete_files": False}), ("c", {"delete_files": True})]:
        rig.pace.flow()
        await rig.bring(COMPLETED, job_id)
        await downloader.remove(job_id, **wish)
    assert rig.driver.removed == [("a", False), ("b", False), ("c", True)]


async def test_a_job_under_the_id_of_a_removed_one_begins_with_fresh_patience(rig: Rig) -> None:
    downloader = rig.make()
    rig.driver.break_disk = True
    for attempt in range(2):
        await rig.add()
        job = await reach_when(downloader, "a", lambda job: job.next_attempt_at)
        assert job.next_attempt_at is not None
        wait = (job.next_attempt_at - rig.clock.now).total_seconds()
        assert wait == 2.0, f"attempt {attempt}: the trouble of a removed job counted"
        await downloader.remove("a")


# --- closing and saving ---------------------------------------------------------------------


async def test_every_driver_is_closed_once(rig: Rig) -> None:
    one, other = NotingDriver(), NotingDriver()
    first, *rest = SourceType
    downloader = rig.make(drivers={first: one, **dict.fromkeys(rest, other)})
    await downloader.open()
    await downloader.aclose()
    assert (one.closed, other.closed) == (1, 1)


async def test_whoever_comes_after_the_close_is_told_in_a_plain_sentence(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(PAUSED)
    waiting = asyncio.create_task(downloader.wait("a"))
    await idle()
    await downloader.aclose()
    for late in (waiting, downloader.status("a"), downloader.open()):
        with pytest.raises(EngineError, match=r"^This downloader is closed\.$"):
            await late


async def test_closing_again_writes_nothing(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring_half()
    await downloader.aclose()
    written = len(store.saved)
    await downloader.aclose()
    assert len(store.saved) == written


async def test_figures_are_stored_again_and_again_while_a_job_runs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chilly_movies.jobs.downloader._SAVE_INTERVAL", 0.001)
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring_half()
    await until(lambda: figures(store) == [500])
    store.failing = 1  # what could not be written is written the next time
    rig.pace.flow()
    rig.pace.hold()
    await until(lambda: figures(store) == [750])
    assert (store.failing, (await downloader.status("a")).status) == (0, ACTIVE)


def figures(store: GatedStore) -> list[int]:
    """How many bytes the jobs of the newest bulk write have."""
    return [job.progress.bytes_downloaded for jobs in store.saved[-1:] for job in jobs]

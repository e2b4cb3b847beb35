"""What every job store promises, and what only one that is opened again can promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest

from chilly_movies.errors import JobLost
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Figures, Moved
from chilly_movies.jobs.models import (
    FurtherSource,
    Job,
    JobError,
    MediaFile,
    Phase,
    Progress,
    Source,
    SourceType,
    Status,
    TrackerChoice,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import JobStore, ResumeStore
from chilly_movies.jobs.secrets import Secret
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore

pytestmark = pytest.mark.anyio

NOON = datetime(2030, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)

SECRET = Secret("ü", "p", (("sid", "1"),), (("X-Token", "t"),))
FULL_JOB = Job(
    id="película/✓ '\"%\\ \x01",
    key="k-full",
    source=Source(SourceType.TORRENT, "magnet:?xt=urn:btih:" + "a" * 40, b"d4:info\x00\xffe"),
    position=7,
    fraction="8c",
    created_at=NOON,
    updated_at=NOON + timedelta(seconds=1),
    status=Status.COMPLETED,
    progress=Progress(
        percent=99.5,
        bytes_downloaded=2**41,
        bytes_total=2**42,
        download_speed=11,
        upload_speed=12,
        time_remaining=13,
        peers=14,
        seeds=15,
        ratio=1.0625,
        phase=Phase.SEEDING,
        needs=16,
    ),
    options=Options(files=(0, 3), download_limit=0, upload_limit=5, seed_ratio=1.5, seed_time=3600),
    reason="Nobody has the rest.",
    name="Añejo ✓",
    identities=("btih:" + "a" * 40, "btmh:" + "b" * 64),
    files=(MediaFile(0, "Añejo/film.mkv", 2**42), MediaFile(3, "Añejo/x.txt", 0, wanted=False)),
    path="Añejo",
    moving_to="Films/Añejo",
    seeding=True,
    adopted=True,
    started_at=NOON + timedelta(seconds=2),
    completed_at=NOON + timedelta(seconds=3),
    attempts=4,
    next_attempt_at=NOON + timedelta(seconds=5),
    error=JobError("network_error", "Kein Anschluß."),
    labels={"category": "películas ✓", "empty": ""},
    trackers=TrackerChoice((("https://a.example/ü", 3),), ("udp://b.example:1",)),
    counted=Figures(2**41, 2**42, 3, 4, 5, NOON + timedelta(seconds=6)),
    owner="node-1",
    epoch=3,
    mirrors=(FurtherSource(Source(SourceType.HTTP, "https://a.example/ü"), "sha256:0", 7),),
    candidates=(FurtherSource(Source(SourceType.HTTP, "https://b.example/", None, SECRET)),),
    active_source=Source(SourceType.HTTP, "https://b.example/", None, SECRET),
    spent=("torrent magnet:?x", "http https://c.example/"),
    again=("http https://c.example/",),
    left=Figures(1, 2, 2, 3, 4, NOON + timedelta(seconds=4)),
    generation=2,
)


def make_job(name: str = "a", position: int = 0) -> Job:
    return Job(
        id=name,
        key=f"key-{name}",
        source=Source(SourceType.HTTP, f"https://films.example/{name}"),
        position=position,
        created_at=NOON,
        updated_at=NOON,
    )


async def record(store: JobStore, seq: int, job: Job, event: str = "queued") -> None:
    """Add or change a job; `seq` is the number that this must get."""
    there = known.setdefault(store, set())
    write = store.record if job.id in there else store.add
    there.add(job.id)
    assert await write(job, Change.of(seq - 1, event, job)) == seq


known: WeakKeyDictionary[JobStore, set[str]] = WeakKeyDictionary()
"""The ids of the jobs in each store."""


async def remove(store: JobStore, seq: int, job: Job) -> None:
    known.get(store, set()).discard(job.id)
    assert await store.delete(job, Change.of(seq - 1, "removed", job)) == seq


async def load_jobs(store: JobStore) -> list[Job]:
    return list((await store.load()).jobs)


async def seqs(store: JobStore, after: int = 0, job_id: str | None = None) -> list[int]:
    return [change.seq for change in await store.changes_since(after, job_id)]


@pytest.fixture(params=["memory", "sqlite"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[JobStore, ResumeStore]]:
    jobs: JobStore
    resume: ResumeStore
    if request.param == "sqlite":
        jobs, resume = open_stores(tmp_path / "chilly.db")
    else:
        memory = MemoryResumeStore()
        jobs, resume = MemoryJobStore(memory), memory
    await jobs.load()
    yield jobs, resume
    await jobs.aclose()


@pytest.fixture
def store(stores: tuple[JobStore, ResumeStore]) -> JobStore:
    return stores[0]


async def test_a_new_store_is_empty(store: JobStore) -> None:
    loaded = await store.load()
    assert (loaded.jobs, loaded.last_seq) == ((), 0)
    assert await store.changes_since(0) == []


def test_the_full_job_differs_from_a_fresh_one_in_every_field() -> None:
    fresh = make_job()
    same = [f.name for f in fields(Job) if getattr(fresh, f.name) == getattr(FULL_JOB, f.name)]
    assert same == ["created_at"]
    assert None not in [getattr(FULL_JOB, f.name) for f in fields(Job)]


@pytest.mark.parametrize("job", [FULL_JOB, make_job()], ids=["full", "fresh"])
async def test_every_field_of_a_job_comes_back(store: JobStore, job: Job) -> None:
    await record(store, 1, job)
    assert await load_jobs(store) == [job]


async def test_what_is_secret_of_each_source_comes_back(store: JobStore) -> None:
    source = replace(FULL_JOB.source, secret=SECRET)
    await record(store, 1, replace(FULL_JOB, source=source))
    [job] = await load_jobs(store)
    sources = [job.source, *(one.source for one in (*job.candidates, *job.mirrors))]
    assert [one.secret for one in sources] == [SECRET, SECRET, None]
    assert job.active_source is not None
    assert job.active_source.secret == SECRET


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("kind", list(SourceType))
async def test_every_status_and_source_type_comes_back(
    store: JobStore, status: Status, kind: SourceType
) -> None:
    job = replace(make_job(), status=status, source=Source(kind, "x"))
    await record(store, 1, job)
    assert await load_jobs(store) == [job]


async def test_times_of_any_zone_come_back_as_the_same_instant(store: JobStore) -> None:
    job = replace(make_job(), started_at=NOON.astimezone(timezone(timedelta(hours=-7))))
    await record(store, 1, job)
    [loaded] = await load_jobs(store)
    assert loaded.started_at == NOON
    assert loaded.started_at is not None
    assert loaded.started_at.tzinfo is not None


async def test_jobs_come_back_in_queue_order(store: JobStore) -> None:
    for seq, (name, position) in enumerate([("a", 30), ("b", -1), ("c", 2**40), ("d", 2)], 1):
        await record(store, seq, make_job(name, position))
    assert [job.id for job in await load_jobs(store)] == ["b", "d", "a", "c"]


async def test_jobs_of_one_position_come_by_age_and_then_by_id(store: JobStore) -> None:
    older = NOON - timedelta(hours=1)
    await record(store, 1, make_job("d"))
    await record(store, 2, make_job("c"))
    await record(store, 3, replace(make_job("z"), created_at=older))
    await record(store, 4, make_job("b", -1))
    assert [job.id for job in await load_jobs(store)] == ["b", "z", "c", "d"]


async def test_recording_a_known_job_replaces_it(store: JobStore) -> None:
    await record(store, 1, make_job("a"))
    await record(store, 2, make_job("b", 1))
    changed = replace(FULL_JOB, id="a", key="key-a", position=0, epoch=0)
    await record(store, 3, changed, "completed")
    assert await load_jobs(store) == [changed, make_job("b", 1)]


async def test_a_durable_change_comes_back_without_its_job(store: JobStore) -> None:
    await record(store, 5, FULL_JOB, "error")
    [change] = await store.changes_since(0)
    assert (change.seq, change.event, change.id) == (5, "error", FULL_JOB.id)
    assert (change.status, change.progress) == (FULL_JOB.status, FULL_JOB.progress)
    assert (change.error, change.reason) == (FULL_JOB.error, FULL_JOB.reason)
    assert (change.at, change.durable, change.job) == (FULL_JOB.updated_at, True, None)
    assert (change.name, change.labels) == (FULL_JOB.name, FULL_JOB.labels)


async def test_a_change_keeps_the_figures_of_its_own_time(store: JobStore) -> None:
    await record(store, 1, make_job())
    await record(store, 2, replace(make_job(), progress=Progress(percent=50.0)))
    changes = await store.changes_since(0)
    assert [change.progress.percent for change in changes] == [0.0, 50.0]


async def test_changes_since_excludes_the_number_given(store: JobStore) -> None:
    for seq in (2, 4, 6):
        await record(store, seq, make_job())
    assert await seqs(store, 1) == [2, 4, 6]
    assert await seqs(store, 2) == [4, 6]
    assert await seqs(store, 5) == [6]
    assert await seqs(store, 6) == []


async def test_changes_can_be_those_of_one_job(store: JobStore) -> None:
    for seq in range(1, 7):
        await record(store, seq, make_job("a" if seq % 2 else "b"))
    assert await seqs(store, 0, "a") == [1, 3, 5]
    assert await seqs(store, 3, "b") == [4, 6]
    assert await seqs(store, 0, "unknown") == []


async def test_a_limit_keeps_the_oldest_changes(store: JobStore) -> None:
    for seq in range(1, 7):
        await record(store, seq, make_job("a" if seq % 2 else "b"))
    assert [change.seq for change in await store.changes_since(1, limit=3)] == [2, 3, 4]
    assert [change.seq for change in await store.changes_since(0, "b", limit=2)] == [2, 4]


async def test_a_thousand_changes_are_given_at_once_and_no_more(store: JobStore) -> None:
    await record(store, 1, make_job())
    async with asyncio.TaskGroup() as group:
        for _ in range(2, 1003):
            group.create_task(store.record(make_job(), Change.of(0, "paused", make_job())))
    assert await seqs(store) == list(range(1, 1001))
    assert await seqs(store, 1000) == [1001, 1002]


async def test_numbers_begin_at_one_and_rise_by_one(store: JobStore) -> None:
    job = make_job()
    assert await store.add(job, Change.of(0, "queued", job)) == 1
    assert await store.record(job, Change.of(0, "paused", job)) == 2
    assert await store.delete(job, Change.of(1, "removed", job)) == 3
    assert await seqs(store) == [1, 2, 3]


async def test_a_number_is_above_the_one_the_caller_knows(store: JobStore) -> None:
    job = make_job()
    assert await store.add(job, Change.of(500, "queued", job)) == 501
    assert await store.record(job, Change.of(3, "paused", job)) == 502
    assert (await store.load()).last_seq == 502


async def test_save_progress_touches_progress_figures_reason_and_updated_at_only(
    store: JobStore,
) -> None:
    before = replace(FULL_JOB, id="a", key="key-a", position=0, epoch=0)
    await record(store, 1, before)
    await record(store, 2, make_job("b", 1))
    moved = replace(
        make_job("a", 99),
        progress=Progress(percent=60.0, phase=Phase.CHECKING),
        counted=Figures(uploaded=1, seconds_active=2, last_activity_at=NOON),
        reason=None,
        updated_at=NOON + timedelta(minutes=1),
    )
    await store.save_progress([moved])
    expected = replace(
        before,
        progress=moved.progress,
        counted=moved.counted,
        reason=moved.reason,
        updated_at=moved.updated_at,
    )
    assert await load_jobs(store) == [expected, make_job("b", 1)]
    assert await seqs(store) == [1, 2]


async def test_totals_come_back_as_they_were_saved_last(store: JobStore) -> None:
    assert (await store.load()).totals is None
    for number in (1, 2):
        await store.save_totals(Moved(NOON, number, 2**60, 3))
    assert (await store.load()).totals == Moved(NOON, 2, 2**60, 3)


async def test_save_progress_saves_many_jobs_at_once(store: JobStore) -> None:
    jobs = [make_job(f"{number:03}", number) for number in range(100)]
    for seq, job in enumerate(jobs, 1):
        await record(store, seq, job)
    moved = [replace(job, progress=Progress(percent=float(job.position))) for job in jobs]
    await store.save_progress(moved)
    assert await load_jobs(store) == moved


async def test_save_progress_skips_unknown_ids_and_names_them(store: JobStore) -> None:
    await record(store, 1, make_job("a"))
    moved = replace(make_job("a"), reason="No peers.")
    assert await store.save_progress([make_job("gone"), moved, make_job("never")]) == {
        "gone", "never",
    }  # fmt: skip
    assert await store.save_progress([moved]) == frozenset()
    assert await load_jobs(store) == [moved]


async def test_a_job_cannot_be_added_twice(store: JobStore) -> None:
    await record(store, 1, make_job())
    with pytest.raises(JobLost):
        await store.add(replace(FULL_JOB, id="a"), Change.of(1, "queued", make_job()))
    assert (await load_jobs(store), await seqs(store)) == ([make_job()], [1])


async def test_a_job_that_is_gone_is_not_written_back(store: JobStore) -> None:
    await record(store, 1, make_job())
    await remove(store, 2, make_job())
    with pytest.raises(JobLost):
        await store.record(make_job(), Change.of(2, "paused", make_job()))
    assert (await load_jobs(store), await seqs(store)) == ([], [1, 2])


async def test_nothing_is_written_under_an_older_epoch(store: JobStore) -> None:
    taken = replace(make_job(), epoch=2, owner="other")
    await record(store, 1, taken)
    for epoch in (0, 1, 3):
        frozen = replace(make_job(), epoch=epoch, progress=Progress(percent=50.0))
        change = Change.of(1, "paused", frozen)
        with pytest.raises(JobLost):
            await store.record(frozen, change)
        with pytest.raises(JobLost):
            await store.delete(frozen, change)
        assert await store.save_progress([frozen]) == {"a"}
    assert (await load_jobs(store), await seqs(store)) == ([taken], [1])
    await record(store, 2, taken, "paused")


async def test_save_progress_draws_no_number(store: JobStore) -> None:
    await record(store, 1, make_job())
    for jobs in ([], [make_job()]):
        await store.save_progress(jobs)
    assert (await store.load()).last_seq == 1
    await record(store, 2, make_job())


async def test_delete_takes_one_job_and_keeps_the_others(store: JobStore) -> None:
    for seq, name in enumerate("abc", 1):
        await record(store, seq, make_job(name, seq))
    await remove(store, 4, make_job("b"))
    assert [job.id for job in await load_jobs(store)] == ["a", "c"]


async def test_delete_keeps_the_changes_and_adds_its_own(store: JobStore) -> None:
    await record(store, 1, make_job("a"))
    await record(store, 2, make_job("b"))
    await remove(store, 3, make_job("a"))
    changes = await store.changes_since(0, "a")
    assert [(change.seq, change.event) for change in changes] == [(1, "queued"), (3, "removed")]
    assert changes[-1].job is None


async def test_delete_drops_the_resume_data_of_that_job_only(
    stores: tuple[JobStore, ResumeStore],
) -> None:
    jobs, resume = stores
    for seq, name in enumerate("ab", 1):
        await record(jobs, seq, make_job(name))
        await resume.save_resume(f"key-{name}", name.encode())
    await remove(jobs, 3, make_job("a"))
    assert await resume.load_resume("key-a") is None
    assert await resume.load_resume("key-b") == b"b"


async def test_deleting_an_unknown_job_records_the_change(store: JobStore) -> None:
    await remove(store, 1, make_job("never"))
    assert await seqs(store) == [1]


async def test_an_id_can_be_used_again_after_delete(store: JobStore) -> None:
    await record(store, 1, FULL_JOB)
    await remove(store, 2, FULL_JOB)
    again = replace(make_job(FULL_JOB.id), key="another")
    await record(store, 3, again)
    assert await load_jobs(store) == [again]


async def test_last_seq_is_the_highest_number_ever_seen(store: JobStore) -> None:
    async def last_seq() -> int:
        return (await store.load()).last_seq

    await record(store, 3, make_job("a"))
    assert await last_seq() == 3
    await record(store, 11, make_job("a"))
    assert await last_seq() == 11
    await remove(store, 12, make_job("a"))
    assert await last_seq() == 12


async def test_64_tasks_can_write_at_once_and_are_answered_in_the_order_of_their_numbers(
    store: JobStore,
) -> None:
    served: list[tuple[int, int]] = []

    async def write(place: int) -> None:
        job = make_job(f"job-{place}", place)
        served.append((await store.add(job, Change.of(0, "queued", job)), place))
        served.append((await store.record(job, Change.of(0, "paused", job)), place))
        if place % 2:
            served.append((await store.delete(job, Change.of(0, "removed", job)), place))

    async with asyncio.TaskGroup() as group:
        for place in range(1, 65):
            group.create_task(write(place))
    assert [seq for seq, _ in served] == list(range(1, 161))
    told = [(change.seq, change.id) for change in await store.changes_since(0)]
    assert told == [(seq, f"job-{place}") for seq, place in served]
    assert [job.position for job in await load_jobs(store)] == list(range(2, 65, 2))


async def test_the_last_of_many_writers_to_one_job_wins(store: JobStore) -> None:
    await record(store, 1, make_job())
    async with asyncio.TaskGroup() as group:
        for attempts in range(1, 65):
            job = replace(make_job(), attempts=attempts)
            group.create_task(store.record(job, Change.of(1, "retrying", job)))
    [job] = await load_jobs(store)
    assert job.attempts == 64


async def test_closing_twice_is_fine(store: JobStore) -> None:
    await store.aclose()
    await store.aclose()


async def test_sqlite_keeps_everything_when_it_is_opened_again(tmp_path: Path) -> None:
    first, _ = open_stores(tmp_path / "chilly.db")
    await first.load()
    await record(first, 4096, FULL_JOB)
    await first.aclose()

    second, _ = open_stores(tmp_path / "chilly.db")
    loaded = await second.load()
    assert (loaded.jobs, loaded.last_seq) == ((FULL_JOB,), 4096)
    assert [change.seq for change in await second.changes_since(0)] == [4096]
    assert await second.record(FULL_JOB, Change.of(0, "paused", FULL_JOB)) == 4097
    await second.aclose()


async def test_a_store_tells_whether_whoever_had_it_before_closed_it(store: JobStore) -> None:
    left_open = await store.load()
    assert (left_open.unclean, left_open.rebooted) == (True, False)
    await store.aclose()
    closed = await store.load()
    assert (closed.unclean, closed.rebooted) == (False, False)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_store_that_nobody_had_before_was_not_left_open(tmp_path: Path, kind: str) -> None:
    store: JobStore = MemoryJobStore() if kind == "memory" else open_stores(tmp_path / "a.db")[0]
    loaded = await store.load()
    await store.aclose()
    assert (loaded.unclean, loaded.rebooted) == (False, False)


@pytest.mark.parametrize("closed", [True, False])
async def test_sqlite_tells_whether_the_machine_was_started_anew_since_a_stop_in_disorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    first, _ = open_stores(tmp_path / "chilly.db")
    assert (await first.load()).unclean is False
    if closed:
        await first.aclose()
    monkeypatch.setattr("chilly_movies.storage.jobs.boot_id", lambda: "another start")
    second, _ = open_stores(tmp_path / "chilly.db")
    loaded = await second.load()
    assert (loaded.unclean, loaded.rebooted) == (not closed, not closed)
    await second.aclose()
    await first.aclose()

"""The SQLite store while it runs: locks, full disks, bad values, batches, threads, kill -9."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, event, func, select, update

from chilly_movies.errors import StoreError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job
from chilly_movies.storage import followers as followers_module
from chilly_movies.storage.jobs import SqliteJobStore, SqliteResumeStore, open_stores
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import RESERVED_SEQ, events, jobs, meta
from tests.integration.sqlite_tools import (
    NOON,
    assert_is_plain,
    make_job,
    meta_names,
    opened,
    record,
    set_meta,
    store_threads,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "chilly.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with opened(path) as database:
        yield database


@pytest.fixture
def store(database: Database) -> SqliteJobStore:
    return SqliteJobStore(database)


async def add(store: SqliteJobStore, job: Job) -> int:
    return await store.add(job, Change.of(0, "queued", job))


@asynccontextmanager
async def busy_writer(database: Database) -> AsyncIterator[None]:
    """Keeps the thread of the database occupied, so that all calls made inside share a batch."""
    loop, started, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def occupy(_connection: Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait(30)

    busy = asyncio.ensure_future(database.call(occupy))
    try:
        await started.wait()
        yield
    finally:
        release.set()
        await asyncio.gather(busy, return_exceptions=True)


# --- trouble while it runs ----------------------------------------------------------------------


async def test_a_locked_database_is_a_store_error_and_the_next_write_works(
    path: Path, store: SqliteJobStore
) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="in use") as caught:
            await record(store, 1, make_job("a"))
        other.rollback()
    assert_is_plain(caught.value, path)
    await record(store, 2, make_job("b"))
    assert [change.seq for change in await store.changes_since(0)] == [2]


async def test_a_full_disk_is_a_store_error_and_writes_work_again_with_space(
    path: Path, database: Database, store: SqliteJobStore
) -> None:
    resume = SqliteResumeStore(database)
    await record(store, 1, make_job("a"))

    def set_limit(pages: int) -> Callable[[Connection], None]:
        return lambda connection: connection.exec_driver_sql(
            f"PRAGMA max_page_count = {pages}"
        ).close()

    await database.call(set_limit(1))
    with pytest.raises(StoreError, match="full") as caught:
        await resume.save_resume("a", bytes(10**6))
    assert_is_plain(caught.value, path)
    await database.call(set_limit(10**6))
    await resume.save_resume("a", bytes(10**6))
    assert await resume.load_resume("a") == bytes(10**6)


@pytest.mark.parametrize(
    "job",
    [
        replace(make_job("bad"), name="\ud800"),
        replace(make_job("bad"), identities=("\ud800",)),
        replace(make_job("bad"), position=2**70),
        replace(make_job("bad"), created_at=NOON.replace(tzinfo=None)),
        replace(make_job("bad"), key="key-a"),
    ],
    ids=["text", "list", "number", "time", "key"],
)
async def test_a_value_that_cannot_be_kept_is_a_store_error(
    path: Path, store: SqliteJobStore, job: Job
) -> None:
    await record(store, 1, make_job("a"))
    with pytest.raises(StoreError) as caught:
        await store.add(job, Change.of(1, "queued", make_job("bad")))
    assert_is_plain(caught.value, path)
    assert (await store.load()).jobs == (make_job("a"),)
    assert [change.seq for change in await store.changes_since(0)] == [1]


async def test_what_is_in_a_row_is_in_no_error_not_even_for_a_log(store: SqliteJobStore) -> None:
    source = replace(make_job().source, urn="https://tracker.example/?passkey=correct-horse")
    await record(store, 1, make_job("a"))
    with pytest.raises(StoreError) as caught:
        await record(store, 2, replace(make_job("b"), key="key-a", source=source))
    error: BaseException | None = caught.value
    while error is not None:
        assert "passkey" not in str(error)
        error = error.__cause__ or error.__context__


async def test_the_number_of_a_change_that_failed_is_given_to_the_next(
    store: SqliteJobStore,
) -> None:
    await record(store, 1, make_job("a"))
    same_key = replace(make_job("b"), key="key-a")
    with pytest.raises(StoreError):
        await store.add(same_key, Change.of(1, "queued", same_key))
    await record(store, 2, make_job("b"))
    assert [change.id for change in await store.changes_since(0)] == ["a", "b"]


async def test_one_failing_call_does_not_fail_its_batch(database: Database) -> None:
    def fail(connection: Connection) -> None:
        set_meta("half")(connection)
        raise KeyError("a mistake of ours")

    async with busy_writer(database):
        calls = [asyncio.ensure_future(database.call(set_meta(name))) for name in "ab"]
        bad = asyncio.ensure_future(database.call(fail))
        twice = asyncio.ensure_future(database.call(set_meta("a")))
        calls.append(asyncio.ensure_future(database.call(set_meta("c"))))
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    with pytest.raises(KeyError):
        await bad
    with pytest.raises(StoreError):
        await twice
    assert await database.call(meta_names) == {"a", "b", "c"}


async def test_a_failed_commit_fails_its_whole_batch_and_no_other(database: Database) -> None:
    def spoil_the_commit(connection: Connection) -> None:
        connection.exec_driver_sql(
            "CREATE TABLE child (name REFERENCES meta (name) DEFERRABLE INITIALLY DEFERRED)"
        )
        connection.exec_driver_sql("INSERT INTO child VALUES ('nobody')")

    async with busy_writer(database):
        calls = [asyncio.ensure_future(database.call(set_meta(name))) for name in "ab"]
        calls.append(asyncio.ensure_future(database.call(spoil_the_commit)))
        await asyncio.sleep(0)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError] * 3
    assert len({id(result) for result in results}) == 3
    await database.call(set_meta("c"))
    assert await database.call(meta_names) == {"c"}


async def test_a_transaction_that_the_database_gave_up_fails_its_whole_batch(
    database: Database,
) -> None:
    def lose(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise sqlite3.OperationalError("what SQLite does when the disk breaks")

    async with busy_writer(database):
        calls = [asyncio.ensure_future(database.call(set_meta("a")))]
        calls.append(asyncio.ensure_future(database.call(lose)))
        calls.append(asyncio.ensure_future(database.call(set_meta("b"))))
        await asyncio.sleep(0)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError] * 3
    await database.call(set_meta("c"))
    assert await database.call(meta_names) == {"c"}


async def test_a_damaged_row_costs_one_job_and_not_the_start(
    database: Database, store: SqliteJobStore, caplog: pytest.LogCaptureFixture
) -> None:
    for seq, name in enumerate("abcd", 1):
        await record(store, seq, make_job(name, seq))

    def damage(connection: Connection) -> None:
        connection.execute(update(jobs).where(jobs.c.id == "a").values(files="[{"))
        connection.execute(update(jobs).where(jobs.c.id == "b").values(status="dancing"))
        connection.execute(update(events).where(events.c.id == 2).values(progress="?"))
        connection.exec_driver_sql("UPDATE jobs SET updated_at = 'noon' WHERE id = 'c'")

    await database.call(damage)
    assert [job.id for job in (await store.load()).jobs] == ["d"]
    assert [change.seq for change in await store.changes_since(0)] == [1, 3, 4]
    assert caplog.text.count("damaged row") == 4
    repaired = make_job("a", 1)
    await record(store, 5, repaired)
    assert repaired in (await store.load()).jobs


# --- what a start forgets -----------------------------------------------------------------------


async def test_a_start_keeps_the_newest_changes_only(
    store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in range(1, 21):
        await record(store, seq * 10, make_job())
    monkeypatch.setattr(followers_module, "KEPT_EVENTS", 5)
    loaded = await store.load()
    assert [change.seq for change in await store.changes_since(0)] == [160, 170, 180, 190, 200]
    assert loaded.last_seq == 200


async def test_a_start_drops_resume_data_without_a_job(
    database: Database, store: SqliteJobStore
) -> None:
    resume = SqliteResumeStore(database)
    await record(store, 1, make_job("a"))
    await resume.save_resume("key-a", b"kept")
    await resume.save_resume("key-gone", b"dropped")
    await store.load()
    assert await resume.load_resume("key-a") == b"kept"
    assert await resume.load_resume("key-gone") is None


async def test_last_seq_is_right_when_only_the_changes_know_it(
    database: Database, store: SqliteJobStore
) -> None:
    await record(store, 30, make_job())
    await database.call(
        lambda connection: connection.execute(update(meta).values(value="7")).close()
    )
    assert (await store.load()).last_seq == 30
    await record(store, 31, make_job())


async def test_numbers_begin_above_all_that_an_older_version_reserved_for_progress(
    database: Database, store: SqliteJobStore
) -> None:
    await record(store, 30, make_job())
    reserved = update(meta).where(meta.c.name == RESERVED_SEQ).values(value="10030")
    await database.call(lambda connection: connection.execute(reserved).close())
    assert (await store.load()).last_seq == 10_030
    await record(store, 10_031, make_job())


async def test_numbers_are_not_given_again_when_the_newest_changes_are_lost(
    database: Database, store: SqliteJobStore
) -> None:
    await record(store, 30, make_job())
    await store.load()
    await database.call(lambda connection: connection.execute(delete(events)).close())
    assert (await store.load()).last_seq == 30
    assert await store.record(make_job(), Change.of(0, "paused", make_job())) == 31


# --- threads, batches, cancellation -------------------------------------------------------------


async def test_waiting_calls_share_one_commit(database: Database, store: SqliteJobStore) -> None:
    commits: list[Connection] = []
    async with busy_writer(database):
        calls = [asyncio.ensure_future(add(store, make_job(f"{n}"))) for n in range(100)]
        await asyncio.sleep(0)
        event.listen(database._engine, "commit", commits.append)
    await asyncio.gather(*calls)
    # One for the call that kept the thread busy, one for the hundred.
    assert len(commits) == 2
    count = await database.call(lambda connection: connection.scalar(select(func.count(jobs.c.id))))
    assert count == 100


async def test_a_cancelled_record_still_lands(database: Database, store: SqliteJobStore) -> None:
    async with busy_writer(database):
        task = asyncio.ensure_future(add(store, make_job()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [change.seq for change in await store.changes_since(0)] == [1]
    assert (await store.load()).jobs == (make_job(),)


async def test_closing_finishes_what_was_queued(database: Database, path: Path) -> None:
    async with busy_writer(database):
        calls = [asyncio.ensure_future(database.call(set_meta(name))) for name in "abc"]
        await asyncio.sleep(0)
        closing_task = asyncio.ensure_future(database.aclose())
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="not open"):
            await database.call(set_meta("too late"))
    await asyncio.gather(*calls, closing_task)
    await database.open()
    assert await database.call(meta_names) == {"a", "b", "c"}


async def test_closing_leaves_one_file_and_no_thread(database: Database, path: Path) -> None:
    assert len(store_threads()) == 1
    await database.call(set_meta("a"))
    await asyncio.gather(database.aclose(), database.aclose())
    await database.aclose()
    assert store_threads() == []
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    with pytest.raises(StoreError, match="not open"):
        await database.call(meta_names)


async def test_a_cancelled_close_still_ends_the_thread(database: Database) -> None:
    [thread] = store_threads()
    async with busy_writer(database):
        task = asyncio.ensure_future(database.aclose())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await database.aclose()
    assert not thread.is_alive()


async def test_a_cancelled_open_can_be_closed(path: Path) -> None:
    database = Database(path)
    task = asyncio.ensure_future(database.open())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.aclose()
    assert store_threads() == []


async def test_opening_twice_starts_one_thread(path: Path) -> None:
    database = Database(path)
    await asyncio.gather(database.open(), database.open())
    await database.open()
    assert len(store_threads()) == 1
    await database.aclose()


# --- kill -9 ------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Source, SourceType
from chilly_movies.storage.jobs import open_stores

async def write(store, lane):
    now = datetime.now(UTC)
    source = Source(SourceType.HTTP, "https://films.example/a")
    job = Job(f"job-{lane}", f"key-{lane}", source, lane, created_at=now, updated_at=now)
    await store.add(job, Change.of(0, "queued", job))
    for attempts in range(1, 10**9):
        job = replace(job, attempts=attempts)
        seq = await store.record(job, Change.of(0, "retrying", job))
        print(seq, job.id, attempts, flush=True)

async def main():
    store, _ = open_stores(Path(sys.argv[1]))
    await store.load()
    await asyncio.gather(*(write(store, lane) for lane in range(1, 9)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 150, 400])
def test_after_kill_9_every_acknowledged_write_is_there(path: Path, lines: int) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        output = b"".join(child.stdout.readline() for _ in range(lines))
        child.send_signal(signal.SIGKILL)
        output += child.stdout.read()
    lines_told = [line.split() for line in output.splitlines(keepends=True) if line[-1:] == b"\n"]
    acknowledged = {(int(seq), job_id.decode()) for seq, job_id, _ in lines_told}
    assert len(acknowledged) >= lines
    assert child.returncode == -signal.SIGKILL

    loaded, found = asyncio.run(_read_all(path))
    assert acknowledged <= set(found)
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    written = Counter(job_id for _, job_id in found)
    assert {job.id: job.attempts + 1 for job in loaded} == written
    with closing(sqlite3.connect(path)) as check:
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def _read_all(path: Path) -> tuple[tuple[Job, ...], list[tuple[int, str]]]:
    store, _ = open_stores(path)
    loaded = await store.load()
    changes = await store.changes_since(0, limit=10**6)
    await store.aclose()
    return loaded.jobs, [(change.seq, change.id) for change in changes]

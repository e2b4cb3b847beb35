"""The thread under the SQLite store: whom it wakes, what it outlives, what it never holds up."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from chilly_movies.errors import StoreError
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.sqlite.writer import Writer
from tests.integration.sqlite_tools import meta_names, opened, set_meta, store_threads

NOT_OPEN = r"^The database is not open\.$"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chilly.db"


@pytest.mark.anyio
async def test_a_store_that_nobody_closes_does_not_keep_the_process_alive(path: Path) -> None:
    async with opened(path):
        [thread] = store_threads()
        assert thread.daemon


@pytest.mark.anyio
async def test_a_call_that_was_cancelled_keeps_no_other_from_its_answer(path: Path) -> None:
    async with opened(path) as database:
        calls = [asyncio.ensure_future(database.call(set_meta(name))) for name in "abc"]
        await asyncio.sleep(0)
        calls[0].cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*calls[1:])
        assert await database.call(meta_names) == {"a", "b", "c"}


@pytest.mark.anyio
async def test_before_during_and_after_an_open_calls_are_refused_in_one_sentence(
    path: Path,
) -> None:
    database = Database(path)
    with pytest.raises(StoreError, match=NOT_OPEN):
        await database.call(meta_names)
    opening = asyncio.ensure_future(database.open())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match=NOT_OPEN):
        await database.call(meta_names)
    await opening
    assert await database.call(meta_names) == set()
    await database.aclose()
    with pytest.raises(StoreError, match=NOT_OPEN):
        await database.call(meta_names)


@pytest.mark.anyio
async def test_a_thread_that_could_not_connect_refuses_calls_and_ends() -> None:
    def connect() -> Connection:
        raise OSError("no disk")

    writer = Writer(connect, lambda connection: None)
    with pytest.raises(StoreError):
        await writer.opened()
    with pytest.raises(StoreError, match=NOT_OPEN):
        async with asyncio.timeout(10):
            await writer.call(meta_names)
    await writer.stop()
    assert store_threads() == []


@pytest.mark.anyio
async def test_calls_are_refused_while_the_thread_stops(path: Path) -> None:
    async with opened(path) as database:
        stopping = asyncio.ensure_future(database.aclose())
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match=NOT_OPEN):
            await database.call(meta_names)
        await stopping


def test_an_event_loop_that_is_gone_is_no_trouble_for_the_thread(path: Path) -> None:
    database, release = Database(path), threading.Event()

    async def leave() -> None:
        await database.open()
        call = asyncio.ensure_future(database.call(lambda _: release.wait(10)))
        await asyncio.sleep(0)
        call.cancel()

    asyncio.run(leave())
    [thread], writer = store_threads(), database._writer
    assert writer is not None
    release.set()
    writer._calls.put(None)
    thread.join(10)
    assert not thread.is_alive()

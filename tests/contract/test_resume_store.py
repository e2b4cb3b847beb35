"""What every resume store promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.memory import MemoryResumeStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResumeStore]:
    if request.param == "memory":
        yield MemoryResumeStore()
        return
    jobs, resume = open_stores(tmp_path / "chilly.db")
    await jobs.load()
    yield resume
    await jobs.aclose()


async def test_an_unknown_key_has_no_blob(store: ResumeStore) -> None:
    assert await store.load_resume("never") is None


@pytest.mark.parametrize("data", [b"", b"\x00\xff'\"", bytes(range(256)) * 4096])
async def test_a_blob_comes_back_byte_for_byte(store: ResumeStore, data: bytes) -> None:
    await store.save_resume("a", data)
    assert await store.load_resume("a") == data


async def test_saving_replaces_the_blob_of_that_key_only(store: ResumeStore) -> None:
    await store.save_resume("a", b"old")
    await store.save_resume("b", b"other")
    await store.save_resume("a", b"new")
    assert await store.load_resume("a") == b"new"
    assert await store.load_resume("b") == b"other"


async def test_dropping_takes_the_blob_of_that_key_only(store: ResumeStore) -> None:
    await store.save_resume("a", b"1")
    await store.save_resume("b", b"2")
    await store.drop_resume("a")
    assert await store.load_resume("a") is None
    assert await store.load_resume("b") == b"2"


async def test_dropping_an_unknown_key_is_fine(store: ResumeStore) -> None:
    await store.drop_resume("never")
    assert await store.load_resume("never") is None


async def test_the_last_of_many_saves_wins(store: ResumeStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(64):
            group.create_task(store.save_resume("a", b"%d" % number))
    assert await store.load_resume("a") == b"63"

"""Stores of one file for each job: each finds its own, whoever else is there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Progress, Source, SourceType
from chilly_movies.storage.spread import SpreadStores

pytestmark = pytest.mark.anyio
NOW = datetime(2030, 1, 2, tzinfo=UTC)


def job(name: str) -> Job:
    source = Source(SourceType.TORRENT, name * 40)
    return Job(name, f"key-{name}", source, position=1, created_at=NOW, updated_at=NOW)


async def test_a_job_is_found_again_beside_other_jobs_and_alone(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.db" for name in "abc"}
    first = SpreadStores({name: files[name] for name in "ab"})
    assert (await first.load()).jobs == ()
    for seq, name in enumerate("ab", 1):
        assert await first.add(job(name), Change.of(0, "queued", job(name))) == seq
        await first.save_resume(f"key-{name}", name.encode())
    moved = replace(job("b"), progress=Progress(percent=31.0))
    await first.save_progress([moved])
    assert [one.seq for one in await first.changes_since(0)] == [1, 2]
    assert [one.seq for one in await first.changes_since(0, "b")] == [2]
    await first.aclose()

    alone = SpreadStores({"b": files["b"]})
    loaded = await alone.load()
    assert ([one.id for one in loaded.jobs], loaded.last_seq) == (["b"], 2)
    assert loaded.jobs[0].progress.percent == 31.0
    assert not loaded.unclean
    assert await alone.load_resume("key-b") == b"b"
    assert await alone.load_resume("key-a") is None
    await alone.aclose()

    other = SpreadStores({name: files[name] for name in "ac"})
    assert [one.id for one in (await other.load()).jobs] == ["a"]
    assert await other.delete(job("a"), Change.of(7, "removed", job("a"))) == 8
    assert await other.load_resume("key-a") is None
    await other.aclose()
    last = SpreadStores(files)
    assert [one.id for one in (await last.load()).jobs] == ["b"]
    await last.drop_resume("key-b")
    assert await last.load_resume("key-b") is None
    await last.aclose()


async def test_numbers_rise_over_all_files_in_the_order_of_the_answers(tmp_path: Path) -> None:
    stores = SpreadStores({name: tmp_path / f"{name}.db" for name in "abc"})
    await stores.load()
    told: list[int] = []

    async def write(name: str) -> None:
        for do in [stores.add, *[stores.record] * 10]:
            told.extend([await do(job(name), Change.of(0, "queued", job(name)))])

    await asyncio.gather(*map(write, "abc"))
    assert told == sorted(set(told))
    assert [change.seq for change in await stores.changes_since(0)] == told
    await stores.aclose()

"""Numbers of changes, as those see them who read by number while others write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chilly_movies.jobs.events import Change
from chilly_movies.storage.jobs import SqliteJobStore, open_stores
from tests.integration.sqlite_tools import make_job

pytestmark = pytest.mark.anyio
WRITERS, READERS, CHANGES = 8, 3, 1000


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder whose disk is memory, if there is one: what is asked is order, not durability."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


async def write(store: SqliteJobStore, name: str, count: int) -> list[int]:
    """Store so many changes of one job; their numbers."""
    job = make_job(name)
    numbers = [await store.add(job, Change.of(0, "queued", job))]
    while len(numbers) < count:
        numbers.append(await store.record(job, Change.of(0, "paused", job)))
    return numbers


async def follow(store: SqliteJobStore) -> list[int]:
    """Read by number, as changes come, until all were seen."""
    seen = [0]
    while len(seen) <= CHANGES:
        seen += [change.seq for change in await store.changes_since(seen[-1], limit=50)]
        await asyncio.sleep(0.002)  # so that writers, too, get their turn at the database
    return seen[1:]


@pytest.mark.parametrize("servers", [1, 2])
async def test_a_thousand_changes_of_eight_writers_reach_three_readers_once_and_in_order(
    quick_folder: Path, servers: int
) -> None:
    stores = [open_stores(quick_folder / "chilly.db")[0] for _ in range(servers)]
    for store in stores:
        await store.load()
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(follow(stores[n % servers])) for n in range(READERS)]
        writers = [
            group.create_task(write(stores[n % servers], f"job-{n}", CHANGES // WRITERS))
            for n in range(WRITERS)
        ]
    written = sorted(number for writer in writers for number in writer.result())
    assert written == list(range(1, CHANGES + 1))
    for reader in readers:
        assert reader.result() == written
    for store in stores:
        await store.aclose()

"""What becomes of a job whose start is being stored while the downloader closes."""

from __future__ import annotations

import asyncio

import pytest

from chilly_movies.models import Status
from tests.contract.rig import Rig
from tests.doubles import GatedStore, idle

pytestmark = pytest.mark.anyio


async def test_a_start_that_is_being_stored_when_the_downloader_closes_is_told(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(Status.PAUSED)
    async with downloader.listen() as heard:
        store.holding = True
        verb = asyncio.create_task(downloader.resume("a"))
        await idle()
        await store.held[0].release()
        await verb
        assert store.held[-1].change.event == "started"
        closing = asyncio.create_task(downloader.aclose())
        await idle()
        await store.held[-1].release()
        await closing
        told = [change.seq async for change in heard if change.durable]
    stored = [change.seq for change in await store.changes_since(0)]
    assert told == stored[-2:]
    assert rig.pace.sleepers == 0, "a job was begun while the downloader closed"

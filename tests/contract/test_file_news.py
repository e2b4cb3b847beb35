"""Events of single files: how far they are, and that one is complete; quiet readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.errors import NotArrived
from chilly_movies.jobs.bus import Filter, Subscription
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import FileStanding, Job, Status
from tests.contract.rig import Rig, reach

pytestmark = pytest.mark.anyio
FILES = Filter(events=frozenset({"file"}))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig("memory", tmp_path)
    yield made
    await made.aclose()


async def news(downloader: Downloader, changes: Subscription) -> list[dict[str, Any]]:
    """What a look tells."""
    await downloader._file_watch.scan()
    waiting = await changes.batch() if changes._waiting else []
    return [dict(change.news or {}) for change in waiting or []]


async def test_a_file_that_moved_is_told_once_and_its_end_in_any_case(rig: Rig) -> None:
    async with rig.make() as downloader, downloader.listen(wanted=FILES) as changes:
        await rig.bring_half()
        [half] = await news(downloader, changes)
        assert (half["index"], half["bytesDownloaded"], half["size"]) == (0, 500, 1000)
        assert (half["percent"], half["complete"]) == (50.0, False)
        assert await news(downloader, changes) == []
        rig.pace.flow()
        await reach(downloader, "a", Status.COMPLETED)
        [whole] = await news(downloader, changes)
        assert (whole["percent"], whole["complete"], whole["path"]) == (100.0, True, half["path"])
        assert await news(downloader, changes) == []


async def test_of_a_file_only_the_newest_news_waits_for_a_slow_listener(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.make() as downloader, downloader.listen(wanted=FILES) as changes:
        await rig.bring_half()
        for done in (501, 502, 503):

            async def files(_job: Job, done: int = done) -> list[FileStanding]:
                return [FileStanding(0, done, 4)]

            monkeypatch.setattr(downloader._file_watch, "_files", files)
            await downloader._file_watch.scan()
        waiting = await changes.batch()
        assert [(c.news or {})["bytesDownloaded"] for c in waiting or []] == [503]


async def test_news_of_a_file_is_never_stored_and_repeats_the_newest_number(rig: Rig) -> None:
    async with rig.make() as downloader, downloader.listen() as changes:
        await rig.bring_half()
        await changes.batch()
        await downloader._file_watch.scan()
        [change] = await changes.batch() or []
        assert (change.event, change.durable) == ("file", False)
        stored = await downloader.changes_since(0)
        assert change.seq == downloader.last_seq == stored[-1].seq
        assert "file" not in {c.event for c in stored}


async def test_a_quiet_reader_starts_nothing_and_is_no_viewer(rig: Rig) -> None:
    viewers = Filter(events=frozenset({"stream"}))
    async with rig.make(max_active=1) as downloader, downloader.listen(wanted=viewers) as changes:
        await rig.bring_half()
        await rig.add("b")
        with pytest.raises(NotArrived):
            async with downloader.open_file("b", 0, quiet=True):
                pass
        async with downloader.open_file("a", 0, quiet=True) as reader:
            assert len(await reader.read(0, 100)) == 100
            with pytest.raises(NotArrived):
                await reader.read(900, 100)
            assert not downloader._reading.is_read("a")
        assert (await downloader.status("b")).status is Status.QUEUED
        assert not changes._waiting
        async with downloader.open_file("a", 0) as reader:
            assert downloader._reading.is_read("a")
        assert [(c.news or {})["readers"] for c in await changes.batch() or []] == [0]

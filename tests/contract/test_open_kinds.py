"""A driver that somebody hands in has a source type of its own, everywhere a job is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chilly_movies import WebTorrentDownloader
from chilly_movies.app import create_app
from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.errors import UnsupportedSource
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Status
from chilly_movies.jobs.ports import Driver
from chilly_movies.storage.memory import MemoryJobStore
from tests.contract.rig import SCRIPT, Rig, reach, reach_when
from tests.contract.web import served_by
from tests.integration.engine import QUIET

pytestmark = pytest.mark.anyio
DISC = {"source_type": "disc", "source_urn": "mock:?name=Disc&seconds=2"}


def disc_driver(rig: Rig) -> Driver:
    """A driver of another package, whose time is the rig's."""
    return MockDriver(SCRIPT, tick=1.0, sleep=rig.pace.sleep)


async def test_a_start_takes_the_name_of_a_driver_that_was_handed_in(rig: Rig) -> None:
    drivers = {"disc": disc_driver(rig)}
    downloader = rig.make(drivers=drivers)
    await downloader.start(DISC, id="a", candidates=[{"sourceType": "disc", "sourceUrn": "mock:"}])
    done = await downloader.wait("a")
    assert (done.status, done.source.type) == (Status.COMPLETED, "disc")
    restarted = await rig.restart(drivers=drivers)
    kept = await restarted.status("a")
    assert (kept.status, kept.source, kept.candidates) == (
        done.status,
        done.source,
        done.candidates,
    )
    with pytest.raises(UnsupportedSource, match="no driver for the source type 'tape'; it has: d"):
        await restarted.start(DISC, id="b", source_type="tape")


async def test_a_stored_job_whose_driver_is_gone_is_kept_and_says_so_until_it_is_back(
    rig: Rig,
) -> None:
    drivers = {"disc": disc_driver(rig)}
    rig.make(drivers=drivers)
    rig.pace.hold(after=1)
    await rig.downloader.start(DISC, id="a")
    await rig.reach_active("a")
    other = await rig.restart(drivers={"tape": MockDriver()})
    kept = await reach_when(other, "a", lambda job: job.error is not None)
    assert kept.status is not Status.FAILED
    assert kept.error is not None
    assert "no driver for the source type 'disc': the download is kept" in kept.error.message
    rig.pace.flow()
    again = await rig.restart(drivers=drivers)
    await again.resume("a")
    await reach(again, "a", Status.COMPLETED)


async def test_a_source_whose_driver_is_gone_gives_way_to_the_next_one(rig: Rig) -> None:
    driver = disc_driver(rig)
    both = rig.make(drivers={"disc": driver, "tape": driver}, max_active=0)
    await both.start(DISC, id="a", candidates=[{"sourceType": "tape", "sourceUrn": "mock:"}])
    left = await rig.restart(drivers={"tape": driver})
    job = await left.wait("a")
    assert (job.status, job.running_source.type) == (Status.COMPLETED, "tape")


async def test_the_api_takes_shows_and_tells_the_name_of_a_driver_that_was_handed_in() -> None:
    downloader = Downloader({"disc": MockDriver()}, MemoryJobStore(), max_active=0)
    body: dict[str, Any] = {
        "id": "a", "sourceType": "disc", "sourceUrn": "mock:",
        "candidates": [{"sourceType": "disc", "sourceUrn": "mock:?name=B"}],
    }  # fmt: skip
    async with downloader, served_by(create_app(downloader)) as client:
        assert (await client.post("/download/start", json=body)).status_code == 200
        shown = (await client.get("/downloads/a")).json()
        listed = (await client.get("/downloads")).json()["items"]
        refused = await client.post("/download/start", json={**body, "sourceType": "tape"})
    assert listed == [shown]
    assert shown["sourceType"] == shown["activeSource"]["sourceType"] == "disc"
    assert [one["sourceType"] for one in shown["candidates"]] == ["disc"]
    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_source")


async def test_the_torrent_downloader_takes_further_drivers_beside_its_own(tmp_path: Path) -> None:
    downloader = WebTorrentDownloader(
        tmp_path / "media",
        state_dir=tmp_path / "state",
        drivers={"disc": MockDriver()},
        **QUIET,
    )
    async with downloader:
        await downloader.start(DISC, id="a")
        assert (await downloader.wait("a")).status is Status.COMPLETED
        with pytest.raises(UnsupportedSource, match="it has: disc, torrent"):
            await downloader.start(DISC, id="b", source_type="tape")

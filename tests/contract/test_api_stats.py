"""Figures of a job and totals of all, as the API shows them."""

from __future__ import annotations

import pytest

from chilly_movies import Status
from tests.contract.rig import reach_when
from tests.contract.web import Api, api, problem

pytestmark = pytest.mark.anyio
ALL = [
    "uploaded",
    "downloaded",
    "wasted",
    "found",
    "secondsActive",
    "secondsSeeding",
    "lastActivityAt",
]
LIVE = ["distributedCopies", "swarmSeeds", "swarmPeers"]


async def half_there(web: Api) -> None:
    web.pace.hold(after=3)
    await web.start()
    await reach_when(web.downloader, "a", lambda job: job.progress.bytes_downloaded == 500)


async def test_the_full_job_has_its_figures_and_those_of_its_swarm_while_it_runs() -> None:
    async with api() as web:
        await half_there(web)
        figures = (await web.client.get("/downloads/a")).json()["figures"]
        assert list(figures) == [*ALL, *LIVE]
        assert figures["downloaded"] == 501
        assert figures["wasted"] == 1
        assert None not in figures.values()
        await web.post("/download/pause", {"id": "a"})
        still = (await web.client.get("/downloads/a")).json()["figures"]
    assert {name: still[name] for name in ALL} == {name: figures[name] for name in ALL}
    assert [still[name] for name in LIVE] == [None] * 3


async def test_a_job_that_never_ran_has_figures_that_say_so() -> None:
    async with api() as web:
        await web.start("a")
        await web.post("/download/pause", {"id": "a"})
        figures = (await web.client.get("/downloads/a")).json()["figures"]
    assert (figures["uploaded"], figures["downloaded"]) == (0, 0)
    assert figures["lastActivityAt"] is None


async def test_stats_add_up_all_jobs_and_keep_those_that_are_gone() -> None:
    async with api() as web:
        before = (await web.client.get("/stats")).json()
        assert before["session"]["downloaded"] == before["allTime"]["downloaded"] == 0
        await half_there(web)
        now = (await web.client.get("/stats")).json()
        assert now["session"]["downloaded"] == now["allTime"]["downloaded"] == 501
        assert now["downloadSpeed"] > 0
        assert now["peers"] > 0
        assert now["jobs"] == {**dict.fromkeys(map(str, Status), 0), "active": 1}
        assert (now["dhtNodes"], now["freeBytes"]) == (None, None)
        assert (await web.client.delete("/downloads/a")).status_code == 204
        after = (await web.client.get("/stats")).json()
    assert after["session"] == now["session"]
    assert after["jobs"] == before["jobs"]
    assert (after["downloadSpeed"], after["peers"]) == (0, 0)


async def test_stats_want_a_key_that_may_read() -> None:
    async with api(api_secret="correct-horse-battery-staple") as web:
        problem(await web.client.get("/stats"), 401, "unauthorized")

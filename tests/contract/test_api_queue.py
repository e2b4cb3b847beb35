"""The queue over HTTP, and by the client of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chilly_movies.api.wire import schemas as s
from chilly_movies.client import ApiClient, ClientError
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT
from tests.contract.web import Api, api, listening, problem, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def shown(web: Api) -> list[tuple[str, int | None]]:
    """Each job with its position, in the order of the list."""
    items = (await web.client.get("/downloads")).json()["items"]
    return [(item["id"], item["position"]) for item in items]


async def test_a_job_is_put_elsewhere_and_shown_there(web: Api) -> None:
    for job_id in "abcd":
        await web.start(job_id)
    answer = await web.post("/downloads/d/position", {"to": "top"})
    s.JobDetail.model_validate_json(answer.content)
    assert (answer.status_code, answer.json()["id"], answer.json()["position"]) == (200, "d", 1)
    answer = await web.post("/downloads/a/position", {"before": "c"})
    assert answer.json()["position"] == 3
    assert await shown(web) == [("d", 1), ("b", 2), ("a", 3), ("c", 4)]
    assert (await web.client.get("/downloads/a")).json()["position"] == 3
    for to, position in [("down", 4), ("down", 4), ("up", 3), ("bottom", 4)]:
        answer = await web.post("/downloads/a/position", {"to": to})
        assert answer.json()["position"] == position


async def test_what_neither_waits_nor_runs_has_no_position(web: Api) -> None:
    for job_id in "abc":
        await web.start(job_id)
    await web.post("/download/cancel", {"id": "a"})
    assert await shown(web) == [("a", None), ("b", 1), ("c", 2)]
    problem(await web.post("/downloads/a/position", {"to": "top"}), 409, "illegal_transition")
    problem(await web.post("/downloads/b/position", {"before": "a"}), 409, "illegal_transition")
    problem(await web.post("/downloads/x/position", {"to": "top"}), 404, "job_not_found")
    problem(await web.post("/downloads/b/position", {"before": "x"}), 404, "job_not_found")


@pytest.mark.parametrize(
    "body", [{}, {"to": None}, {"to": "first"}, {"to": 1}, {"before": "."}, {"before": 1}, [],
             {"to": "top", "before": "a"}],
)  # fmt: skip
async def test_where_a_job_goes_is_said_once_and_by_a_known_word(web: Api, body: Any) -> None:
    await web.start("a")
    problem(await web.post("/downloads/a/position", body), 422, "invalid_request")


async def test_pages_of_a_list_that_was_moved_about_leave_nobody_out(web: Api) -> None:
    for job_id in "abcdef":
        await web.start(job_id)
    for job_id in "fbfdc":
        await web.post(f"/downloads/{job_id}/position", {"before": "e"})
    expected = [job.id for job in await web.downloader.list()]
    for sort, wanted in [("position", expected), ("-position", expected[::-1])]:
        seen: list[str] = []
        query = {"sort": sort, "limit": "1"}
        while True:
            page = (await web.client.get("/downloads", params=query)).json()
            seen += [item["id"] for item in page["items"]]
            if page["nextCursor"] is None:
                break
            query["cursor"] = page["nextCursor"]
        assert seen == wanted


async def test_a_held_start_answers_paused_and_a_form_holds_as_well(web: Api) -> None:
    answer = await web.start("a", held=True, forced=True)
    assert (answer.status_code, answer.json()["status"]) == (200, "paused")
    options = (await web.client.get("/downloads/a")).json()["options"]
    assert options["forced"] is True
    assert "held" not in options
    files = {"torrent": ("film.torrent", b"d4:infode")}
    answer = await web.client.post(
        "/download/start", files=files, data={"id": "form", "held": "true"}
    )
    assert answer.json()["status"] == "paused"


async def test_a_patch_forces_a_job_that_waits(web: Api) -> None:
    for job_id in "abcd":  # three are active at once
        await web.start(job_id)
    async with web.downloader.listen("d") as changes:
        answer = await web.client.patch("/downloads/d", json={"forced": True})
        assert (answer.status_code, answer.json()["options"]["forced"]) == (200, True)
        while (await anext(changes)).event != "started":
            pass
    answer = await web.client.patch("/downloads/d", json={"forced": None})
    assert answer.json()["options"]["forced"] is False
    assert answer.json()["position"] == 4


async def test_the_client_moves_jobs_and_holds_them(web: Api) -> None:
    async with ApiClient("http://localhost:3000", transport=web.client._transport) as client:
        for job_id in "ab":
            job = await client.start(f"mock:?name={job_id}", id=job_id, held=True)
            assert job["status"] == "paused"
        assert (await client.place("b", "top"))["position"] == 1
        assert (await client.place("b", before="a"))["position"] == 1
        assert (await client.place("a", "up"))["position"] == 1
        with pytest.raises(ClientError, match="to"):
            await client.place("a")


async def test_listeners_are_told_before_whom_a_job_was_put_also_when_they_come_back() -> None:
    async with (
        MockDownloader(SCRIPT, max_active=0) as downloader,
        serving(downloader) as live,
        listening(live.url) as stream,
    ):
        for job_id in "ab":
            await downloader.start(id=job_id, source_urn=f"mock:?name={job_id}")
        await downloader.place("b", "top")
        await downloader.place("b", "bottom")
        told = [event for event in [*await stream.until("placed"), *await stream.until("placed")]
                if event["event"] == "placed"]  # fmt: skip
        assert [(event["id"], event["placed"]) for event in told] == [
            ("b", {"before": "a"}), ("b", {"before": None}),
        ]  # fmt: skip
        last = {"Last-Event-ID": str(told[0]["seq"] - 1)}
        async with listening(live.url, headers=last) as again:
            assert (await again.until("placed"))[-1]["placed"] == {"before": "a"}

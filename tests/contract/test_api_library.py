"""The library over HTTP: what has arrived is in it, is found, changed and watched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from chilly_movies.api.wire.library import ItemOut, LibraryPageOut
from chilly_movies.app import AssembledDownloader, create_app
from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.library.library import Library, LibraryParts
from chilly_movies.mock import MockDownloader
from chilly_movies.storage.library.memory import MemoryLibraryStore
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from tests.contract.rig import SCRIPT, Pace
from tests.contract.web import Api, listening, problem, served_by, serving
from tests.doubles import until

pytestmark = pytest.mark.anyio
NIGHT = "Night.of.the.Living.Dead.1968.1080p.BluRay.x264-GRP"
NONE = "lib-" + "z" * 26


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    downloader = with_library()
    async with downloader, served_by(create_app(downloader)) as client:
        yield Api(client, downloader, Pace())


def with_library() -> AssembledDownloader:
    """A downloader that plays scripts, with a library that forgets."""
    library = Library(LibraryParts(store=MemoryLibraryStore()))
    parts = MockDownloader(SCRIPT, tick=0.01).parts
    parts.tools.topics["library"] = library
    return AssembledDownloader(replace(parts, companions=(library,)))


async def arrive(web: Api, name: str, job_id: str = "a", **more: Any) -> dict[str, Any]:
    """Let a film arrive; its item once that is known."""
    source = f"mock:?name={name}&seconds=1&metadataSeconds=0&seedSeconds=0"
    async with web.downloader.listen() as changes:
        body = {"id": job_id, "sourceType": "torrent", "sourceUrn": source, **more}
        assert (await web.post("/download/start", body)).status_code == 200
        async for change in changes:
            if change.event == "completed" and change.id == job_id:
                break
    return await the_item(web, job_id)


async def quiet(downloader: Downloader) -> None:
    """Wait until the library has done all that there is to do."""
    library = library_of(downloader)
    await until(lambda: downloader.followers.behind()["library"] == 0)
    await library.wait_idle()


def library_of(downloader: Downloader) -> Library:
    assert isinstance(downloader, AssembledDownloader)
    library = downloader.parts.tools.topics["library"]
    assert library is not None
    return library


async def the_item(web: Api, job_id: str) -> dict[str, Any]:
    await quiet(web.downloader)
    found = (await web.client.get("/library", params={"job": job_id})).json()["items"]
    assert len(found) == 1
    item: dict[str, Any] = (await web.client.get(f"/library/{found[0]['id']}")).json()
    return item


async def test_a_film_that_arrived_is_an_item_without_a_further_call(web: Api) -> None:
    item = await arrive(web, NIGHT)
    ItemOut.model_validate(item, strict=False)
    assert (item["kind"], item["title"], item["year"], item["state"]) == (
        "movie", "Night of the Living Dead", 1968, "matched",
    )  # fmt: skip
    [file] = item["files"]
    assert (file["jobId"], file["jobFile"], file["index"], file["role"]) == ("a", 0, 0, "main")
    assert file["quality"] == "1080p"
    assert not file["missing"]
    page = (await web.client.get("/library")).json()
    LibraryPageOut.model_validate(page, strict=False)
    assert page["total"] == 1


async def test_what_a_name_does_not_say_for_sure_waits_for_a_choice(web: Api) -> None:
    item = await arrive(web, "xyz")
    assert item["state"] == "waiting"
    assert item["reason"].endswith(".")
    answer = await web.client.put(
        f"/library/{item['id']}/match", json={"title": "Nosferatu", "year": 1922}
    )
    assert answer.status_code == 200
    item = await the_item(web, "a")
    assert (item["title"], item["year"], item["state"], item["chosen"]) == (
        "Nosferatu", 1922, "matched", True,
    )  # fmt: skip
    assert item["reason"] is None


async def test_labels_at_the_start_say_what_a_film_is_and_win(web: Api) -> None:
    labels = {"mediaType": "movie", "tmdbId": "10331", "title": "Another", "year": "1970"}
    item = await arrive(web, NIGHT, labels=labels)
    assert (item["ref"], item["title"], item["year"]) == ("tmdb:movie:10331", "Another", 1970)
    assert item["chosen"]


async def test_a_number_without_its_kind_waits_for_a_choice(web: Api) -> None:
    item = await arrive(web, "xyz", labels={"tmdbId": "10331"})
    assert item["state"] == "waiting"
    assert [one["ref"] for one in item["matches"]] == ["tmdb:movie:10331", "tmdb:tv:10331"]


async def test_items_are_searched_filtered_and_paged(web: Api) -> None:
    await arrive(web, NIGHT, "a")
    await arrive(web, "Nosferatu.1922.720p.mkv", "b")
    await arrive(web, "His.Girl.Friday.1940.mkv", "c")

    async def titles(**query: Any) -> list[str]:
        answer = await web.client.get("/library", params=query)
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json()["items"]]

    assert await titles() == ["His Girl Friday", "Night of the Living Dead", "Nosferatu"]
    assert await titles(q="nosf") == ["Nosferatu"]
    assert await titles(q="nosfertau") == ["Nosferatu"]
    assert await titles(year=1940) == ["His Girl Friday"]
    assert await titles(sort="-year") == [
        "Night of the Living Dead", "His Girl Friday", "Nosferatu",
    ]  # fmt: skip
    assert await titles(state="waiting") == []
    first = (await web.client.get("/library", params={"limit": 2})).json()
    assert (len(first["items"]), first["total"]) == (2, 3)
    assert await titles(limit=2, cursor=first["nextCursor"]) == ["Nosferatu"]
    problem(await web.client.get("/library", params={"cursor": "x"}), 422, "invalid_request")
    problem(await web.client.get("/library", params={"sort": "size"}), 422, "invalid_request")
    problem(await web.client.get("/library", params={"ref": "603"}), 422, "invalid_request")


async def test_how_far_a_viewer_watched_is_kept_by_viewer_and_file(web: Api) -> None:
    item = await arrive(web, NIGHT)
    path = f"/library/{item['id']}/positions"
    body = {"fileIndex": 0, "seconds": 61.5, "seen": False}
    answer = await web.client.put(f"{path}/ada", json=body)
    assert answer.status_code == 200
    [kept] = (await web.client.get(f"{path}/ada")).json()["positions"]
    assert (kept["fileIndex"], kept["seconds"], kept["seen"]) == (0, 61.5, False)
    assert (await web.client.get(f"{path}/bob")).json()["positions"] == []
    watching = (await web.client.get("/library/watching", params={"viewer": "ada"})).json()
    assert [one["item"]["id"] for one in watching["watching"]] == [item["id"]]
    await web.client.put(f"{path}/ada", json={**body, "seen": True})
    watching = (await web.client.get("/library/watching", params={"viewer": "ada"})).json()
    assert watching == {"watching": []}
    seen = (await web.client.get("/library", params={"seen": True, "viewer": "ada"})).json()
    assert seen["total"] == 1
    problem(await web.client.put(f"{path}/ada", json={**body, "fileIndex": 9}), 404,
            "file_not_found")  # fmt: skip
    problem(await web.client.get(f"/library/{NONE}/positions/ada"), 404, "item_not_found")
    problem(await web.client.put(f"/library/{NONE}/positions/ada", json=body), 404,
            "item_not_found")  # fmt: skip


async def test_an_item_is_changed_and_what_is_left_out_stays(web: Api) -> None:
    item = await arrive(web, NIGHT)
    path = f"/library/{item['id']}"
    answer = await web.client.patch(path, json={"favourite": True, "tagline": "They won't stay."})
    changed = answer.json()
    assert (changed["favourite"], changed["facts"]["tagline"]) == (True, "They won't stay.")
    assert changed["title"] == item["title"]
    favourites = (await web.client.get("/library", params={"favourite": True})).json()
    assert favourites["total"] == 1
    problem(await web.client.patch(f"/library/{NONE}", json={"favourite": True}), 404,
            "item_not_found")  # fmt: skip
    problem(await web.client.patch(path, json={"year": 12}), 422, "invalid_request")


async def test_two_episodes_of_two_jobs_are_one_series(web: Api) -> None:
    await arrive(web, "The.Lucy.Show.S01E01.720p.mkv", "a")
    item = await arrive(web, "The.Lucy.Show.S01E02.720p.mkv", "b")
    assert (item["kind"], item["title"]) == ("tv", "The Lucy Show")
    assert [(f["index"], f["season"], f["episodes"], f["jobId"]) for f in item["files"]] == [
        (0, 1, [1], "a"), (1, 1, [2], "b"),
    ]  # fmt: skip
    assert (await web.client.get("/library")).json()["total"] == 1


async def test_events_of_the_library_come_to_those_alone_that_ask_for_them() -> None:
    downloader = with_library()
    source = f"mock:?name={NIGHT}&seconds=0&metadataSeconds=0&seedSeconds=0"
    async with (
        serving(downloader) as live,
        listening(live.url, "/events?event=library-added&event=completed") as asked,
        listening(live.url) as usual,
    ):
        await downloader.start(id="a", source_urn=source)
        said = await asked.until("library-added")
        assert [one["event"] for one in said] == ["completed", "library-added"]
        item = said[-1]["item"]
        assert said[-1]["id"] == item["itemId"]
        assert item["itemId"].startswith("lib-")
        assert item["jobIds"] == ["a"]
        await usual.until("completed")
        await downloader.remove("a")
        assert [one["event"] for one in await usual.until("removed")] == ["removed"]


async def test_a_server_without_a_library_says_so() -> None:
    resume = MemoryResumeStore()
    plain = Downloader({"torrent": MockDriver(resume_store=resume)}, MemoryJobStore(resume))
    async with plain, served_by(create_app(plain)) as client:
        for path in ("/library", f"/library/{NONE}", "/library/watching", "/library/missing"):
            problem(await client.get(path), 503, "engine_unavailable")

"""Labels: kept with a job, told with every event, and never read by the server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.client import ApiClient
from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.labels import MAX_LABELS, check_labels, with_labels
from chilly_movies.jobs.models import Status
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT, Rig, reach
from tests.contract.web import Api, api, listening, problem, serving

pytestmark = pytest.mark.anyio

LABELS = {"category": "films", "tmdb.id": "603", "title": "Die Küche  é\n", "empty": ""}
BAD: list[tuple[Any, str]] = [
    ({"": "x"}, "labels."),
    ({"a b": "x"}, "labels.a b"),
    ({"a\n": "x"}, "labels.a\n"),
    ({"é": "x"}, "labels.é"),
    ({"k" * 65: "x"}, "labels." + "k" * 65),
    ({"good": "x", "big": "é" * 513}, "labels.big"),
    ({"number": 5}, "labels.number"),
    ({"list": ["x"]}, "labels.list"),
    ({f"k{i}": "" for i in range(MAX_LABELS + 1)}, "labels"),
    (["category"], "labels"),
]


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def labels_of(web: Api, job_id: str) -> dict[str, str]:
    found: dict[str, str] = (await web.client.get(f"/downloads/{job_id}")).json()["labels"]
    return found


async def patch(web: Api, labels: Any, job_id: str = "a") -> dict[str, str]:
    answer = await web.client.patch(f"/downloads/{job_id}", json={"labels": labels})
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()["labels"]
    assert found == await labels_of(web, job_id)
    return found


# --- at the start ---------------------------------------------------------------------------


async def test_labels_mean_the_same_in_python_in_json_in_a_form_and_in_the_client(web: Api) -> None:
    await web.downloader.start(id="python", source_urn="mock:?name=p", labels=LABELS)
    await web.start("json", labels=LABELS)
    files = {"torrent": ("film.torrent", b"d4:infode")}
    form = {"id": "form", "labels": json.dumps(LABELS)}
    await web.client.post("/download/start", files=files, data=form)
    async with ApiClient("http://localhost:3000", transport=web.client._transport) as client:
        await client.start("mock:?name=c", id="client", labels=LABELS)
        await client.start(id="upload", torrent=b"d5:otheree", labels=LABELS)
        for job_id in ("python", "json", "form", "client", "upload"):
            assert (await client.detail(job_id))["labels"] == LABELS, job_id


async def test_a_job_without_labels_has_none(web: Api) -> None:
    await web.start()
    assert await labels_of(web, "a") == {}


@pytest.mark.parametrize(("labels", "field"), BAD)
async def test_a_label_that_cannot_be_kept_is_refused_by_name_at_the_start_and_later(
    web: Api, labels: Any, field: str
) -> None:
    body = json.dumps({"id": "x", "sourceUrn": "mock:?name=x", "labels": labels})
    json_type = {"content-type": "application/json"}
    answer = await web.client.post("/download/start", content=body, headers=json_type)
    problem(answer, 422, "invalid_request", field=field)
    await web.start(labels={"old": "1"})
    body = json.dumps({"labels": labels, "downloadLimit": 5})
    answer = await web.client.patch("/downloads/a", content=body, headers=json_type)
    problem(answer, 422, "invalid_request", field=field)
    assert await labels_of(web, "a") == {"old": "1"}


@pytest.mark.parametrize("text", ["no json", "[1]", "{" * 5000])
async def test_labels_of_a_form_that_are_no_json_object_are_refused(web: Api, text: str) -> None:
    files = {"torrent": ("film.torrent", b"d4:infode")}
    answer = await web.client.post("/download/start", files=files, data={"labels": text})
    problem(answer, 422, "invalid_request", field="labels")


# --- later ----------------------------------------------------------------------------------


async def test_a_patch_sets_some_labels_removes_those_that_are_null_and_leaves_the_others(
    web: Api,
) -> None:
    await web.start(labels={"stays": "1", "changes": "1", "goes": "1"})
    left = await patch(web, {"changes": "2", "goes": None, "comes": "", "never-was": None})
    assert left == {"stays": "1", "changes": "2", "comes": ""}
    assert await patch(web, {}) == left
    assert await patch(web, None) == {}


async def test_as_many_labels_as_there_may_be_can_be_replaced_at_once(web: Api) -> None:
    full = {f"k{i}": "x" * 1024 for i in range(MAX_LABELS)}
    await web.start(labels=full)
    answer = await web.client.patch("/downloads/a", json={"labels": {"one-more": "x"}})
    problem(answer, 422, "invalid_request", field="labels")
    other = {f"l{i}": "y" for i in range(MAX_LABELS)}
    assert await patch(web, {**dict.fromkeys(full), **other}) == other


async def test_a_python_program_is_told_of_text_that_is_no_unicode(web: Api) -> None:
    with pytest.raises(InvalidRequest, match="'half' is no valid Unicode") as refused:
        await web.downloader.start(source_urn="mock:?name=x", labels={"half": "\ud800"})
    assert refused.value.field == "labels.half"


def test_labels_are_merged_without_a_trace_in_those_there_were() -> None:
    before = {"a": "1"}
    assert with_labels(before, {"a": None, "b": "2"}) == {"b": "2"}
    assert before == {"a": "1"}
    with pytest.raises(InvalidRequest, match="300"):
        check_labels({f"k{i}": None for i in range(300)})


# --- finding --------------------------------------------------------------------------------


async def test_the_list_can_be_filtered_by_labels_all_of_which_must_be_there(web: Api) -> None:
    await web.start("a", labels={"category": "films", "quality": "1080p"})
    await web.start("b", labels={"category": "films", "note": "a=b", "empty": ""})
    await web.start("c", labels={"category": "series"})
    await web.start("d")

    async def found(*wanted: str) -> list[str]:
        answer = await web.client.get("/downloads", params={"label": list(wanted)})
        page = answer.json()
        assert page["total"] == len(page["items"])
        return [job["id"] for job in page["items"]]

    assert await found("category=films") == ["a", "b"]
    assert await found("category=films", "quality=1080p") == ["a"]
    assert await found("category=films", "category=series") == []
    assert await found("note=a=b") == ["b"]
    assert await found("empty=") == ["b"]
    assert await found("category=Films") == []
    async with ApiClient("http://localhost:3000", transport=web.client._transport) as client:
        wanted = {"category": "films", "empty": ""}
        assert [job["id"] for job in await client.list(labels=wanted)] == ["b"]


@pytest.mark.parametrize("label", ["category", "=films", "a b=1", "k=" + "x" * 1025])
async def test_a_filter_that_names_no_label_is_refused(web: Api, label: str) -> None:
    answer = await web.client.get("/downloads", params={"label": label})
    problem(answer, 422, "invalid_request", field="label")


# --- events ---------------------------------------------------------------------------------


async def test_every_message_has_the_name_and_the_labels_the_job_had_then(tmp_path: Path) -> None:
    downloader = MockDownloader(SCRIPT, tick=0.01)
    async with downloader, serving(downloader) as live:
        async with listening(live.url) as messages:
            await downloader.start(id="a", source_urn="mock:?name=Film", labels={"k": "1"})
            await downloader.wait("a")
            await downloader.adjust("a", labels={"k": "2", "new": "x"})
            await downloader.remove("a")
            seen = await messages.until("removed")
        names = [message["event"] for message in seen]
        assert {"queued", "started", "progress", "metadata", "completed", "adjusted"} <= {*names}
        at = names.index("adjusted")
        assert [m["labels"] for m in seen[:at]] == [{"k": "1"}] * at
        assert [m["labels"] for m in seen[at:]] == [{"k": "2", "new": "x"}] * (len(seen) - at)
        known = names.index("metadata")
        assert [m.get("name") for m in seen[known:]] == ["Film"] * (len(seen) - known)
        head = {"last-event-id": "0"}
        async with listening(live.url, headers=head) as messages:
            again = await messages.until("removed")
        told = {(m["seq"], m["event"]): (m.get("name"), m["labels"]) for m in seen}
        for message in again:
            place = (message["seq"], message["event"])
            assert (message.get("name"), message["labels"]) == told[place]


async def test_a_snapshot_has_name_and_labels(web: Api) -> None:
    await web.start(labels={"k": "1"})
    [change] = await web.downloader.snapshot("a")
    assert (change.name, change.labels) == ((await web.downloader.status("a")).name, {"k": "1"})


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_labels_and_what_events_told_of_them_survive_a_crash(
    kind: str, tmp_path: Path
) -> None:
    rig = Rig(kind, tmp_path)
    try:
        downloader = rig.make()
        rig.pace.hold()
        await rig.add(labels={"k": "1"})
        await rig.reach_active()
        await downloader.adjust("a", labels={"k": None, "l": "é"})
        again = await rig.crash()
        assert (await again.status("a")).labels == {"l": "é"}
        told = [(c.event, c.labels) for c in await again.changes_since(0, "a")][:3]
        assert told == [("queued", {"k": "1"}), ("started", {"k": "1"}), ("adjusted", {"l": "é"})]
        rig.pace.flow()
        await reach(again, "a", Status.COMPLETED)
        names = {c.name for c in await again.changes_since(0, "a") if c.event == "completed"}
        assert names == {(await again.status("a")).name}
    finally:
        await rig.aclose()

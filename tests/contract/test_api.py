"""The routes: what each answers, and how each says no."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies import __version__
from chilly_movies.api.app import documented_app
from chilly_movies.api.routes import downloads
from chilly_movies.api.routes.docs import to_yaml
from chilly_movies.api.wire import schemas as s
from chilly_movies.errors import StoreError
from chilly_movies.jobs.models import Status
from tests.contract.rig import reach
from tests.contract.web import URN, Api, api, contract, problem, read_yaml

pytestmark = pytest.mark.anyio

CONTRACT = Path(__file__).parents[2] / "contracts" / "openapi.yaml"


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def test_a_start_answers_at_once_with_the_job_in_short(web: Api) -> None:
    answer = await web.start("a", status="queued", unknown=[1])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    s.JobOut.model_validate_json(answer.content)
    assert set(answer.json()) == {"id", "status", "progress"}
    assert (answer.json()["id"], answer.json()["status"]) == ("a", "queued")


async def test_the_seeds_way_from_start_to_cancel(web: Api) -> None:
    await web.start("a")
    await reach(web.downloader, "a", Status.ACTIVE)
    for verb, status in [("pause", "paused"), ("resume", "queued"), ("cancel", "canceled")]:
        answer = await web.post(f"/download/{verb}", {"id": "a"})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        s.JobOut.model_validate_json(answer.content)
        if verb == "resume":
            await reach(web.downloader, "a", Status.ACTIVE)
    answer = await web.client.get("/download/status/a")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


async def test_an_absent_id_is_made_up_and_told(web: Api) -> None:
    answer = await web.post("/download/start", {"sourceUrn": URN})
    job_id = answer.json()["id"]
    assert (await web.client.get(f"/download/status/{job_id}")).json()["id"] == job_id


async def test_a_start_repeated_is_answered_like_the_first(web: Api) -> None:
    first, again = await web.start("a"), await web.start("a")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["id"] == again.json()["id"]
    assert len(await web.downloader.list()) == 1


async def test_conflicts_say_which_and_name_the_job_that_has_the_film(web: Api) -> None:
    await web.start("a")
    problem(await web.start("a", sourceUrn="https://films.example/b"), 409, "id_in_use")
    body = problem(await web.start("b", sourceUrn=URN), 409, "duplicate_download")
    assert body["existingId"] == "a"


async def test_an_impossible_step_names_both_states(web: Api) -> None:
    await web.start("a")
    await web.post("/download/cancel", {"id": "a"})
    body = problem(await web.post("/download/resume", {"id": "a"}), 409, "illegal_transition")
    assert "canceled" in body["detail"]
    assert "queued" in body["detail"]


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
async def test_verbs_do_not_find_an_unknown_job(web: Api, verb: str) -> None:
    problem(await web.post(f"/download/{verb}", {"id": "x"}), 404, "job_not_found")


@pytest.mark.parametrize("path", ["/download/status/x", "/downloads/x", "/events/x"])
async def test_questions_do_not_find_an_unknown_job(web: Api, path: str) -> None:
    problem(await web.client.get(path), 404, "job_not_found")


@pytest.mark.parametrize("path", ["/download/status/", "/downloads/", "/events/"])
@pytest.mark.parametrize("job_id", ["a%20b", "%C3%A9", "a%0A", "x" * 129, "a%00"])
async def test_an_id_of_the_wrong_form_is_refused_in_the_path(
    web: Api, path: str, job_id: str
) -> None:
    problem(await web.client.get(path + job_id), 422, "invalid_request", field="id")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": 5, "sourceUrn": URN}, "id"), ({"id": "../x", "sourceUrn": URN}, "id"),
        ({"id": ".", "sourceUrn": URN}, "id"), ({"sourceUrn": 5}, "sourceUrn"),
        ({"sourceUrn": ""}, "sourceUrn"), ({}, "sourceUrn"), ({"id": "new"}, "sourceUrn"),
        ({"sourceUrn": "mock:?x=1"}, "sourceUrn"), ({"sourceUrn": URN, "files": []}, "files"),
        ({"sourceUrn": URN, "files": [2147483647]}, "files.0"),
        ({"sourceUrn": URN, "seedRatio": -1}, "seedRatio"),
        ({"sourceUrn": URN, "seedTime": 1.5}, "seedTime"), ([], ""), ("x", ""), (None, ""),
    ],
)  # fmt: skip
async def test_a_wrong_start_names_the_field(web: Api, body: object, field: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await web.client.post("/download/start", content=json.dumps(body), headers=headers)
    code = "invalid_source" if body == {"sourceUrn": "mock:?x=1"} else "invalid_request"
    problem(answer, 422, code, field=field)
    assert list(await web.downloader.list()) == []


async def test_an_unknown_source_type_is_refused(web: Api) -> None:
    answer = await web.start("a", sourceType="ftp")
    problem(answer, 422, "unsupported_source", field="sourceType")


@pytest.mark.parametrize("body", [{}, {"id": 1}, {"id": ""}, {"id": None}, [], "a", {"ID": "a"}])
@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
async def test_verbs_need_an_id(web: Api, verb: str, body: object) -> None:
    problem(await web.post(f"/download/{verb}", body), 422, "invalid_request")


async def test_a_job_in_full_is_what_the_model_says(web: Api) -> None:
    await web.start("a", files=[0], seedRatio=1.5)
    await web.start("b")
    body = (await web.client.get("/downloads/a")).json()
    s.JobDetail.model_validate_json((await web.client.get("/downloads/a")).content)
    assert (body["sourceUrn"], body["sourceType"], body["position"]) == (URN, "http", 1)
    assert body["options"]["files"] == [0]
    assert body["options"]["seedRatio"] == 1.5


async def test_the_list_is_filtered_sorted_and_paged(web: Api) -> None:
    for job_id in "abcdef":
        await web.start(job_id)
    await web.post("/download/cancel", {"id": "b"})
    await web.post("/download/pause", {"id": "c"})
    seen: list[str] = []
    query = {"sort": "-position", "limit": "2"}
    while True:
        answer = await web.client.get("/downloads", params=query)
        s.JobPage.model_validate_json(answer.content)
        seen += [item["id"] for item in answer.json()["items"]]
        assert answer.json()["total"] == 6
        if answer.json()["nextCursor"] is None:
            break
        query["cursor"] = answer.json()["nextCursor"]
    assert seen == list("fedcba")
    chosen = await web.client.get("/downloads?status=paused&status=canceled")
    assert [item["id"] for item in chosen.json()["items"]] == ["b", "c"]


async def test_a_list_by_long_foreign_names_can_be_paged(web: Api) -> None:
    for number in range(3):
        await web.start(f"job-{number}", sourceUrn=f"mock:?name={'電影' * 45}{number}&seconds=0")
    web.pace.flow()
    await asyncio.gather(*(web.downloader.wait(f"job-{number}") for number in range(3)))
    first = (await web.client.get("/downloads?sort=name&limit=1")).json()
    query = {"sort": "name", "limit": "1", "cursor": first["nextCursor"]}
    assert (await web.client.get("/downloads", params=query)).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [("status=done", "status.0"), ("sort=size", "sort"), ("limit=0", "limit"),
     ("limit=501", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor")],
)  # fmt: skip
async def test_a_wrong_question_names_the_field(web: Api, query: str, field: str) -> None:
    problem(await web.client.get(f"/downloads?{query}"), 422, "invalid_request", field=field)


@pytest.mark.parametrize("query", ["", "?deleteFiles=true", "?deleteFiles=false"])
async def test_delete_takes_a_job_from_the_list(web: Api, query: str) -> None:
    await web.start("a")
    answer = await web.client.delete(f"/downloads/a{query}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await web.client.get("/downloads/a"), 404, "job_not_found")
    problem(await web.client.delete("/downloads/a"), 404, "job_not_found")


@pytest.mark.parametrize("path", ["/nothing", "/download", "/download/start/x", "/docs/x.js"])
async def test_there_is_nothing_elsewhere(web: Api, path: str) -> None:
    answer = await web.client.get(path)
    assert answer.status_code in (404, 405)


async def test_an_address_that_is_none_has_the_shape_of_all_errors(web: Api) -> None:
    problem(await web.client.get("/nothing"), 404, "not_found")
    problem(await web.post("/nothing", {}), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/download/start"), ("PUT", "/downloads/a"), ("DELETE", "/download/status/a"),
     ("POST", "/health"), ("POST", "/events"), ("POST", "/events/a"), ("DELETE", "/downloads"),
     ("POST", "/download/status/a"), ("OPTIONS", "/health")],
)  # fmt: skip
async def test_a_method_an_address_does_not_know_is_refused(
    web: Api, method: str, path: str
) -> None:
    answer = await web.client.request(method, path, headers={"content-type": "application/json"})
    problem(answer, 405, "method_not_allowed")
    allowed = answer.headers["allow"].split(", ")
    assert set(allowed) & {"GET", "POST"}
    assert method not in allowed


async def test_health_counts_the_jobs_of_each_status(web: Api) -> None:
    await web.start("a")
    answer = await web.client.get("/health")
    s.Health.model_validate_json(answer.content)
    assert (answer.json()["status"], answer.json()["version"]) == ("ok", __version__)
    assert set(answer.json()["jobs"]) == set(Status)
    assert sum(answer.json()["jobs"].values()) == 1


async def test_a_store_that_fails_is_503_and_says_when_to_come_back(
    web: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreError("The database cannot be written.")

    monkeypatch.setattr(web.downloader._store, "add", fail)
    answer = await web.start("a")
    problem(answer, 503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_bug_is_500_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with api() as web:
        monkeypatch.setattr(web.client._transport, "raise_app_exceptions", False)

        async def crash() -> None:
            raise ZeroDivisionError("/home/secret")

        monkeypatch.setattr(web.downloader, "list", crash)
        for path in ("/health", "/downloads"):
            answer = await web.client.get(path)
            problem(answer, 500, "internal_error")
            assert "secret" not in answer.text


# --- the contract ---------------------------------------------------------------------------


def test_the_written_contract_is_current() -> None:
    assert CONTRACT.read_text() == to_yaml(contract()), "run: make contract"


async def test_the_contract_is_served_in_both_forms(web: Api) -> None:
    as_json = (await web.client.get("/openapi.json")).json()
    as_yaml = await web.client.get("/openapi.yaml")
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert read_yaml(as_yaml.text) == as_json
    assert as_json["openapi"].startswith("3.")


def test_a_route_is_built_where_it_is_declared_and_no_second_time_for_the_first_request() -> None:
    assert {id(route) for route in downloads.router.routes} <= {
        id(route) for route in documented_app().routes
    }


def test_every_reference_in_the_contract_leads_somewhere() -> None:
    text, components = to_yaml(contract()), contract()["components"]
    used = re.findall(r"\$ref: '?#/components/(\w+)/(\w+)", text)
    assert used
    assert [name for kind, name in used if name not in components[kind]] == []


def test_every_route_tells_its_errors_as_problems() -> None:
    for path, methods in contract()["paths"].items():
        for method, route in methods.items():
            for status, answer in route["responses"].items():
                if int(status) >= 400:
                    shared = contract()["components"]["responses"]
                    said = shared.get(answer.get("$ref", "").rpartition("/")[2], answer)
                    assert list(said["content"]) == ["application/problem+json"], (path, method)


async def test_the_docs_need_nothing_from_outside(web: Api) -> None:
    start = await web.client.get("/")
    assert (start.status_code, start.headers["location"]) == (307, "docs")
    page = await web.client.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!doctype", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "start.js"):
        answer = await web.client.get(f"/docs/{asset}")
        assert answer.status_code == 200
        assert len(answer.content) > 50
    script = (await web.client.get("/docs/start.js")).text
    assert "http" not in script

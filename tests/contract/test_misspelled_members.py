"""Members of a body that are spelled almost right are refused by name; strange ones are ignored."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chilly_movies.api.openapi import operations
from tests.contract.web import CONTRACT_GROUP, Api, api, contract, problem

pytestmark = [pytest.mark.anyio, CONTRACT_GROUP]

STRANGE = {"status": "queued", "tmdbId": 603, "mediaType": "movie", "title": "Film",
           "quality": "1080p", "seasonNumber": 1, "idx": 1, "sourceUrl": "x", "download": 1,
           "file": 0, "limit": 2, "folders": "x", "": 1}  # fmt: skip
"""What other programs send beside what we read, and names that are only like ours."""


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api(start_limit="100000/minute") as web:
        yield web


def bodies() -> Iterator[tuple[str, str, dict[str, Any], list[str]]]:
    """Every route that reads JSON: method, path, its example and its members."""
    schemas = contract()["components"]["schemas"]
    for name, operation in operations(contract()["paths"]):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            schema = schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]
            method, path = name.split(" ")
            path = path.replace("/library/{id}", "/library/lib-1").replace("{id}", "1")
            yield method, path, schema["examples"][0], [*schema["properties"]]


def misspelled(name: str) -> set[str]:
    """The member in other case, with `_` and `-`."""
    snake = re.sub("([A-Z])", r"_\1", name).lower()
    forms = {name.lower(), name.upper(), name.title(), snake, snake.replace("_", "-"),
             f"_{name}", f"{name[0].upper()}{name[1:]}"}  # fmt: skip
    return forms - {name}


async def test_every_misspelled_member_is_refused_by_its_name_and_the_right_one(web: Api) -> None:
    tried = set()
    for method, path, body, members in bodies():
        for member in members:
            for wrong in sorted(misspelled(member)):
                answer = await web.client.request(method, path, json={**body, wrong: None})
                said = problem(answer, 422, "invalid_request", field=wrong)
                assert said["detail"] == f"There is no member '{wrong}'; it is spelled '{member}'."
                tried.add((path, wrong))
    assert {
        ("/download/start", "downloadlimit"), ("/download/start", "Folder"),
        ("/download/start", "download_limit"), ("/download/pause", "ID"),
        ("/downloads/1/files", "Files"), ("/torrents/create", "web-seeds"),
    } <= tried  # fmt: skip


async def test_strange_members_are_ignored(web: Api) -> None:
    assert (await web.start("1")).status_code == 200
    for method, path, body, members in bodies():
        strange = {name: value for name, value in STRANGE.items() if name not in members}
        before = await web.client.request(method, path, json=body)
        answer = await web.client.request(method, path, json={**strange, **body})
        assert answer.status_code == before.status_code, answer.text
        assert "no member" not in answer.text


async def test_a_misspelled_field_of_an_upload_is_refused(web: Api) -> None:
    torrent = {"torrent": ("a.torrent", b"d4:infode", "application/x-bittorrent")}
    answer = await web.client.post("/download/start", data={"downloadlimit": "5"}, files=torrent)
    problem(answer, 422, "invalid_request", field="downloadlimit")
    answer = await web.client.post("/download/start", data={"title": "Film"}, files=torrent)
    assert answer.status_code == 200, answer.text


async def test_a_program_that_calls_the_library_hears_of_it_too(web: Api) -> None:
    with pytest.raises(Exception, match="no member 'downloadlimit'; it is spelled 'downloadLimit'"):
        await web.downloader.start({"id": "1", "sourceUrn": "mock:?", "downloadlimit": 5})
    job = await web.downloader.start({"id": "1", "sourceUrn": "mock:?", "download_limit": 5})
    assert job.options.download_limit == 5


async def test_a_misspelled_name_of_any_length_gets_a_short_answer(web: Api) -> None:
    answer = await web.client.post("/download/pause", json={"id": "1", "i" + "_" * 9000 + "d": 1})
    assert len(problem(answer, 422, "invalid_request")["detail"]) < 200

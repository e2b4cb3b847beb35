"""`/downloads/{id}/files`: how far each file is, and which to have first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.rig import reach_when
from tests.contract.web import Api, api, problem

pytestmark = pytest.mark.anyio
PATH = "/downloads/a/files"


async def half_there(web: Api) -> None:
    """Bring job `a` to its files, and time to a stop."""
    web.pace.hold(after=3)
    await web.start()
    await reach_when(web.downloader, "a", lambda job: job.progress.bytes_downloaded == 500)


async def patch(web: Api, *choices: Any, **more: Any) -> Any:
    return await web.client.patch(PATH, json={"files": list(choices)}, **more)


async def test_the_files_say_how_far_they_are_and_where_they_play() -> None:
    async with api() as web:
        await half_there(web)
        answer = await web.client.get(PATH)
    assert answer.status_code == 200
    assert answer.json() == {
        "files": [{
            "index": 0, "path": "a.mkv", "size": 1000, "percent": 50.0, "priority": 4,
            "mediaType": "video/x-matroska", "streamUrl": "/stream/a/0",
        }]
    }  # fmt: skip


async def test_before_the_metadata_there_are_no_files_to_show_or_choose() -> None:
    async with api() as web:
        await web.start()
        assert (await web.client.get(PATH)).json() == {"files": []}
        problem(await patch(web, {"index": 0, "priority": 7}), 409, "not_readable")


async def test_a_choice_is_shown_kept_and_told() -> None:
    async with api() as web:
        await half_there(web)
        answer = await patch(web, {"index": 0, "priority": 7})
        assert [file["priority"] for file in answer.json()["files"]] == [7]
        assert (await patch(web, {"index": 0, "priority": 7})).status_code == 200
        told = [change.event for change in await web.downloader.changes_since(0, "a")]
    assert told.count("files") == 1


@pytest.mark.parametrize(
    "choices",
    [
        [], [{"index": 0}], [{"priority": 1}], [{"index": 0, "priority": 8}],
        [{"index": 0, "priority": -1}], [{"index": -1, "priority": 4}],
        [{"index": 0, "priority": True}], [{"index": 0, "priority": "4"}],
        [{"index": 0, "priority": 4}, {"index": 0, "priority": 5}],
        [{"index": 0, "priority": 0}],
    ],
)  # fmt: skip
async def test_a_choice_that_makes_no_sense_is_refused(choices: list[Any]) -> None:
    async with api() as web:
        await half_there(web)
        problem(await patch(web, *choices), 422, "invalid_request")


async def test_an_unknown_file_or_job_is_not_found_and_a_canceled_one_refuses() -> None:
    async with api() as web:
        problem(await web.client.get(PATH), 404, "job_not_found")
        problem(await patch(web, {"index": 0, "priority": 1}), 404, "job_not_found")
        await half_there(web)
        problem(await patch(web, {"index": 5, "priority": 1}), 404, "file_not_found")
        await web.post("/download/cancel", {"id": "a"})
        problem(await patch(web, {"index": 0, "priority": 1}), 409, "illegal_transition")


async def test_a_patch_must_be_strict_json_of_a_bounded_size() -> None:
    async with api() as web:
        await half_there(web)
        text = {"content-type": "text/plain"}
        problem(await web.client.patch(PATH, content=b"{}", headers=text), 415,
                "unsupported_media_type")  # fmt: skip
        json_type = {"content-type": "application/json"}
        for body in (b'{"files": NaN}', b"[" * 100, b'{"files":[],"files":[]}'):
            answer = await web.client.patch(PATH, content=body, headers=json_type)
            problem(answer, 422, "invalid_request")
        huge = b" " * (2 << 20)
        problem(await web.client.patch(PATH, content=huge, headers=json_type), 413,
                "body_too_large")  # fmt: skip

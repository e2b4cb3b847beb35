"""An option of a start is described once, and means the same wherever it is given."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from chilly_movies.api.wire.schemas import OptionsOut
from chilly_movies.cli.commands import main
from chilly_movies.cli.start_options import OptionFlags
from chilly_movies.client import ApiClient
from chilly_movies.jobs.options import OPTIONS, START_OPTIONS, Options
from chilly_movies.jobs.start_request import StartRequest
from tests.contract.web import Api, api

pytestmark = pytest.mark.anyio

GIVEN: dict[str, tuple[Any, str]] = {
    "files": ([2, 0], "2,0"), "download_limit": (7, "7"), "upload_limit": (0, "0"),
    "seed_ratio": (1.5, "1.5"), "seed_time": (60, "60"), "allow_executables": (True, "true"),
    "folder": ("Films/2024", "Films/2024"), "forced": (True, "true"),
    "order": ("ends-first", "ends-first"), "mode": ("copy", "copy"),
    "checksum": ("md5:" + "0" * 32, "md5:" + "0" * 32),
    "video_quality": ("1080", "1080"), "subtitles": ("en,pt-BR", "en,pt-BR"),
}  # fmt: skip
"""A value of each option, and how it is typed in a form."""


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


def wanted(name: str) -> Options:
    asked: dict[str, Any] = {name: (0, 2) if name == "files" else GIVEN[name][0]}
    return replace(Options(), **asked)


def test_every_option_is_tried_here() -> None:
    assert list(GIVEN) == list(OPTIONS)
    assert set(START_OPTIONS) <= set(StartRequest.model_fields)
    assert set(OPTIONS) == set(OptionsOut.model_fields)
    assert set(START_OPTIONS) == set(OptionFlags.__annotations__)


@pytest.mark.parametrize("name", GIVEN)
async def test_an_option_means_the_same_in_python_in_json_and_in_a_form(
    web: Api, name: str
) -> None:
    value, text = GIVEN[name]
    wire = OPTIONS[name].wire
    await web.downloader.start(id="python", source_urn="mock:?name=p", **{name: value})
    await web.post("/download/start", {"id": "json", "sourceUrn": "mock:?name=j", wire: value})
    files = {"torrent": ("film.torrent", b"d4:infode")}
    await web.client.post("/download/start", files=files, data={"id": "form", wire: text})
    for job_id in ("python", "json", "form"):
        assert (await web.downloader.status(job_id)).options == wanted(name), job_id
        shown = (await web.client.get(f"/downloads/{job_id}")).json()["options"]
        assert shown[wire] == (sorted(value) if name == "files" else value)


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("torrent", [None, b"d4:infode"])
async def test_the_client_takes_an_option_in_both_spellings(
    web: Api, name: str, torrent: bytes | None
) -> None:
    value, _ = GIVEN[name]
    transport = web.client._transport
    async with ApiClient("http://localhost:3000", transport=transport) as client:
        for spelling in {name, OPTIONS[name].wire}:
            urn = None if torrent else f"mock:?name={spelling}"
            data = torrent and torrent + spelling.encode()
            job = await client.start(urn, torrent=data, **{spelling: value})
            assert (await web.downloader.status(job["id"])).options == wanted(name)


@pytest.mark.parametrize("name", GIVEN)
def test_the_command_add_has_a_flag_for_every_option(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, text = GIVEN[name]
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(200, json={"id": "a", "status": "queued"})

    make = ApiClient.__init__
    monkeypatch.setattr(
        ApiClient, "__init__",
        lambda self, url, **more: make(self, url, **more, transport=httpx2.MockTransport(answer)),
    )  # fmt: skip
    flag = f"--{name.replace('_', '-')}"
    typed = [flag] if value is True else [flag, text]
    assert main(["add", "magnet:?xt=x", *typed]) == 0
    assert bodies[0][OPTIONS[name].wire] == (sorted(value) if name == "files" else value)
    assert set(bodies[0]) == {"sourceUrn", OPTIONS[name].wire}

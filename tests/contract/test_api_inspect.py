"""`POST /torrents/inspect`: what is in a torrent, before anybody downloads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chilly_movies.api.policy import KeyScope
from chilly_movies.errors import NoMetadata, SourceRejected
from chilly_movies.jobs.models import Source
from chilly_movies.jobs.torrents import InspectedTorrent
from tests.contract.web import Api, api, problem

pytestmark = pytest.mark.anyio
MAGNET = "magnet:?xt=urn:btih:" + "ab" * 20


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as found:
        yield found


async def test_the_answer_says_what_a_start_can_choose_from_and_stores_nothing(web: Api) -> None:
    answer = await web.post("/torrents/inspect", {"sourceUrn": MAGNET, "more": 1})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [(file["index"], file["mediaType"]) for file in body["files"]] == [
        (0, "video/x-matroska"), (1, "text/plain; charset=utf-8")]  # fmt: skip
    assert body["size"] == sum(file["size"] for file in body["files"])
    assert set(body) == {
        "name", "infoHash", "infoHashV2", "size", "pieceLength", "private", "files", "trackers",
        "peers",
    }  # fmt: skip
    assert not await web.downloader.list()


async def test_a_torrent_file_can_be_uploaded(web: Api) -> None:
    files = {"torrent": ("film.torrent", b"d4:infode", "application/x-bittorrent")}
    answer = await web.client.post("/torrents/inspect", files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["peers"] is None


async def test_what_is_no_torrent_is_refused_before_anybody_is_asked(web: Api) -> None:
    wrong: list[Any] = [[], {}, {"sourceUrn": ""}, {"sourceUrn": 7}, {"sourceUrn": "a\u0000b"}]
    for body in wrong:
        assert (await web.post("/torrents/inspect", body)).status_code == 422, body
    problem(await web.post("/torrents/inspect", {"sourceUrn": "mock:?size=x"}), 422,
            "invalid_source", field="sourceUrn")  # fmt: skip
    answer = await web.client.post("/torrents/inspect", files={"other": ("x", b"x")})
    problem(answer, 422, "invalid_request", field="torrent")
    problem(await web.client.post("/torrents/inspect", content=b"x"), 415, "unsupported_media_type")
    answer = await web.client.get("/torrents/inspect")
    problem(answer, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("error", "status"),
    [(NoMetadata("Nobody sent it."), 504), (SourceRejected("It holds links."), 502)],
)
async def test_what_went_wrong_on_the_way_is_told_as_for_a_job(
    web: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    async def fail(_source: Source) -> InspectedTorrent:
        raise error

    monkeypatch.setattr(web.downloader.parts.tools.inspector, "inspect", fail)  # type: ignore[attr-defined]
    answer = await web.post("/torrents/inspect", {"sourceUrn": MAGNET})
    problem(answer, status, error.code)  # type: ignore[attr-defined]


async def test_passkeys_of_trackers_are_hidden(web: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    real = web.downloader.parts.tools.inspector.inspect  # type: ignore[attr-defined]
    secret = "0123456789abcdef0123456789abcdef"

    async def with_trackers(source: Source) -> InspectedTorrent:
        found: InspectedTorrent = await real(source)
        urls = (f"https://t.example/{secret}/announce", f"https://t.example/a?passkey={secret}")
        object.__setattr__(found, "trackers", urls)
        return found

    monkeypatch.setattr(web.downloader.parts.tools.inspector, "inspect", with_trackers)  # type: ignore[attr-defined]
    answer = await web.post("/torrents/inspect", {"sourceUrn": MAGNET})
    assert secret not in answer.text
    assert [url.count("[hidden]") for url in answer.json()["trackers"]] == [1, 1]


async def test_inspections_are_limited_like_starts_and_need_the_same_key() -> None:
    keys = (("reading-key-1", KeyScope.READ), ("control-key-1", KeyScope.CONTROL))
    async with api(start_limit="2/minute", keys=keys) as web:
        body = {"sourceUrn": MAGNET}
        reading = {"x-api-key": "reading-key-1"}
        control = {"x-api-key": "control-key-1"}
        problem(await web.post("/torrents/inspect", body), 401, "unauthorized")
        answer = await web.post("/torrents/inspect", body, headers=reading)
        assert answer.status_code == 403
        codes = [
            (await web.post("/torrents/inspect", body, headers=control)).status_code
            for _ in range(3)
        ]
        assert codes == [200, 200, 429]

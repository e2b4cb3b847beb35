"""What players ask of the API: media facts, subtitles, playlists. On the mock backend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from chilly_movies.api.routes.subtitles import SubtitlesOut
from chilly_movies.api.routes.watching import MediaPage
from chilly_movies.jobs.models import Status
from tests.contract.rig import reach, reach_when
from tests.contract.web import SECRET, Api, api, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def film(web: Api, name: str = "Film", job_id: str = "a", **headers: str) -> None:
    """A complete mock film of this name."""
    web.pace.flow()
    body = {"id": job_id, "sourceUrn": f"mock:?name={quote(name)}"}
    answer = await web.client.post("/download/start", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    await reach(web.downloader, job_id, Status.COMPLETED)


async def test_media_facts_say_what_is_inside_and_whether_browsers_play_it(web: Api) -> None:
    await film(web)
    answer = await web.client.get("/downloads/a/media")
    MediaPage.model_validate_json(answer.content)
    [file] = answer.json()["files"]
    assert (file["index"], file["path"], file["state"]) == (0, "Film.mkv", "known")
    assert file["playsInBrowsers"] is False
    assert "Matroska" in file["verdict"]
    media = file["media"]
    assert (media["container"], media["duration"], media["chapters"]) == ("Matroska", 5400.0, 12)
    assert media["video"]["codec"] == "H.264"
    assert [track["language"] for track in media["audio"]] == ["en", "fr"]


async def test_before_the_first_bytes_the_facts_are_waited_for_and_the_answer_comes(
    web: Api,
) -> None:
    await web.start("a")
    assert (await web.client.get("/downloads/a/media")).json() == {"files": []}
    problem(await web.client.get("/stream/a.m3u8"), 503, "not_arrived")
    web.pace.hold(after=2)
    await web.post("/download/start", {"id": "b", "sourceUrn": "mock:?name=b"})
    await reach_when(web.downloader, "b", lambda job: job.files)
    [file] = (await web.client.get("/downloads/b/media")).json()["files"]
    assert (file["state"], file["playsInBrowsers"], file["media"]) == ("waiting", None, None)
    assert (await web.client.get("/subtitles/b")).json() == {"subtitles": []}


async def test_subtitles_are_listed_and_served_as_webvtt(web: Api) -> None:
    await film(web)
    answer = await web.client.get("/subtitles/a")
    SubtitlesOut.model_validate_json(answer.content)
    one, two = answer.json()["subtitles"]
    assert (one["n"], one["label"], one["language"]) == ("0-4", "English", "en")
    assert (two["label"], two["forced"], two["film"]) == ("French (forced)", True, 0)
    assert one["url"] == "/subtitles/a/0-4.vtt"
    served = await web.client.get(one["url"])
    assert served.headers["content-type"] == "text/vtt; charset=utf-8"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert served.text.startswith("WEBVTT\n\n00:00:01.000 --> ")


@pytest.mark.parametrize("path", ["/subtitles/x", "/subtitles/x/1.vtt", "/downloads/x/media",
                                  "/stream/x.m3u8"])  # fmt: skip
async def test_an_unknown_job_is_not_found(web: Api, path: str) -> None:
    problem(await web.client.get(path), 404, "job_not_found")


async def test_unknown_and_malformed_subtitles_are_refused(web: Api) -> None:
    await film(web)
    for n in ("7", "0-9", "0"):
        problem(await web.client.get(f"/subtitles/a/{n}.vtt"), 404, "subtitle_not_found")
    for n in ("%0a", "0-4%0d%0a", "..%2f"):
        problem(await web.client.get(f"/subtitles/a/{n}.vtt"), 404, "not_found")
    for n in ("x", "0-", "-1", "1" * 20):
        problem(await web.client.get(f"/subtitles/a/{n}.vtt"), 422, "invalid_request")


async def test_a_playlist_names_the_films_with_absolute_links(web: Api) -> None:
    await film(web)
    await web.client.get("/downloads/a/media")
    answer = await web.client.get("/stream/a.m3u8")
    assert answer.headers["content-type"] == "audio/x-mpegurl; charset=utf-8"
    assert answer.text == "#EXTM3U\n#EXTINF:5400,Film\nhttp://localhost:3000/stream/a/0\n"
    named = await web.client.get("/stream/a.m3u8", headers={"Host": "127.0.0.1:3000"})
    assert named.text.endswith("http://127.0.0.1:3000/stream/a/0\n")


async def test_a_job_whose_id_ends_like_a_playlist_is_played_and_has_a_playlist(web: Api) -> None:
    await film(web)
    await film(web, "Other", job_id="a.m3u8")
    for path, kind in (
        ("/stream/a.m3u8", "video/x-matroska"), ("/stream/a.m3u8.m3u8", "audio/x-mpegurl"),
        ("/stream/a", "video/x-matroska"), ("/stream/a.m3u8/0", "video/x-matroska"),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            answer = await web.client.request(method, path, headers={"Range": "bytes=0-7"})
            assert answer.status_code in (200, 206), answer.text
            assert answer.headers["content-type"].startswith(kind), path
    listed = (await web.client.get("/stream/a.m3u8.m3u8")).text
    assert listed.endswith("http://localhost:3000/stream/a.m3u8/0\n")


async def test_the_second_request_for_a_film_knows_its_bitrate(web: Api) -> None:
    await film(web)
    asked: list[int | None] = []
    opening = web.downloader.open_file

    def noting(*args: Any, **more: Any) -> Any:
        asked.append(more.get("bitrate"))
        return opening(*args, **more)

    web.downloader.open_file = noting  # type: ignore[method-assign]
    for _ in range(2):
        await web.client.get("/stream/a/0", headers={"Range": "bytes=0-7"})
        await web.client.get("/downloads/a/media")
    assert asked[0] is None
    assert asked[-1] == 1_037_037 // 8


async def test_with_keys_links_are_signed_and_end_with_the_link_that_led_to_them() -> None:
    async with api(api_secret=SECRET) as web:
        key = {"x-api-key": SECRET}
        await film(web, **key)
        [first, *_] = (await web.client.get("/subtitles/a", headers=key)).json()["subtitles"]
        assert (await web.client.get(first["url"])).status_code == 200
        assert SECRET not in first["url"]
        link = await web.client.get("/links?path=/stream/a.m3u8&seconds=60", headers=key)
        listed = await web.client.get(link.json()["url"])
        assert (listed.status_code, SECRET in listed.text) == (200, False)
        inner = urlsplit(listed.text.splitlines()[-1])
        expires = int(inner.query.split("expires=")[1].split("&")[0])
        assert expires <= time.time() + 61
        problem(await web.client.get("/stream/a.m3u8"), 401, "unauthorized")
        problem(await web.client.get("/subtitles/a/0-4.vtt"), 401, "unauthorized")

"""A face beside the API: its own credentials, bodies and limits behind our host and key rules."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp, Scope

from chilly_movies.api.gates.faces import Face
from chilly_movies.api.policy import KeyScope
from chilly_movies.app import create_app
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT, Pace
from tests.contract.small_face import small_face
from tests.contract.web import SECRET, problem

pytestmark = pytest.mark.anyio
READER = "a-key-with-which-one-looks"
FILM = {"urls": "mock:?name=Alien"}
AT = "/small/v2"


def client_of(app: ASGIApp, host: str = "localhost:3000") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")


@asynccontextmanager
async def beside(*change: Any, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """The API with a face; `change` makes another of it."""
    pace = Pace()
    pace.hold()
    async with MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep) as downloader:
        face = small_face(downloader)
        for one in change:
            face = one(face)
        async with client_of(create_app(downloader, faces=[face], **settings)) as client:
            yield client
        pace.flow()


KEYED: dict[str, Any] = {"api_secret": SECRET, "keys": ((READER, KeyScope.READ),)}


async def test_a_face_takes_forms_and_works_on_the_same_downloads() -> None:
    async with beside() as client:
        assert (await client.post(f"{AT}/add", data=FILM)).text == "Ok."
        assert (await client.get(f"{AT}/info")).text == FILM["urls"]
        [job] = (await client.get("/downloads")).json()["items"]
    assert job["sourceUrn"] == FILM["urls"]


async def test_a_face_reads_keys_in_its_own_form_and_each_may_what_it_may_in_the_api() -> None:
    async with beside(**KEYED) as client:
        assert (await client.post(f"{AT}/add", data=FILM)).text == "Forbidden"
        key = {"x-api-key": SECRET}
        assert (await client.get(f"{AT}/info", headers=key)).text == "Forbidden"
        assert (await client.post(f"{AT}/login", data={"password": "no"})).text == "Fails."
        for password, may in ((READER, False), (SECRET, True)):
            said = await client.post(f"{AT}/login", data={"password": password})
            assert said.text == "Ok."
            assert (await client.get(f"{AT}/info")).status_code == 200
            assert (await client.post(f"{AT}/add", data=FILM)).text == (
                "Ok." if may else "Forbidden"
            )
        problem(await client.get("/downloads"), 401, "unauthorized")


def basic(scope: Scope) -> bytes | None:
    sent = dict(scope["headers"]).get(b"authorization", b"")
    return base64.b64decode(sent.removeprefix(b"Basic ")).partition(b":")[2] if sent else None


async def test_a_face_may_use_http_basic() -> None:
    async with beside(lambda face: replace(face, key=basic), **KEYED) as client:
        assert (await client.get(f"{AT}/info")).status_code == 403
        answer = await client.get(f"{AT}/info", auth=("anybody", SECRET))
        assert answer.status_code == 200


async def test_a_face_has_a_limit_of_its_own_for_bodies_of_any_type() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100)

    async with beside() as client:
        long: dict[str, Any] = {"urls": "x" * 1000}
        problem(await client.post(f"{AT}/add", data=long), 413, "body_too_large")
        header = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post(f"{AT}/add", content=endless(), headers=header)
        problem(answer, 413, "body_too_large")
        body = {"id": "1", "sourceUrn": "mock:?", "title": "x" * 1000}
        assert (await client.post("/download/start", json=body)).status_code == 200


async def test_a_face_has_a_rate_of_its_own() -> None:
    async with beside(lambda face: replace(face, rate="2/minute")) as client:
        codes = [(await client.get(f"{AT}/info")).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert (await client.get("/downloads")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"host": "rebound.example"}, 421, "misdirected_host"),
        ({"origin": "https://evil.example"}, 403, "forbidden_origin"),
        ({"sec-fetch-site": "cross-site"}, 403, "forbidden_origin"),
    ],
)
async def test_a_face_stands_behind_the_host_and_origin_rules(
    headers: dict[str, str], status: int, code: str
) -> None:
    async with beside() as client:
        problem(await client.post(f"{AT}/add", data=FILM, headers=headers), status, code)
        assert (await client.get("/downloads")).json()["total"] == 0


async def test_a_face_sees_the_address_that_a_known_proxy_tells() -> None:
    one = {"x-forwarded-for": "203.0.113.9"}
    other = {"x-forwarded-for": "203.0.113.10"}
    change = lambda face: replace(face, rate="1/minute")  # noqa: E731
    async with beside(change, proxies=("127.0.0.1",)) as client:
        codes = [(await client.get(f"{AT}/info", headers=h)).status_code for h in (one, one, other)]
    assert codes == [200, 429, 200]


async def test_a_face_answers_below_its_prefix_and_nowhere_else() -> None:
    async with beside() as client:
        assert (await client.get(f"{AT}/nothing")).text == "Not Found"
        for path in ("/small", "/small/v21/info", "/info", f"/downloads{AT}/info"):
            problem(await client.get(path), 404, "not_found")


async def test_a_face_that_is_switched_off_leaves_no_trace() -> None:
    async with MockDownloader(SCRIPT) as downloader:
        without, plain = create_app(downloader, faces=[]), create_app(downloader)
        for app in (without, plain):
            async with client_of(app) as client:
                for method in ("GET", "POST"):
                    answer = await client.request(method, f"{AT}/info")
                    problem(answer, 404, "not_found")
                contract = (await client.get("/openapi.json")).text
                assert AT not in contract
        async with client_of(create_app(downloader, faces=[small_face(downloader)])) as client:
            assert (await client.get("/openapi.json")).text == contract
    layers: list[list[str]] = []
    for app in (without, plain):
        layers.append([])
        layer: Any = app
        while hasattr(layer, "_app"):
            layers[-1].append(type(layer).__name__)
            layer = layer._app
    assert layers[0] == layers[1]
    assert "FaceGate" not in layers[0]


@pytest.mark.parametrize(
    "prefix", ["", "/", "small", "/small/", "/downloads", "/download", "/health"]
)
async def test_a_prefix_that_is_none_or_the_api_s_own_is_refused(prefix: str) -> None:
    def face(downloader: Downloader) -> Face:
        return replace(small_face(downloader), prefix=prefix)

    async with MockDownloader(SCRIPT) as downloader:
        with pytest.raises(ValueError, match=r"prefix|answered"):
            create_app(downloader, faces=[face(downloader)])
        with pytest.raises(ValueError, match="answered"):
            create_app(downloader, faces=[small_face(downloader)] * 2)

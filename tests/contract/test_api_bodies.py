"""Bodies: strict JSON within bounds or one torrent file, and nothing else."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from chilly_movies.api.gates import bodies
from chilly_movies.api.gates.bodies import json_flaw
from chilly_movies.api.routes.files import ChoiceBody
from tests.contract.web import URN, Api, api, problem
from tests.security.asgi import policies

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
JSON = {"content-type": "application/json"}
START = '{"id": "a", "sourceUrn": "https://films.example/a"}'


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def send(web: Api, body: bytes | str, path: str = "/download/start") -> httpx2.Response:
    return await web.client.post(path, content=body, headers=JSON)


BOMBS: dict[str, bytes] = {
    "nothing closed": b"{",
    "trailing text": START.encode() + b" x",
    "two documents": START.encode() * 2,
    "single quotes": b"{'id': 'a'}",
    "NaN": b'{"id": "a", "seedRatio": NaN}',
    "Infinity": b'{"id": "a", "seedRatio": Infinity}',
    "-Infinity": b'{"id": "a", "x": -Infinity}',
    "1e400": b'{"id": "a", "seedRatio": 1e400}',
    "a huge integer": b'{"id": "a", "seedTime": 1' + b"0" * 5000 + b"}",
    "an integer past 2^53": b'{"id": "a", "seedTime": 9007199254740993}',
    "a key twice": b'{"id": "a", "id": "b"}',
    "a key twice inside": b'{"id": "a", "x": {"y": 1, "y": 2}}',
    "a lone surrogate": b'{"id": "a", "sourceUrn": "\\ud800"}',
    "a lone surrogate as a key": b'{"id": "a", "\\udfff": 1}',
    "no UTF-8": b'{"id": "\xff"}',
    "UTF-16": START.encode("utf-16"),
    "two byte order marks": b"\xef\xbb\xbf" * 2 + START.encode(),
    "a control character": b'{"id": "a\x01"}',
    "21 lists": b"[" * 21 + b"]" * 21,
    "21 objects": b'{"a":' * 21 + b"1" + b"}" * 21,
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 open lists": b"[" * 100_000,
    "50,000 objects": b'{"a":' * 50_000,
    "60,000 members": b'{"files": [' + b"1," * 60_000 + b"1]}",
}


@pytest.mark.parametrize("path", ["/download/start", "/download/pause"])
@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
async def test_json_that_is_none_or_a_trap_is_refused(web: Api, body: bytes, path: str) -> None:
    answer = await send(web, body, path)
    if path != "/download/start" and len(body) > 16 * 1024:  # more than an id ever takes
        problem(answer, 413, "body_too_large")
    else:
        assert problem(answer, 422, "invalid_request")["errors"]
    assert list(await web.downloader.list()) == []


@pytest.mark.parametrize(
    "body",
    ['{"id": "a", "sourceUrn": "https://films.example/é ✓"}', START + "\n \t",
     '{"id": "a", "sourceUrn": "https://films.example/\\ud83c\\udfac"}', "\ufeff" + START,
     START.replace("}", ', "x": ' + "[" * 18 + "]" * 18 + "}"),
     START.replace("}", ', "x": 9007199254740991, "y": 1.5e300, "z": {"x": null}}')],
)  # fmt: skip
async def test_json_that_is_only_unusual_is_taken(web: Api, body: str) -> None:
    assert (await send(web, body.encode())).status_code == 200


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab\\\"é"),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=8))  # fmt: skip
def test_no_ordinary_value_has_a_flaw(value: Any) -> None:
    assert json_flaw(json.dumps(value).encode()) is None
    assert json_flaw(json.dumps(value, ensure_ascii=False).encode()) is None


@given(st.binary(max_size=200) | st.text('[]{}":,0123456789eE+-.\\unlNaI truefs', max_size=60))
def test_no_body_whatever_breaks_the_check(body: bytes | str) -> None:
    flaw = json_flaw(body if isinstance(body, bytes) else body.encode())
    assert flaw is None or flaw


@pytest.mark.parametrize(
    ("body", "flaw"),
    [('{"a": [["\\ud83c"]]}', "UTF-8"), ('[{"b": {"\\ud83c": 1}}]', "UTF-8"),
     ('{"\\ud83c": 1, "\\udfac": 2}', "UTF-8"), ('"\\udfac"', "UTF-8"),
     ('{"a":' * 19 + "1" + "}" * 19, None), ('{"a":' * 20 + "1" + "}" * 20, "deeper"),
     ('{"a":' * 20 + "{}" + "}" * 20, "deeper"), ('[{"a":' * 10 + "[1]" + "}]" * 10, "deeper"),
     ('[{"a":' * 9 + "[1]" + "}]" * 9, None), ("[" * 20 + "]" * 20, None),
     ("[" * 21 + "]" * 21, "deeper"), ('{"a": [[], {"b": [{"b": 0, "b": 0}]}]}', "twice")],
)  # fmt: skip
def test_a_flaw_is_seen_however_deep_it_lies(body: str, flaw: str | None) -> None:
    found = json_flaw(body.encode())
    assert found is None if flaw is None else flaw in str(found)


async def test_a_body_without_end_is_cut_off(web: Api) -> None:
    sent = 0

    async def forever() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * MIB:
            sent += 65_536
            yield b" " * 65_536

    answer = await web.client.post("/download/start", content=forever(), headers=JSON)
    problem(answer, 413, "body_too_large")
    assert sent < 2 * MIB


@pytest.mark.parametrize("size", [MIB // 4 + 1, 10 * MIB])
async def test_json_larger_than_any_start_is_refused(web: Api, size: int) -> None:
    padded = START.encode() + b" " * (size - len(START))
    problem(await send(web, padded), 413, "body_too_large")


async def test_json_of_256_kib_is_taken_and_a_choice_of_files_of_1_mib(web: Api) -> None:
    padded = START.encode() + b" " * (MIB // 4 - len(START))
    assert (await send(web, padded)).status_code == 200
    body = b'{"files": [{"index": 0, "priority": 0}]}'
    for size, status in ((MIB, 409), (MIB + 1, 413)):
        answer = await web.client.patch(
            "/downloads/a/files", content=body + b" " * (size - len(body)), headers=JSON
        )
        assert answer.status_code == status, answer.text


async def test_a_thousand_errors_in_a_list_are_told_by_the_first(web: Api) -> None:
    await web.start()
    choices = [{"index": -1, "priority": 7}] * 1000
    answer = await web.client.patch("/downloads/a/files", json={"files": choices})
    assert len(problem(answer, 422, "invalid_request")["errors"]) == 1
    answer = await web.post("/download/start", {"id": "b", "files": [-1] * 1000})
    assert len(problem(answer, 422, "invalid_request")["errors"]) == 1


async def test_large_bodies_take_turns_and_a_slow_one_does_not_stop_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "ROOM", 3 * MIB)
    async with api(start_limit="100/second") as web:
        go = asyncio.Event()
        began = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield START.encode() + b" " * 20_000  # of unknown length, and more than most need
            began.set()
            await go.wait()
            yield b" "

        async with asyncio.TaskGroup() as group:
            first = group.create_task(
                web.client.post("/download/start", content=slow(), headers=JSON)
            )
            await began.wait()
            padded = START.replace('"a"', '"b"').replace("/a", "/b").encode() + b" " * 40_000
            second = group.create_task(send(web, padded))
            assert (await web.start("c")).status_code == 200
            assert not second.done()
            go.set()
        assert (first.result().status_code, second.result().status_code) == (200, 200)


CHOICE = json.dumps({"files": [{"index": n, "priority": n % 8} for n in range(20_000)]}).encode()


def peak(call: Callable[[], object]) -> int:
    """The most bytes of Python's memory that it had at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_looking_at_json_keeps_nothing_of_it_but_its_text() -> None:
    assert json_flaw(CHOICE) is None
    assert peak(lambda: json_flaw(CHOICE)) < 1.5 * len(CHOICE)


def test_a_choice_among_20_000_files_takes_less_memory_than_three_of_its_texts() -> None:
    value = json.loads(CHOICE)
    assert peak(lambda: ChoiceBody.model_validate(value)) < 3 * len(CHOICE)


@pytest.mark.parametrize(
    ("count", "padding", "costly"),
    [(1, 0, False), (400, 0, False), (600, 0, True), (1, MIB // 4, True), (20_000, 0, True)],
)
async def test_what_a_costly_body_took_goes_back_to_the_system(
    web: Api, monkeypatch: pytest.MonkeyPatch, count: int, padding: int, costly: bool
) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(bodies, "trim", lambda: given_back.append(True))
    choices = [{"index": n, "priority": 0} for n in range(count)]
    body = json.dumps({"files": choices}, separators=(",", ":")).encode() + b" " * padding
    answer = await web.client.patch("/downloads/a/files", content=body, headers=JSON)
    problem(answer, 404, "job_not_found")
    assert bool(given_back) == costly


async def test_costly_bodies_are_looked_at_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside = most = 0

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await receive()
        for _ in range(10):
            await asyncio.sleep(0)
        inside -= 1

    gate = bodies.BodyGate(app, policies())
    body = b'{"files": []}' + b" " * (MIB // 4)
    scope: Scope = {"type": "http", "method": "PATCH", "path": "/downloads/a/files", "headers":
                    [(b"content-type", b"application/json"),
                     (b"content-length", str(len(body)).encode())]}  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is wrong with it")

    await asyncio.gather(*(gate(dict(scope), receive, send) for _ in range(5)))
    assert most == 1


@pytest.mark.parametrize("length", ["-1", "x", "99999999999999", "1e3"])
async def test_a_length_that_is_none_or_too_large_is_refused(web: Api, length: str) -> None:
    request = web.client.build_request("POST", "/download/start", headers=JSON, content=b"")
    request.headers["content-length"] = length
    problem(await web.client.send(request), 413, "body_too_large")


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json",
     "application/xml", "application/json, text/plain", "multipart/mixed", "*/*"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/download/start", "/download/cancel"])
async def test_a_body_of_another_type_is_refused(web: Api, path: str, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await web.client.post(path, content=START, headers=headers)
    problem(answer, 415, "unsupported_media_type")


async def test_two_content_types_are_one_too_many(web: Api) -> None:
    headers = [("content-type", "application/json"), ("content-type", "application/json")]
    answer = await web.client.post("/download/start", content=START, headers=headers)
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON",
                                  "application/json;x"])  # fmt: skip
async def test_the_content_type_may_have_parameters_and_any_case(web: Api, kind: str) -> None:
    answer = await web.client.post("/download/start", content=START, headers={"content-type": kind})
    assert answer.status_code == 200


async def test_no_body_at_all_is_refused_and_not_a_crash(web: Api) -> None:
    problem(await send(web, b""), 422, "invalid_request")
    problem(await send(web, b"", "/download/pause"), 422, "invalid_request")


# --- uploads --------------------------------------------------------------------------------


NAMELESS = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"


async def upload(web: Api, data: bytes = b"d4:infode", /, **fields: Any) -> httpx2.Response:
    files = {"torrent": ("film.torrent", data, "application/x-bittorrent")}
    return await web.client.post("/download/start", files=files, data=fields)


async def test_a_torrent_file_can_be_uploaded_with_options(web: Api) -> None:
    answer = await upload(
        web, id="up", files="0,2", downloadLimit="5", seedRatio="1.5", seedTime="60"
    )
    assert (answer.status_code, answer.json()["id"]) == (200, "up")
    job = await web.downloader.status("up")
    assert job.source.data == b"d4:infode"
    assert (job.options.files, job.options.download_limit) == ((0, 2), 5)
    assert (job.options.seed_ratio, job.options.seed_time) == (1.5, 60)


async def test_two_uploads_are_two_films_and_the_same_one_is_not(web: Api) -> None:
    assert (await upload(web, b"1", id="a")).status_code == 200
    assert (await upload(web, b"2", id="b")).status_code == 200
    assert (await upload(web, b"1", id="a")).status_code == 200
    problem(await upload(web, b"1", id="c"), 409, "duplicate_download")


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"files": "x"}, "files"), ({"files": ""}, "files"), ({"files": "-1"}, "files.0"),
     ({"downloadLimit": "1.5"}, "downloadLimit"), ({"seedRatio": "nan"}, "seedRatio"),
     ({"seedRatio": "inf"}, "seedRatio"), ({"seedTime": "-1"}, "seedTime"), ({"id": "../x"}, "id"),
     ({"sourceType": "http"}, "torrent"), ({"files": "9" * 5000}, "files")],
)  # fmt: skip
async def test_a_wrong_field_of_an_upload_is_named(
    web: Api, fields: dict[str, Any], field: str
) -> None:
    problem(await upload(web, **fields), 422, "invalid_request", field=field)


async def test_an_upload_needs_the_file(web: Api) -> None:
    files = {"other": ("x.torrent", b"x")}
    answer = await web.client.post("/download/start", files=files)
    problem(answer, 422, "invalid_request", field="torrent")
    text = {"torrent": (None, b"text"), "sourceUrn": (None, URN.encode())}
    answer = await web.client.post("/download/start", files=text)
    problem(answer, 422, "invalid_request", field="torrent")


async def test_an_upload_has_a_size(web: Api) -> None:
    problem(await upload(web, b"x" * (10 * MIB + 1)), 422, "invalid_request", field="torrent")
    problem(await upload(web, b"x" * (12 * MIB)), 413, "body_too_large")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"), ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nnonsense"),
        ("multipart/form-data; boundary=b", NAMELESS),
        ("multipart/form-data; boundary=b", b""), ("multipart/form-data; boundary=b", b"\x00" * 99),
    ],
)  # fmt: skip
async def test_a_broken_upload_is_refused_and_not_a_crash(web: Api, kind: str, body: bytes) -> None:
    headers = {"content-type": kind}
    answer = await web.client.post("/download/start", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, answer.json()["code"])


async def test_more_parts_than_an_upload_needs_are_refused(web: Api) -> None:
    files = [("torrent", ("a", b"1")), ("torrent", ("b", b"2"))]
    assert (await web.client.post("/download/start", files=files)).status_code == 400
    fields: dict[str, Any] = {f"field-{n}": "x" for n in range(50)}
    assert (await upload(web, **fields)).status_code == 400


async def test_other_verbs_take_no_upload(web: Api) -> None:
    files = {"torrent": ("x", b"x")}
    answer = await web.client.post("/download/pause", files=files, data={"id": "a"})
    assert answer.status_code in (415, 422)
    problem(answer, answer.status_code, answer.json()["code"])

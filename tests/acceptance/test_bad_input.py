"""Bad input gets one clear sentence and the right status, and disturbs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend

pytestmark = pytest.mark.anyio

Request = tuple[str, dict[str, Any]]
JSON = {"content-type": "application/json"}

CASES: dict[str, tuple[Request, int, str]] = {
    "a broken magnet": (
        ("/download/start", {"json": {"id": "x", "sourceUrn": "magnet:?xt=urn:btih:123"}}),
        422, "invalid_source",
    ),
    "something that is no source": (
        ("/download/start", {"json": {"id": "x", "sourceUrn": "hello there"}}),
        422, "invalid_source",
    ),
    "an upload that is no torrent": (
        ("/download/start", {"files": {"torrent": ("a.torrent", b"no torrent at all")}}),
        422, "invalid_source",
    ),
    "an unknown source type": (
        ("/download/start", {"json": {"sourceType": "carrier-pigeon", "sourceUrn": "x"}}),
        422, "unsupported_source",
    ),
    "a page without an address": (
        ("/download/start", {"json": {"sourceType": "youtube", "sourceUrn": "y.example/1"}}),
        422, "invalid_source",
    ),
    "a path outside of every root": (
        ("/download/start", {"json": {"sourceType": "local", "sourceUrn": "/etc/passwd"}}),
        422, "invalid_source",
    ),
    "an unknown id": (("/download/pause", {"json": {"id": "nobody"}}), 404, "job_not_found"),
    "an id that is a path": (
        ("/download/start", {"json": {"id": "../../etc/passwd", "sourceUrn": "a" * 40}}),
        422, "invalid_request",
    ),
    "a body of the wrong shape": (
        ("/download/start", {"json": ["not", "an", "object"]}), 422, "invalid_request",
    ),
    "a member of the wrong type": (
        ("/download/pause", {"json": {"id": 7}}), 422, "invalid_request",
    ),
    "no body": (("/download/start", {"headers": JSON}), 422, "invalid_request"),
    "a body that is no JSON": (
        ("/download/start", {"content": b'{"id": ', "headers": JSON}), 422, "invalid_request",
    ),
    "ten megabytes of JSON": (
        ("/download/start", {"content": b'{"id":"' + b"a" * 10_000_000 + b'"}', "headers": JSON}),
        413, "body_too_large",
    ),
    "a form of another page": (
        ("/download/start", {"content": b"id=1", "headers": {"content-type": "text/plain"}}),
        415, "unsupported_media_type",
    ),
}  # fmt: skip


async def test_each_kind_of_bad_input_gets_its_sentence_and_nothing_else_is_disturbed(
    tmp_path: Path,
) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        await ours.start("magnet:?xt=urn:btih:" + "a" * 40, id="good")
        for name, ((path, request), status, code) in CASES.items():
            answer = await ours.http.post(path, **request)
            assert answer.headers["content-type"] == "application/problem+json", name
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code), name
            assert problem["status"] == status, name
            assert problem["detail"].endswith("."), name
            assert str(tmp_path) not in answer.text, name
            assert "Traceback" not in answer.text, name
        everything = (await ours.http.get("/downloads")).json()
        assert [job["id"] for job in everything["items"]] == ["good"]
        assert (await ours.job("good"))["status"] == "active"

"""What the log of a server says, for whoever reads it instead of watching."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film

pytestmark = pytest.mark.anyio


async def test_the_log_tells_the_life_of_each_job_and_of_the_server(tmp_path: Path) -> None:
    private = {"CHILLY_ALLOW_PRIVATE_ADDRESSES": "false"}
    async with Backend(tmp_path, private, warm=True) as ours:
        make_film(ours.media / "film.mkv", 1000)
        body = {"id": "mine", "path": "film.mkv"}
        assert (await ours.http.post("/torrents/create", json=body)).status_code == 200
        await ours.wait("mine")
        await ours.start("http://127.0.0.1:9/film.torrent", id="bad")
        await ours.wait("bad")
        await ours.start("c" * 40, id="none")
        await ours.verb("cancel", {"id": "none"})
        await ours.http.post("/download/start", json={"id": "../x"})
        await ours.http.get("/health", headers={"host": "films.example"})
    lines: list[dict[str, Any]] = [json.loads(one) for one in ours.log().splitlines()]

    def of(job: str) -> list[str]:
        return [one["event"] for one in lines if one.get("job") == job and "job " in one["event"]]

    assert of("mine") == ["job queued", "job started", "job completed"]
    assert of("bad") == ["job queued", "job started", "job failed"]
    assert (of("none")[0], of("none")[-1]) == ("job queued", "job canceled")
    [completed] = [one for one in lines if one["event"] == "job completed"]
    assert completed["path"] == str(ours.media / "film.mkv")
    [failed] = [one for one in lines if one["event"] == "job failed"]
    assert (failed["level"], failed["code"]) == ("warning", "source_rejected")
    assert "private address" in failed["problem"]
    refused = [one for one in lines if one["event"] == "request" and one["status"] >= 400]
    assert [(one["status"], one["code"]) for one in refused] == [
        (422, "invalid_request"),
        (421, "misdirected_host"),
    ]
    assert not any("code" in one for one in lines if one.get("status") == 200)
    events = [one["event"] for one in lines]
    assert events.index("stopping") < events.index("stopped") == len(events) - 1


@pytest.mark.parametrize("name", ["text", "console"])
async def test_for_people_each_line_begins_with_time_and_level(tmp_path: Path, name: str) -> None:
    """`console` is what the form for people was called before."""
    async with Backend(tmp_path, {"CHILLY_LOG_FORMAT": name}, "--mock", warm=True) as ours:
        await ours.start("mock:?seconds=600", id="m")
    lines = ours.log().splitlines()
    [queued] = [one for one in lines if "job queued" in one]
    assert re.match(r"\S+Z \[info +\] job queued +job=m name=", queued)

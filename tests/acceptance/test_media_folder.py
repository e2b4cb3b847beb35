"""Where films are: the state remembers it, and who asks is told when one is not there."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.test_command_line import chilly, ended, engine, line, running
from tests.peers.torrents import make_film

pytestmark = pytest.mark.anyio
MIB = 1 << 20


@asynccontextmanager
async def serve(env: dict[str, str]) -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
    """A server in this environment: what it says first, and, once it ended, its remarks."""
    remarks: list[str] = []
    async with running("serve", "--json", "--log-level", "error", env=env) as process:
        yield json.loads(await line(process)), remarks
        process.send_signal(signal.SIGTERM)
        remarks += (await ended(process)).err.splitlines()


async def share(url: str) -> None:
    """Makes a job of `film.mkv` that is complete and seeds."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        body = {"id": "a", "path": "film.mkv"}
        assert (await http.post("/torrents/create", json=body)).status_code == 200
        async with http.stream("GET", "/events/a") as events:
            async for one in events.aiter_lines():
                if '"status":"completed"' in one:
                    return


async def test_the_default_folder_is_the_one_the_films_are_in_wherever_the_server_is_started(
    tmp_path: Path,
) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for home in (two, three):
        home.mkdir()
    make_film(one / "media" / "film.mkv", MIB)
    settings = {"CHILLY_STATE_DIR": str(tmp_path / "state"), "CHILLY_PORT": "0"}
    here, elsewhere = engine(one, **settings), engine(two, **settings)
    async with serve(here) as (said, remarks):
        assert said["mediaRoot"] == str(one / "media")
        await share(said["url"])
    assert remarks == []
    async with serve(elsewhere) as (said, remarks):
        assert said["mediaRoot"] == str(one / "media")
        env = {**elsewhere, "CHILLY_PORT": said["url"].rpartition(":")[2]}
        job = (await chilly("status", "a", "--json", env=env)).json
        assert (job["status"], job["missing"]) == ("completed", False)
    [remark] = remarks
    assert remark.startswith(f"chilly: the films are in {one / 'media'}, so that is the media")
    assert "--media-root or CHILLY_MEDIA_ROOT chooses another" in remark
    assert not (two / "media").exists()
    seen = await chilly("doctor", "--json", env=elsewhere)
    messages = [finding["message"] for finding in seen.json["findings"]]
    assert "All 1 finished films are there in full length." in messages
    asked = {**elsewhere, "CHILLY_MEDIA_ROOT": "~/elsewhere"}  # what was asked for counts
    async with serve(asked) as (said, remarks):
        assert said["mediaRoot"] == str(two / "elsewhere")
    assert remarks == []
    shutil.move(two / "elsewhere", three / "media")  # a folder that was moved is not looked for
    async with serve(engine(three, **settings)) as (said, remarks):
        assert said["mediaRoot"] == str(three / "media")
    assert remarks == []


async def test_list_and_status_say_that_a_film_is_not_there(tmp_path: Path) -> None:
    make_film(tmp_path / "media" / "film.mkv", MIB)
    env = engine(tmp_path, CHILLY_PORT="0")
    async with serve(env) as (said, _):
        await share(said["url"])
        env["CHILLY_PORT"] = said["url"].rpartition(":")[2]
        assert "not there" not in (await chilly("list", env=env)).out
        (tmp_path / "media" / "film.mkv").unlink()
        for command in (("list",), ("status", "a")):
            told = (await chilly(*command, env=env)).out
            assert "complete, 1.0 MB, but the film is not there any more (film.mkv)" in told
        [job] = (await chilly("list", "--json", env=env)).json
        assert job["missing"] is True

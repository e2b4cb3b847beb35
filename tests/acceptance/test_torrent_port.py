"""The port for peers that is really used: in the log, in /health, and in what `doctor` says."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend, clean_environment
from tests.acceptance.test_command_line import chilly, engine, line, running
from tests.peers.process import free_port
from tests.peers.torrents import make_film

pytestmark = pytest.mark.anyio
KEY = "a-key-of-this-test"


async def ports(backend: Backend, **headers: str) -> list[dict[str, Any]]:
    """Where peers reach it, once it listens."""
    async with asyncio.timeout(30):
        while True:
            answer = await backend.http.get("/health", headers=headers)
            if found := answer.json()["torrentPorts"]:
                return list(found)
            await asyncio.sleep(0.05)


async def doctor(backend: Backend, folder: Path, **settings: str) -> list[dict[str, Any]]:
    port = {"CHILLY_PORT": backend.url.rpartition(":")[2]}
    env = {**clean_environment(folder, {**port, **settings}), "HOME": str(folder)}
    findings = (await chilly("doctor", "--json", env=env)).json["findings"]
    return [finding for finding in findings if finding["area"] == "ports"]


async def test_a_torrent_port_that_is_taken_is_said_wherever_one_looks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        settings = {"CHILLY_TORRENT_PORT": str(taken)}
        async with Backend(tmp_path, settings, warm=True) as ours:
            assert (await ours.http.get("/health")).json()["torrentPorts"] == []
            before = await doctor(ours, tmp_path, **settings)
            assert before[1]["level"] == "problem"
            assert "in use by another program" in before[1]["message"]
            await ours.start("c" * 40)
            [found] = await ports(ours)
            assert (found["address"], found["wanted"]) == ("127.0.0.1", taken)
            assert found["tcp"] not in (None, taken)
            said = [json.loads(one) for one in ours.log().splitlines() if "is taken" in one]
            assert [(one["wanted"], one["port"]) for one in said] == [(taken, found["tcp"])]
            assert said[0]["level"] == "warning"
            [api, peers] = await doctor(ours, tmp_path, **settings)
        assert api["level"] == "ok"
        assert peers["level"] == "problem"
        assert peers["message"] == (
            f"Port {taken} (peers) is taken at 127.0.0.1: the server listens on {found['tcp']} "
            "there."
        )
        assert "CHILLY_TORRENT_PORT" in peers["remedy"]
        env = engine(tmp_path / "home")
        make_film(tmp_path / "home" / "film.mkv", 1000)
        seed = ("seed", "film.mkv", "--torrent-port", str(taken))
        async with running(*seed, env=env) as process:
            await line(process)
            assert process.stderr is not None
            note = (await process.stderr.readline()).decode()
            assert note.startswith(f"chilly: port {taken} is taken, peers reach this at ")


async def test_the_port_is_told_by_address_and_only_to_who_has_a_key(tmp_path: Path) -> None:
    wanted = free_port()
    settings = {"CHILLY_TORRENT_PORT": str(wanted), "API_SECRET": KEY}
    async with Backend(tmp_path, settings, warm=True) as ours:
        body = {"sourceUrn": "c" * 40}
        await ours.http.post("/download/start", json=body, headers={"x-api-key": KEY})
        [found] = await ports(ours, **{"x-api-key": KEY})
        assert found == {"address": "127.0.0.1", "wanted": wanted, "tcp": wanted, "udp": wanted}
        for headers in ({}, {"x-api-key": "another-key-altogether"}):
            answer = await ours.http.get("/health", headers=headers)
            assert (answer.status_code, answer.json()["torrentPorts"]) == (200, [])
        assert "listening for peers" in ours.log()
        findings = await doctor(ours, tmp_path, **settings)
        assert findings[1]["message"] == f"Peers reach the server at 127.0.0.1 on {wanted}."

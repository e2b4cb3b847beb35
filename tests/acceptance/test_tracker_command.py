"""`chilly tracker` from outside."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chilly_movies.cli import main
from chilly_movies.cli import tracker as command
from chilly_movies.cli.output import Output
from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import Process, start_chilly
from tests.tracker_clients import WITHIN, announce, ask, dial, torment

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def program(*arguments: str, warm: bool = False) -> AsyncIterator[Process]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CHILLY_")}
    process = await start_chilly(("tracker", *arguments), env, Path.cwd(), warm=warm)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode()


async def ended(process: Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def resident(process: Process) -> int:
    """The process's memory in MiB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_where_it_listens_and_stops_in_order(number: signal.Signals) -> None:
    async with program("--port", "0") as process:
        said = await line(process)
        [ws] = [word.rstrip(",") for word in said.split() if word.startswith("ws://localhost:")]
        assert "http://localhost:" in said
        async with dial(ws) as client:
            assert (await ask(client, announce(1)))["interval"] == 120
            process.send_signal(number)
            code, out, err = await ended(process)
        assert (code, out, err) == (0, "The tracker stopped.\n", "")


async def test_the_command_survives_a_thousand_bad_messages() -> None:
    async with program("--port", "0", "--json", "--interval", "5") as process:
        urls = json.loads(await line(process))
        await torment(urls["ws"], rounds=3)
        before = resident(process)
        await torment(urls["ws"], rounds=28)
        assert resident(process) - before < 16
        async with dial(urls["ws"]) as client:
            assert (await ask(client, announce(1)))["incomplete"] == 1
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(urls["http"])).content.startswith(b"d14:failure reason")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == (0, "", "")


async def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with program("--port", str(taken.getsockname()[1]), warm=True) as process:
            code, out, err = await ended(process)
    assert (code, out) == (2, "")
    assert err.startswith("chilly: error: Port ")
    assert "in use" in err
    assert err.count("\n") == 1


async def test_the_command_tells_what_is_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_EVERY", 0.01)
    said = Said()
    out = Output(as_json=True, stdout=said)
    task = asyncio.create_task(command._track(out, "127.0.0.1", 0, 60))
    async with asyncio.timeout(WITHIN), dial((await said.record())["ws"]) as client:
        await ask(client, announce(1))
        while (told := await said.record()) != {"swarms": 1, "peers": 1, "connections": 1}:
            assert set(told) == {"swarms", "peers", "connections"}
    task.cancel()
    await asyncio.wait([task])


class Said(io.StringIO):
    """Standard output that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def write(self, text: str) -> int:
        for record in text.splitlines():
            self.lines.put_nowait(record)
        return len(text)

    async def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(await self.lines.get())
        return record


@pytest.mark.parametrize(
    "typed", [["--port", "70000"], ["--interval", "0"], ["--host", "192.0.2.1"]]
)
async def test_wrong_options_are_one_line_and_exit_code_2(typed: list[str]) -> None:
    async with program(*typed, warm=True) as process:
        code, out, err = await ended(process)
    assert (code, out, err.count("\n")) == (2, "", 1)


async def test_both_loopbacks_are_served() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with run_tracker("localhost") as url:
        port = int(url.split(":")[2].split("/")[0])
        for host in ("127.0.0.1", "[::1]"):
            async with dial(f"ws://{host}:{port}/announce") as client:
                assert (await ask(client, announce(1)))["interval"] == 120


async def test_behind_a_proxy_the_addresses_that_clients_need_are_said() -> None:
    words = (
        "--port",
        "0",
        "--public-url",
        "https://films.example/t/",
        "--trusted-proxy",
        "10.0.0.1",
    )
    async with program(*words, "--json", warm=True) as process:
        said = json.loads(await line(process))
    assert said["publicHttp"] == "https://films.example/t/announce"
    assert said["publicWs"] == "wss://films.example/t/announce"


@pytest.mark.parametrize(
    "words",
    [("--trusted-proxy", "0.0.0.0/0"), ("--trusted-proxy", "nginx"), ("--public-url", "films")],
    ids=lambda words: words[1],
)  # fmt: skip
def test_a_proxy_or_an_address_that_cannot_be_is_refused(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tracker", *words]) == 2
    assert words[0] in capsys.readouterr().err

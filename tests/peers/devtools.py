"""A page of headless Chromium that is driven over the DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.peers.browser import FLAGS

_READY_WITHIN = 60.0


class Page:
    """One page.

    Args:
        socket: leads to it.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def run(self, script: str) -> Any:
        """Returns what an async function with this body gives; an error of it is raised."""
        expression = f"(async () => {{ {script} }})()"
        result = await self._ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        """Shows an address, and waits until all of it is loaded."""
        await self._ask("Page.enable")
        await self._ask("Page.navigate", url=url)
        while (await self._hear()).get("method") != "Page.loadEventFired":
            pass

    async def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := await self._hear()).get("id") != number:
            pass
        assert "result" in answer, answer
        return answer["result"]

    async def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(await self._socket.recv())
        return heard


@asynccontextmanager
async def page(profile: Path, url: str, *flags: str) -> AsyncIterator[Page]:
    """A browser with a page that shows this address.

    Args:
        profile: its folder.
        url: the address.
        flags: more of the command line.
    """
    browser = await asyncio.create_subprocess_exec(
        "chromium", *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", *flags,
        "about:blank", start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_READY_WITHIN):
            address = await _page_address(browser)
        async with connect(address, max_size=None, proxy=None) as socket:
            made = Page(socket)
            await made.open(url)
            yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _page_address(browser: asyncio.subprocess.Process) -> str:
    """The WebSocket address of the only page, once the browser says where it listens."""
    assert browser.stderr is not None
    async for line in browser.stderr:
        if line.startswith(b"DevTools listening on ws://"):
            host = line.split(b"/")[2].decode()
            break
    else:
        raise AssertionError("the browser ended")
    async with connect(line.split()[-1].decode(), max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        while (answer := json.loads(await socket.recv())).get("id") != 1:
            pass
    [target] = [t for t in answer["result"]["targetInfos"] if t["type"] == "page"]
    return f"ws://{host}/devtools/page/{target['targetId']}"

"""One life of the server: from its start to its end, and what was heard in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests.acceptance.backend import Backend

_PAGE = 500


class Life:
    """`chilly serve` in a folder, with somebody who listens to all its events.

    Args:
        folder: media and state lie below it.
        settings: environment variables.
        last_id: the last event that was heard in an earlier life.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], last_id: int) -> None:
        self.server = Backend(folder, settings, warm=True)
        self.heard: list[dict[str, Any]] = []
        self.stream_ended = False
        self._last_id = last_id
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> float:
        """Start it; returns after how many seconds it was ready."""
        began = time.perf_counter()
        await self.server.__aenter__()
        self._listening = asyncio.create_task(self._listen())
        return time.perf_counter() - began

    async def start_and_die(self, delay: float) -> None:
        """Kill it while it starts."""
        starting = asyncio.create_task(self.server.__aenter__())
        await asyncio.wait([starting], timeout=delay)
        if starting.done():
            starting.result()
            await self.server.kill()
        else:
            starting.cancel()
            await asyncio.wait([starting])

    async def _listen(self) -> None:
        try:
            async with self.server.listen("/events", self._last_id) as events:
                async for event in events:
                    self.heard.append(event)
            self.stream_ended = True
        except httpx2.HTTPError:
            self.stream_ended = True

    async def kill(self) -> None:
        """SIGKILL for its whole process group."""
        await self.server.kill()
        await self._end()

    async def term(self) -> tuple[int, float]:
        """SIGTERM; its exit code and how long it took."""
        began = time.perf_counter()
        code = await self.server.stop(within=60.0)
        took = time.perf_counter() - began
        await self._end()
        await self.server.kill()
        return code, took

    async def _end(self) -> None:
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=5)
            self._listening.cancel()

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """All jobs as it lists them."""
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        while True:
            query = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = await self.server.http.get("/downloads", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found |= {job["id"]: job for job in page["items"]}
            cursor = page["nextCursor"]
            if cursor is None:
                return found

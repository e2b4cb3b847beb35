"""Our own tracker as its command, `chilly tracker`, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.peers.process import TIME_LIMIT, PeerProcess

_READY_WITHIN = 30.0


class ChillyTracker(PeerProcess):
    """Runs `chilly tracker` on a free port.

    Args:
        host: the address it listens on.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(self, *, host: str = "127.0.0.1", time_limit: float = TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit)
        self._host = host
        self.ws = ""
        self.http = ""

    async def _launch(self) -> None:
        chilly = Path(sys.executable).with_name("chilly")
        await self._start([str(chilly), "tracker", "--json", "--port", "0", "--host", self._host])
        assert self._running.stdout is not None
        async with asyncio.timeout(_READY_WITHIN):
            said = json.loads(await self._running.stdout.readline())
        self.ws, self.http = said["ws"], said["http"]

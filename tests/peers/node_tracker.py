"""npm's BitTorrent tracker, in `node/tracker.mjs`: HTTP and WebSocket, no UDP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from tests.peers.process import TIME_LIMIT, LineProcess
from tests.peers.webtorrent import SCRIPTS

AnnounceKind = Literal["start", "update", "complete", "stop", "answer"]


@dataclass(frozen=True, slots=True)
class SeenAnnounce:
    """One announce as the tracker understood it; both ids are in hex."""

    info_hash: str
    peer_id: str
    transport: Literal["http", "ws"]
    kind: AnnounceKind
    offers: int


class NodeTracker(LineProcess):
    """Runs npm's tracker on a free port.

    Args:
        host: the address it listens on.
        interval: seconds between announces it asks WebSocket clients for; HTTP clients
            are told five times as much.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", interval: int = 120, time_limit: float = TIME_LIMIT
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._setup = {"host": host, "interval": interval}

    async def _launch(self) -> None:
        script = SCRIPTS / "tracker.mjs"
        await self._start_lines(["node", str(script), json.dumps(self._setup)])

    @property
    def ws(self) -> str:
        """The announce URL for WebTorrent clients."""
        return f"ws://{self._setup['host']}:{self.port}"

    @property
    def http(self) -> str:
        """The announce URL for clients without WebRTC."""
        return f"http://{self._setup['host']}:{self.port}/announce"

    async def announces(self) -> list[SeenAnnounce]:
        """Every announce so far, oldest first; `answer` is the reply to an offer."""
        return [SeenAnnounce(**seen) for seen in await self._ask("announces")]

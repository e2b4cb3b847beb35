"""The WebTorrent client on Node, in `node/peer.mjs`.

TCP only unless told otherwise: its WebRTC side needs an address that is not loopback, so
tests of it belong in a network namespace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.peers.process import TIME_LIMIT, LinePeer

SCRIPT = Path(__file__).parent / "node" / "peer.mjs"


class WebTorrentPeer(LinePeer):
    """Seeds and leeches with WebTorrent. An upload limit holds for the whole process.

    Args:
        rtc: whether it uses WebRTC for ws trackers.
        host: the address its TCP side listens on.
        options: added to the client's options, or replacing some of them.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self,
        *,
        rtc: bool = False,
        host: str = "127.0.0.1",
        options: Mapping[str, Any] | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._setup = {"rtc": rtc, "host": host, "options": dict(options or {})}

    async def _launch(self) -> None:
        await self._start_lines(["node", str(SCRIPT), json.dumps(self._setup)])

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

SCRIPTS = Path(__file__).parent / "node"


class WebTorrentPeer(LinePeer):
    """Seeds and leeches with WebTorrent. An upload limit holds for the whole process.

    Args:
        rtc: whether it uses WebRTC for ws trackers.
        tcp: whether it listens on TCP.
        host: the address its TCP side listens on.
        options: added to the client's options, or replacing some of them.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self,
        *,
        rtc: bool = False,
        tcp: bool = True,
        host: str = "127.0.0.1",
        options: Mapping[str, Any] | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._setup = {"rtc": rtc, "tcp": tcp, "host": host, "options": dict(options or {})}

    async def _launch(self) -> None:
        await self._start_lines(["node", str(SCRIPTS / "peer.mjs"), json.dumps(self._setup)])

    async def serve(self, source: Path | str, folder: Path) -> str:
        """Starts a download; the film's address on WebTorrent's own HTTP server, once known."""
        return str(await self._ask("serve", source=str(source), folder=str(folder)))

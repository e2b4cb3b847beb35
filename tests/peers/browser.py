"""The WebTorrent client in a page of headless Chromium, in `node/browser.mjs` and `node/page`.

It has no TCP at all, only WebRTC for ws trackers, so it belongs in a network namespace.
A small server on loopback hands the page what it seeds, and stores what it has fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.peers.process import TIME_LIMIT, LinePeer
from tests.peers.webtorrent import SCRIPTS

# A page without a window counts as hidden, and its timers would be slowed down.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--log-level=3",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)
_LOOK = 0.02
_LOOKS = 250


class BrowserPeer(LinePeer):
    """Seeds and leeches with WebTorrent in Chromium, which takes a second or so to start.

    Args:
        options: added to the client's options, or replacing some of them.
        flags: more command line flags for Chromium.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self,
        *flags: str,
        options: Mapping[str, Any] | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._flags = [*FLAGS, *flags]
        self._options = dict(options or {})

    async def _launch(self) -> None:
        setup = {
            "chromium": shutil.which("chromium"),
            "profile": str(self.scratch / "profile"),
            "flags": self._flags,
            "options": self._options,
        }
        await self._start_lines(["node", str(SCRIPTS / "browser.mjs"), json.dumps(setup)])

    async def sums(self, key: str | None = None) -> dict[str, str]:
        """Tells the SHA-256 of each file of a complete download, as the page sees it."""
        sums: dict[str, str] = await self._ask("sums", key=key or self._last)
        return sums

    async def kill(self) -> None:
        """Ends the browser with all its processes, and waits until they are gone."""
        await super().kill()
        for _ in range(_LOOKS):
            if self._process is None or not _lives(self._process.pid):
                return
            await asyncio.sleep(_LOOK)


def _lives(group: int) -> bool:
    """Tells whether a process of this group runs; one that waits for burial does not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of_group, *_ = path.read_text().rpartition(")")[2].split()
            if int(of_group) == group and state not in "ZX":
                return True
    return False

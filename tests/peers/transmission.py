"""Debian's transmission-daemon, spoken to over its RPC.

Transmission never dials an address in 127.0.0.0/8: it takes those for forged ones and
throws them away when a tracker names them. It answers when it is dialled. So on loopback
the other side must be a client that dials; two Transmissions never meet directly.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests.peers.process import TIME_LIMIT, PeerError, PeerProcess, PeerStats, free_port

_STATES = ("stopped", "check-wait", "checking", "download-wait", "downloading", "seed-wait")
_SEEDING = 6
_POLL = 0.05
_SESSION_ID = "X-Transmission-Session-Id"

_SETTINGS: dict[str, Any] = {
    "bind-address-ipv4": "127.0.0.1",
    "bind-address-ipv6": "::1",
    "blocklist-enabled": False,
    "dht-enabled": False,
    "lpd-enabled": False,
    "pex-enabled": False,
    "utp-enabled": False,
    "port-forwarding-enabled": False,
    "peer-port-random-on-start": False,
    "rpc-bind-address": "127.0.0.1",
    "rpc-enabled": True,
    "rpc-authentication-required": False,
    "rpc-host-whitelist-enabled": False,
    "rpc-whitelist": "127.0.0.1",
    "download-queue-enabled": False,
    "seed-queue-enabled": False,
    "incomplete-dir-enabled": False,
    "rename-partial-files": False,
    "start-added-torrents": True,
    "trash-original-torrent-files": False,
    "script-torrent-done-enabled": False,
    "message-level": 2,
    "umask": 18,
}


class TransmissionPeer(PeerProcess):
    """Seeds and leeches with Transmission 3.

    Args:
        settings: added to the loopback settings, or replacing some of them.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self, *, settings: Mapping[str, Any] | None = None, time_limit: float = TIME_LIMIT
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._settings = dict(settings or {})
        self._client = httpx2.AsyncClient(timeout=10.0, trust_env=False)
        self._last = ""
        self.port = free_port()
        self._rpc_port = free_port()

    @property
    def rpc_url(self) -> str:
        """Where its RPC answers, for tests that speak to it themselves."""
        return f"http://127.0.0.1:{self._rpc_port}/transmission/rpc"

    async def _launch(self) -> None:
        ports = {"peer-port": self.port, "rpc-port": self._rpc_port}
        settings = {**_SETTINGS, **ports, "download-dir": str(self.scratch), **self._settings}
        (self.scratch / "settings.json").write_text(json.dumps(settings))
        await self._start(
            ["transmission-daemon", "--foreground", "--config-dir", str(self.scratch)]
        )
        async with asyncio.timeout(20.0):
            while True:
                if await self._is_up():
                    return
                await asyncio.sleep(_POLL)

    async def _is_up(self) -> bool:
        if self._running.returncode is not None:
            raise self._failure(f"ended with {self._running.returncode}")
        try:
            await self.rpc("session-get")
        except httpx2.TransportError:
            return False
        return True

    async def _end(self) -> None:
        await self._client.aclose()
        await super()._end()

    async def rpc(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Calls an RPC method; underscores in names stand for the hyphens it uses."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        body = {"method": method, "arguments": named}
        response = await self._client.post(self.rpc_url, json=body)
        if response.status_code == 409:
            self._client.headers[_SESSION_ID] = response.headers[_SESSION_ID]
            response = await self._client.post(self.rpc_url, json=body)
        answer: dict[str, Any] = response.raise_for_status().json()
        if answer["result"] != "success":
            raise PeerError(f"{method}: {answer['result']}")
        result: dict[str, Any] = answer["arguments"]
        return result

    async def seed(self, torrent: Path, folder: Path, *, upload_limit: int = 0) -> str:
        """Checks the content in `folder`, offers it, and waits for a tracker to know it.

        Returns the torrent's key. `upload_limit` is in bytes a second, rounded to
        kilobytes; 0 for none.
        """
        key = await self._add(str(torrent), folder, paused=True)
        if upload_limit:
            kilobytes = max(1, upload_limit // 1000)
            await self.rpc("torrent-set", ids=[key], uploadLimit=kilobytes, uploadLimited=True)
        await self.rpc("torrent-verify", ids=[key])
        await self.rpc("torrent-start", ids=[key])
        await self.wait_done(key)
        await self.wait_announced(key)
        return key

    async def leech(self, source: Path | str, folder: Path) -> str:
        """Starts to download a .torrent file or a magnet link; returns the torrent's key."""
        return await self._add(str(source), folder, paused=False)

    async def _add(self, source: str, folder: Path, *, paused: bool) -> str:
        if source.startswith("magnet:"):
            what = {"filename": source}
        else:
            what = {"metainfo": base64.b64encode(Path(source).read_bytes()).decode()}
        answer = await self.rpc("torrent-add", **what, download_dir=str(folder), paused=paused)
        self._last = str(next(iter(answer.values()))["hashString"])
        return self._last

    async def wait_announced(self, key: str | None = None, *, within: float = 30.0) -> None:
        """Waits until a tracker has answered or failed; at once if there is none."""
        await self._until(self._is_announced, key or self._last, within)

    async def wait_done(self, key: str | None = None, *, within: float = 60.0) -> None:
        """Waits until the torrent is complete, checked and offered."""
        await self._until(self._is_done, key or self._last, within)

    async def _until(
        self, reached: Callable[[dict[str, Any]], bool], key: str, within: float
    ) -> None:
        ends = time.monotonic() + within
        while not reached(seen := await self._torrent(key)):
            if time.monotonic() > ends:
                raise self._failure(f"{reached.__name__} is not true in {within:g} s: {seen}")
            await asyncio.sleep(_POLL)

    @staticmethod
    def _is_announced(seen: dict[str, Any]) -> bool:
        trackers = seen["trackerStats"]
        return not trackers or any(tracker["hasAnnounced"] for tracker in trackers)

    def _is_done(self, seen: dict[str, Any]) -> bool:
        # 1 and 2 are words of a tracker, which may come back; 3 is our own disk.
        if seen["error"] == 3:
            raise self._failure(seen["errorString"])
        return bool(seen["status"] == _SEEDING and seen["percentDone"] == 1)

    async def stats(self, key: str | None = None) -> PeerStats:
        """Tells the numbers of a torrent, the last added one if no key is given."""
        seen = await self._torrent(key or self._last)
        return PeerStats(
            state=(*_STATES, "seeding")[seen["status"]],
            progress=float(seen["percentDone"]),
            downloaded=int(seen["downloadedEver"]),
            uploaded=int(seen["uploadedEver"]),
            peers=int(seen["peersConnected"]),
        )

    async def _torrent(self, key: str) -> dict[str, Any]:
        fields = ["status", "percentDone", "downloadedEver", "uploadedEver", "peersConnected"]
        fields += ["error", "errorString", "trackerStats"]
        found = (await self.rpc("torrent-get", ids=[key], fields=fields))["torrents"]
        if not found:
            raise PeerError(f"unknown torrent {key}")
        torrent: dict[str, Any] = found[0]
        return torrent

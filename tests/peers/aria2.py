"""aria2c as a leecher: one process for each download, which ends when it is done."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.peers.process import TIME_LIMIT, PeerProcess, free_port


class Aria2Peer(PeerProcess):
    """Leeches one torrent with aria2c.

    Args:
        options: more command line options, `--name=value` each.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(self, *options: str, time_limit: float = TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit)
        self._options = options
        self.port = free_port()

    async def leech(self, source: Path | str, folder: Path) -> str:
        """Starts to download a .torrent file or a magnet link; once for each peer."""
        await self._start(
            [
                "aria2c",
                f"--dir={folder}",
                f"--listen-port={self.port}",
                "--interface=127.0.0.1",
                "--no-conf=true",
                "--disable-ipv6=true",
                "--enable-dht=false",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
                "--enable-peer-exchange=false",
                "--bt-detach-seed-only=false",
                "--seed-time=0",
                "--file-allocation=none",
                "--follow-torrent=mem",
                "--console-log-level=warn",
                "--summary-interval=0",
                "--show-console-readout=false",
                *self._options,
                str(source),
            ]
        )
        return str(source)

    async def wait_done(self, key: str | None = None, *, within: float = 60.0) -> None:
        """Waits until the download is complete, which is when aria2c ends."""
        try:
            async with asyncio.timeout(within):
                output, _ = await self._running.communicate()
        except TimeoutError:
            raise self._failure(f"not complete in {within:g} s") from None
        if self._running.returncode:
            summary = re.sub(r"\s+", " ", output.decode(errors="replace"))[-1_000:]
            raise self._failure(f"ended with {self._running.returncode}: {summary}")

"""Offers what lies anywhere on the disk, for as long as its process runs, and leaves no trace.

    python -m chilly_movies.drivers.torrent.making.seeder FOLDER/FILE --announce URL

is a process that offers one film on loopback, for demonstrations and benchmarks. It prints one
JSON line with `magnet`, `announce` and `port` once a tracker knows it, and ends when its standard
input does, so that it cannot outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from chilly_movies.disk.file_stamps import take
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.params import AddRequest
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.making.create import make_torrent
from chilly_movies.drivers.torrent.resume_claim import ResumeClaim
from chilly_movies.errors import ChillyError, EngineError
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.torrents import MadeTorrent

_READY_WITHIN = 60.0
_QUICK: dict[str, object] = {
    # a film's only downloader comes and goes here, and should not wait for its turn
    "unchoke_interval": 1,
    "min_reconnect_time": 1,
}


class Seeder:
    """An engine that only seeds, and only what was made into a torrent a moment ago.

    Args:
        config: the engine's settings; its media root is not used.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._session = TorrentSession(config)
        self._parts = tempfile.TemporaryDirectory(prefix="chilly-seeder-")
        self._offers: dict[Torrent, tuple[ResumeClaim, dict[int, Path]]] = {}

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for torrent in self._offers:
                await torrent.remove()
        finally:
            await self._session.aclose()
            self._parts.cleanup()

    @property
    def port(self) -> int:
        """The TCP port peers reach us at."""
        return self._session.port

    async def offer(self, made: MadeTorrent, folder: Path, options: Options) -> Torrent:
        """Seed it from where it lies; nothing is ever written there.

        Args:
            made: the torrent.
            folder: the folder that holds the file or folder it was made of.
            options: the upload limit.
        """
        options = replace(options, allow_executables=True)  # the user's own
        request = AddRequest(
            Source(SourceType.TORRENT, "", made.data),
            folder,
            Path(self._parts.name),
            options,
            renames={file.index: file.path for file in made.files},
            allow_private=self._config.allow_private_addresses,
            read_only=True,
            verified=True,
        )
        paths = {file.index: folder / file.path for file in made.files}
        claim = await self._claim_of(paths)
        torrent = await self._session.add(request)
        self._offers[torrent] = claim, paths
        torrent.run()
        return torrent

    async def is_right(self, torrent: Torrent) -> bool:
        """Whether an offer is what it was; compared with its hashes if its files look different."""
        claim, paths = self._offers[torrent]
        if await asyncio.to_thread(claim.holds, paths):
            return True
        self._offers[torrent] = await self._claim_of(paths), paths
        await torrent.recheck()
        return torrent.state.finished

    async def _claim_of(self, paths: dict[int, Path]) -> ResumeClaim:
        names = {index: str(path) for index, path in paths.items()}
        return ResumeClaim(b"", await on_disk(lambda: take(Path("/"), names)))


async def seed(content: Path, announce: str, upload_limit: int) -> None:
    """Offer the content until standard input ends.

    Args:
        content: a file or folder.
        announce: the tracker's URL.
        upload_limit: bytes per second, 0 = unlimited.

    Raises:
        ChillyError: it cannot be offered, or no tracker answers.
    """
    made = await make_torrent(content, trackers=[announce])
    config = EngineConfig(
        content.parent,
        port=0,
        interface="127.0.0.1",
        dht=False,
        webtorrent=False,
        allow_private_addresses=True,
        extra=dict(_QUICK),
    )
    async with Seeder(config) as seeder:
        torrent = await seeder.offer(made, content.parent, Options(upload_limit=upload_limit))
        try:  # until all is checked and the tracker answered
            async with asyncio.timeout(_READY_WITHIN):
                while not torrent.state.finished or announce not in torrent.trackers:
                    await torrent.moved(0.05)
        except TimeoutError:
            raise EngineError("The film could not be offered in time.") from None
        if problem := torrent.trackers[announce].problem:
            raise EngineError(f"The tracker refuses the film: {problem}.")
        told = {"magnet": made.magnet, "announce": announce, "port": seeder.port}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        lines = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while await lines.read(4096):
            pass
        transport.close()


def main() -> int:
    """Read the command line and seed."""
    parser = argparse.ArgumentParser(description="Offers a film on loopback.")
    parser.add_argument("content", type=Path, help="file or folder")
    parser.add_argument("--announce", required=True, help="URL of the tracker")
    parser.add_argument("--upload-limit", type=int, default=0, help="bytes per second, 0 = none")
    given = parser.parse_args()
    try:
        asyncio.run(seed(given.content.absolute(), given.announce, given.upload_limit))
    except ChillyError as error:
        sys.stderr.write(f"seeder: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

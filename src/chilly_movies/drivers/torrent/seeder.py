"""A process that offers one film on loopback, for demonstrations and benchmarks.

    python -m chilly_movies.drivers.torrent.seeder FOLDER/FILE --announce URL

It prints one JSON line with `magnet`, `announce` and `port` once a tracker knows it, and ends
when its standard input does, so that it cannot outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import libtorrent as lt

from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.params import AddRequest
from chilly_movies.drivers.torrent.session import TorrentSession
from chilly_movies.drivers.torrent.torrent import Torrent
from chilly_movies.errors import ChillyError, EngineError
from chilly_movies.models import Options, Source, SourceType

_READY_WITHIN = 60.0
_QUICK: dict[str, object] = {
    # a film's only downloader comes and goes here, and should not wait for its turn
    "unchoke_interval": 1,
    "min_reconnect_time": 1,
}


def make_torrent(content: Path, announce: str) -> bytes:
    """A v1 and v2 (hybrid) torrent file of a file or folder.

    Args:
        content: what to offer.
        announce: the tracker's URL.

    Raises:
        RuntimeError: the content cannot be read.
    """
    made = lt.create_torrent(lt.list_files(str(content)))
    made.add_tracker(announce, 0)
    lt.set_piece_hashes(made, str(content.parent))
    return lt.bencode(made.generate())


async def seed(content: Path, announce: str, upload_limit: int) -> None:
    """Offer the content until standard input ends.

    Args:
        content: a file or folder.
        announce: the tracker's URL.
        upload_limit: bytes per second, 0 = unlimited.

    Raises:
        EngineError: the content is not what the torrent says, or no tracker answers.
    """
    data = await asyncio.to_thread(make_torrent, content, announce)
    config = EngineConfig(
        content.parent, port=0, interface="127.0.0.1", dht=False, webtorrent=False,
        allow_private_addresses=True, extra=dict(_QUICK),
    )  # fmt: skip
    session = TorrentSession(config)
    with tempfile.TemporaryDirectory(prefix="chilly-seeder-") as parts:
        request = AddRequest(
            Source(SourceType.TORRENT, "", data), content.parent, Path(parts),
            Options(upload_limit=upload_limit), allow_private=True,
        )  # fmt: skip
        try:
            torrent = await session.add(request)
            torrent.run()
            await _ready(torrent, announce)
            magnet = lt.make_magnet_uri(lt.load_torrent_buffer(data))
            _print({"magnet": magnet, "announce": announce, "port": session.port})
            await _end_of_stdin()
            await torrent.remove()
        finally:
            await session.aclose()


async def _ready(torrent: Torrent, announce: str) -> None:
    """Wait until all is checked and the tracker answered."""
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not torrent.state.finished or announce not in torrent.trackers:
                await torrent.moved(0.05)
    except TimeoutError:
        raise EngineError("The film could not be offered in time.") from None
    if problem := torrent.trackers[announce].problem:
        raise EngineError(f"The tracker refuses the film: {problem}.")


async def _end_of_stdin() -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while await lines.read(4096):
        pass
    transport.close()


def _print(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line and seed."""
    parser = argparse.ArgumentParser(description="Offers a film on loopback.")
    parser.add_argument("content", type=Path, help="file or folder")
    parser.add_argument("--announce", required=True, help="URL of the tracker")
    parser.add_argument("--upload-limit", type=int, default=0, help="bytes per second, 0 = none")
    given = parser.parse_args()
    try:
        asyncio.run(seed(given.content.absolute(), given.announce, given.upload_limit))
    except (ChillyError, RuntimeError) as error:
        sys.stderr.write(f"seeder: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

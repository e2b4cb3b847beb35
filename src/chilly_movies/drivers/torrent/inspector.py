"""Looks into a torrent without downloading it: what is in it, and how many peers are about.

A magnet's metadata is fetched by the engine of the jobs, which knows the DHT already. There it
wants no file and writes nothing; a job that starts with the same torrent takes its place. A torrent
file is only read: no packet leaves for it.
"""

from __future__ import annotations

import asyncio
import uuid

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.config import EngineConfig, for_engine
from chilly_movies.drivers.torrent.engine.fetch import fetch_checked
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.errors import EngineError, NoMetadata
from chilly_movies.jobs.models import Source
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.torrents import InspectedTorrent
from chilly_movies.names import INCOMPLETE

_SECONDS = 30.0
_AT_ONCE = 8
_AGAIN = 0.1


class Inspector:
    """Implements `torrents.TorrentInspector`.

    Args:
        config: the engine's settings.
        session: the engine of the jobs.
    """

    def __init__(self, config: EngineConfig, session: TorrentSession) -> None:
        self._config = config
        self._session = session
        self._seconds = min(_SECONDS, config.metadata_timeout)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._inspections: set[asyncio.Task[InspectedTorrent | None]] = set()
        self._closed = False

    async def inspect(self, source: Source) -> InspectedTorrent:
        """See `torrents.TorrentInspector`."""
        found = await self._bounded(source, may_ask_peers=True)
        assert found is not None  # noqa: S101 (for the type checker)
        return found

    async def inspect_file(self, source: Source) -> InspectedTorrent | None:
        """The same of a torrent file or a link to one; None if the link leads to a magnet."""
        return await self._bounded(source, may_ask_peers=False)

    async def _bounded(self, source: Source, *, may_ask_peers: bool) -> InspectedTorrent | None:
        if self._closed:
            raise EngineError("This downloader is closed.")
        p.identify(source)
        work = self._inspect(source, may_ask_peers=may_ask_peers)
        inspection = asyncio.create_task(work, name="inspection")
        self._inspections.add(inspection)
        try:
            await asyncio.wait([inspection])
        finally:
            inspection.cancel()
            await asyncio.wait([inspection])
            self._inspections.discard(inspection)
        if inspection.cancelled():
            raise EngineError("The server stops.")
        return inspection.result()

    async def aclose(self) -> None:
        """End all inspections, and begin no more. Idempotent."""
        self._closed = True
        for inspection in self._inspections:
            inspection.cancel()
        if self._inspections:
            await asyncio.wait(self._inspections)

    async def _inspect(self, source: Source, *, may_ask_peers: bool) -> InspectedTorrent | None:
        try:
            async with asyncio.timeout(self._seconds), self._turns:
                if p.is_url(source):
                    source = await fetch_checked(source, self._session.policy)
                nowhere = self._config.media_root / INCOMPLETE / f"look-{uuid.uuid4().hex}"
                request = p.AddRequest(
                    source=source,
                    save_path=nowhere,
                    part_path=nowhere,
                    options=Options(),
                    allow_private=self._config.allow_private_addresses,
                    read_only=True,
                    only_look=True,
                )
                if source.data is not None:
                    # nobody is asked, not even where a tracker's name leads: whoever made the file
                    # would learn from that who looks at it, and when
                    params, encoding = (
                        p.build(for_engine(request, self._config)),
                        p.encoding_of(source),
                    )
                    assert params.ti is not None  # noqa: S101 (for the type checker)
                    return p.describe(params.ti, params.trackers, encoding=encoding)
                found = None
                while may_ask_peers and (found := await self._ask_peers(request)) is None:
                    pass
                return found
        except TimeoutError:
            sentence = f"Nobody sent the torrent's metadata within {self._seconds:g} s."
            raise NoMetadata(sentence) from None

    async def _ask_peers(self, request: p.AddRequest) -> InspectedTorrent | None:
        """What the engine gets to know; None if the torrent left it before."""
        torrent, ours = await self._session.borrow(request)
        try:
            while self._session.has(torrent):
                if (found := await torrent.described()) is not None:
                    return found
                if torrent.lost is not None:  # its metadata came, say, and nobody has a better one
                    raise torrent.lost
                await asyncio.sleep(_AGAIN)
            return None
        finally:
            if ours:
                await torrent.remove()

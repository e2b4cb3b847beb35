"""Looks into torrents that are not there: for front-end authors and tests."""

from __future__ import annotations

import hashlib

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.models import MediaFile, Source, SourceType
from chilly_movies.jobs.torrents import InspectedTorrent
from chilly_movies.net.link_answer import LinkAnswer

_SIZE = 700_000_000
_PIECE_SIZE = 1 << 20


class MockInspector:
    """Implements `torrents.TorrentInspector`: every source is one film of 700 MB with subtitles."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    async def inspect(self, source: Source) -> InspectedTorrent:
        """See `torrents.TorrentInspector`. The same source gives the same answer."""
        facts = self._driver.identify(source)
        name = facts.name or "mock film"
        told = repr(facts.identities).encode()
        files = (MediaFile(0, f"{name}/{name}.mkv", _SIZE), MediaFile(1, f"{name}/en.srt", 40_000))
        return InspectedTorrent(
            name=name,
            v1=hashlib.sha1(told, usedforsecurity=False).hexdigest(),
            v2=None,
            size=sum(file.size for file in files),
            piece_size=_PIECE_SIZE,
            private=False,
            files=files,
            trackers=("https://tracker.example/announce",),
            peers=None if source.data is not None else 3,
        )


class MockSources:
    """Implements `inspection.SourceInspector` for sources of every kind."""

    def __init__(self, driver: MockDriver) -> None:
        self._torrents = MockInspector(driver)

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """See `inspection.SourceInspector`. Any text may be of any kind, so torrents are first."""
        return Certainty.POSSIBLE

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`."""
        found = await self._torrents.inspect(source)
        torrent = found if source.type == SourceType.TORRENT else None
        return InspectedSource(source, found.name, found.size, found.files, torrent)

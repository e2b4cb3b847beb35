"""Tells torrents from other sources, and says what is in them before they are jobs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.inspector import Inspector
from chilly_movies.errors import InvalidSource
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.torrents import InspectedTorrent
from chilly_movies.net.link_answer import LinkAnswer

_MAGNET = re.compile(r"magnet(?::|%3A)", re.IGNORECASE)
_LENGTH = re.compile(r"[?&]xl=(\d{1,15})(?:&|$)")
"""What a magnet says of the size of its content."""
_TYPE = "application/x-bittorrent"
_BENCODED = re.compile(rb"d\d{1,3}:[a-z]")
"""How a torrent file begins (BEP 3): a dictionary, whose first key is a word."""


class TorrentSources:
    """Implements `inspection.SourceInspector`.

    Args:
        inspector: looks into torrents.
    """

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """See `inspection.SourceInspector`."""
        if answer is not None:
            return Certainty.CERTAIN if _is_torrent(answer) else Certainty.NONE
        source = Source(SourceType.TORRENT, urn)
        if p.is_url(source):
            return Certainty.CERTAIN if _names_torrent(urn) else Certainty.POSSIBLE
        if _MAGNET.match(urn):
            return Certainty.CERTAIN
        try:
            p.identify(source)
        except InvalidSource:
            return Certainty.NONE
        return Certainty.CERTAIN

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`."""
        found: InspectedTorrent | None = None
        if resolve:
            found = await self._inspector.inspect(source)
        elif source.data is not None or p.is_url(source):
            found = await self._inspector.inspect_file(source)
        if found is None:
            size = _LENGTH.search(source.urn)
            name = p.identify(source).name
            return InspectedSource(source, name, int(size[1]) if size else None)
        hashes = (("btih", found.v1), ("btmh", found.v2))
        return InspectedSource(
            source,
            found.name,
            found.size,
            found.files,
            found,
            tuple(f"{kind}:{value}" for kind, value in hashes if value is not None),
        )


def _is_torrent(answer: LinkAnswer) -> bool:
    if _MAGNET.match(answer.url) or answer.media_type == _TYPE:
        return True
    return bool(_BENCODED.match(answer.beginning))


def _names_torrent(link: str) -> bool:
    """Whether a link ends like the name of a torrent file, whatever is asked of it."""
    try:
        path = urlsplit(link).path
    except ValueError:
        return False
    return path.lower().endswith(".torrent") or link.lower().endswith(".torrent")

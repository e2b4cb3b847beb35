"""Fetches a torrent file from a link."""

from __future__ import annotations

from dataclasses import replace

from chilly_movies.drivers.torrent.engine.params import identify
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.models import Source
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES
from chilly_movies.net.policy import NetworkPolicy


async def fetch_torrent(source: Source, policy: NetworkPolicy) -> Source:
    """The same source with the torrent file's bytes, or a magnet if the link leads to one.

    Args:
        source: its `urn` is an http or https link; what is secret is told to its server alone.
        policy: whom we may ask.

    Raises:
        SourceUnavailable: no answer, or one that may change.
        SourceNotFound: the server says that there is no such thing.
        SourceRejected: an answer that is not a torrent file of at most 10.4 MB, or a place we
            must not reach.
    """
    found = await policy.get(
        source.urn,
        limit=MAX_TORRENT_BYTES,
        what="a torrent",
        stops=lambda url: url.lower().startswith("magnet:"),
        headers=source.secret.as_headers() if source.secret is not None else None,
    )
    return replace(source, urn=found) if isinstance(found, str) else replace(source, data=found)


async def fetch_checked(source: Source, policy: NetworkPolicy) -> Source:
    """The same, and what came is a usable torrent or magnet.

    Raises:
        SourceUnavailable: see `fetch_torrent`.
        SourceRejected: what came is none.
    """
    source = await fetch_torrent(source, policy)
    try:
        identify(source)
    except InvalidSource as error:
        raise SourceRejected(str(error)) from None
    return source

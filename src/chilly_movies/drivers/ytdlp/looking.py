"""Looks what a page shows, and downloads nothing of it."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.drivers.ytdlp import words
from chilly_movies.drivers.ytdlp.process import Child, started, wish_of
from chilly_movies.drivers.ytdlp.proxy import JudgingProxy
from chilly_movies.drivers.ytdlp.reasons import error_of
from chilly_movies.errors import SourceUnavailable
from chilly_movies.jobs.models import Source
from chilly_movies.net.policy import NetworkPolicy

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a page shows.

    Attributes:
        title: of its first film, None if it has none.
        size: bytes of that film in the best quality, None if the page does not say.
        entries: how many films there are.
    """

    title: str | None
    size: int | None
    entries: int


async def look(policy: NetworkPolicy, source: Source) -> Looked:
    """What a page shows; its own servers are asked.

    Raises:
        DownloadError: it cannot be read, or shows no film.
    """
    with policy.limiter.share() as share, tempfile.TemporaryDirectory() as folder:
        async with JudgingProxy(policy, share) as proxy:
            wish = wish_of(source, proxy.url, looks=True)
            async with started(Path(folder), wish) as child:
                try:
                    async with asyncio.timeout(_PATIENCE):
                        word = await _found(child)
                except TimeoutError:
                    raise SourceUnavailable("Reading the page takes too long.") from None
            if isinstance(word, words.Trouble):
                raise proxy.why(word) or error_of(word, source.secret)
    return Looked(word.title or None, word.size, word.entries)


async def _found(child: Child) -> words.Found | words.Trouble:
    while True:
        word = await child.hear(_PATIENCE)
        if isinstance(word, words.Found | words.Trouble):
            return word

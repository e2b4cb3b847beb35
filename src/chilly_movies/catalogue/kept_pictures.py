"""Keeps pictures of titles, so that what was seen once is seen without a network."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from chilly_movies.catalogue.ports import AnswerCache, Catalogue, KeptAnswer, Picture
from chilly_movies.catalogue.titles import TitleRef
from chilly_movies.errors import MetadataError, StoreError

_WIDTHS: Final = (185, 342, 500, 780, 1280)
"""What widths are rounded up to, so that few are kept."""
_FRESH: Final = 30 * 86_400.0
"""Seconds until a picture is asked for again."""
_FRESH_NONE: Final = 86_400.0
"""The same where there was none."""


class KeptPictures:
    """Gives pictures of titles from what is kept, and asks for the others.

    Args:
        cache: keeps them, within a bound of its own; closed with this. None = nothing is kept.
        clock: seconds since the epoch.
    """

    def __init__(
        self, cache: AnswerCache | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._cache = cache
        self._clock = clock

    async def picture(
        self, catalogue: Catalogue, ref: TitleRef, which: Picture, width: int
    ) -> bytes | None:
        """A picture of about a width; while nobody answers one that is kept, of any width.

        Raises:
            MetadataError: nobody answers, and none is kept.
        """
        rounded = min((w for w in _WIDTHS if w >= width), default=_WIDTHS[-1])
        kept = await self._kept(ref, which, rounded)
        if kept is not None and 0 < kept.until - self._clock() <= _FRESH:
            return kept.body or None
        try:
            body = await catalogue.picture(ref, which, rounded)
        except MetadataError:
            if (other := await self._any(ref, which, rounded)) is None:
                raise
            return other
        await self._keep(ref, which, rounded, body)
        return body

    async def aclose(self) -> None:
        """Closes the cache. Idempotent."""
        if self._cache is not None:
            await self._cache.aclose()

    async def _any(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A kept picture, the one whose width is nearest."""
        for one in sorted(_WIDTHS, key=lambda w: abs(w - width)):
            kept = await self._kept(ref, which, one)
            if kept is not None and kept.body:
                return kept.body
        return None

    async def _kept(self, ref: TitleRef, which: Picture, width: int) -> KeptAnswer | None:
        if self._cache is not None:
            with contextlib.suppress(StoreError):  # what cannot be read is asked for
                return await self._cache.get(_name(ref, which, width))
        return None

    async def _keep(self, ref: TitleRef, which: Picture, width: int, body: bytes | None) -> None:
        if self._cache is not None:
            until = self._clock() + (_FRESH if body else _FRESH_NONE)
            with contextlib.suppress(StoreError):  # it only costs that it is asked for again
                await self._cache.put(
                    _name(ref, which, width), KeptAnswer(body or b"", until, None)
                )


def _name(ref: TitleRef, which: Picture, width: int) -> str:
    return f"{ref}/{which.value}/{width}"

"""Keeps answers for as long as the catalogue says that they are fresh (RFC 9111).

It is a private cache: one household uses it. An answer that is no longer fresh is asked for again
with its `ETag`, and a 304 makes it fresh anew. While the catalogue does not answer, it is given as
it is (RFC 5861, section 4). The cache never stands in the way: what cannot be
read from it or written to it is logged, and the catalogue is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2

from chilly_movies.catalogue.ports import AnswerCache, KeptAnswer
from chilly_movies.catalogue.tmdb.origin import TmdbOrigin
from chilly_movies.errors import MetadataUnavailable, StoreError

T = TypeVar("T")
logger = logging.getLogger(__name__)

_LONGEST = 365 * 86_400.0
"""Seconds: nothing is fresh for longer, whatever the server or the clock says."""
_PATIENCE = 4.0
"""Seconds until the catalogue must have answered where an older answer is kept."""
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,]*)))?')


class CachedOrigin(httpx2.AsyncBaseTransport):
    """Answers from the cache what is fresh there, and asks the origin for all else.

    Args:
        origin: lets only good answers through: a 200 with its whole body, or a 304.
        cache: where answers are kept; closed with this, as the origin is.
        clock: seconds since the epoch.
    """

    def __init__(
        self, origin: TmdbOrigin, cache: AnswerCache, clock: Callable[[], float] = time.time
    ) -> None:
        self._origin = origin
        self._cache = cache
        self._clock = clock

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to one GET, see `TmdbOrigin` for the errors."""
        url = str(request.url)
        kept = await self._attempted(self._cache.get(url))
        if kept is not None and 0 < kept.until - self._clock() <= _LONGEST:
            return httpx2.Response(200, content=kept.body)
        if kept is not None and kept.etag:
            request.headers["if-none-match"] = kept.etag
        try:
            async with asyncio.timeout(None if kept is None else _PATIENCE):
                response = await self._origin.handle_async_request(request)
        except (MetadataUnavailable, httpx2.HTTPError, TimeoutError):
            if kept is None:
                raise
            return httpx2.Response(200, content=kept.body)
        confirmed = kept is not None and response.status_code == 304
        body = kept.body if kept is not None and confirmed else await response.aread()
        etag = response.headers.get("etag") or (kept.etag if kept and confirmed else None)
        until = fresh_until(response.headers, self._clock())
        if until is not None and (etag or until > self._clock()):
            await self._attempted(self._cache.put(url, KeptAnswer(body, until, etag)))
        return httpx2.Response(200, content=body)

    async def aclose(self) -> None:
        """Close the origin and the cache."""
        await self._origin.aclose()
        await self._cache.aclose()

    async def _attempted(self, work: Awaitable[T]) -> T | None:
        """Has the cache do something; None if it fails, which is only logged."""
        try:
            return await work
        except StoreError as error:
            logger.warning("the film catalogue's cache failed: %s", error)
            return None


def fresh_until(headers: httpx2.Headers, now: float) -> float | None:
    """When an answer stops being fresh, in seconds since the epoch; None = it must not be kept.

    RFC 9111, sections 4.2.1 and 5.2.2. Without a word of the server it is stale at once.

    Args:
        headers: of the answer.
        now: when it came.
    """
    found = _DIRECTIVE.findall(headers.get("cache-control", ""))
    told = {name.lower(): quoted or plain for name, quoted, plain in found}
    if "no-store" in told or headers.get("vary", "").strip() == "*":
        return None
    if "no-cache" in told:
        return now
    if "max-age" in told:
        lifetime = _seconds(told["max-age"]) - _seconds(headers.get("age", ""))
    else:
        expires = _time(headers.get("expires", ""))
        lifetime = (expires - (_time(headers.get("date", "")) or now)) if expires else 0.0
    return now + min(max(lifetime, 0.0), _LONGEST)


def _seconds(text: str) -> float:
    return float(text[:10]) if text.isascii() and text.isdigit() else 0.0


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # the standard parser has several ways to say that it is no date

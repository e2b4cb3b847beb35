"""Asks the server of a link what is there, by one request for its first bytes."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from chilly_movies.net.fetch import answering, follow
from chilly_movies.net.link_answer import LinkAnswer

_BEGINNING = 1024
"""Bytes that are asked for; they tell a torrent file and a page from a film."""


async def peek(
    client: httpx2.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str] | None,
    allow_private: bool,
    resolve: bool,
) -> LinkAnswer:
    """Ask the server of a link for its first bytes, and those that it redirects to; see `follow`.

    Raises:
        SourceUnavailable: no answer, or one that may change.
        SourceNotFound: the server says that there is no such thing.
        SourceRejected: it refuses, or the link leads to a place we must not reach.
    """

    async def ask(place: str, told: Mapping[str, str] | None) -> LinkAnswer | str:
        wanted = {"Range": f"bytes=0-{_BEGINNING - 1}", "Accept-Encoding": "identity"}
        async with answering(client, place, {**wanted, **(told or {})}) as response:
            if response.is_redirect:
                return response.headers.get("location", "")
            beginning = b""
            async for block in response.aiter_bytes():
                beginning += block
                if len(beginning) >= _BEGINNING:
                    break
            named = {name.lower(): value for name, value in response.headers.items()}
            is_part = response.status_code == httpx2.codes.PARTIAL_CONTENT
            return LinkAnswer(place, named, beginning[:_BEGINNING], is_part)

    found = await follow(
        url,
        ask,
        stops=lambda place: place.lower().startswith("magnet:"),
        headers=headers,
        allow_private=allow_private,
        resolve=resolve,
    )
    return LinkAnswer(found) if isinstance(found, str) else found

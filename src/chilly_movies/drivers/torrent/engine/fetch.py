"""Fetches a torrent file from a link, within bounds and never from a place we must not reach."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import httpx2

from chilly_movies.drivers.torrent.engine.params import identify
from chilly_movies.errors import InvalidSource, SourceNotFound, SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import Source
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES
from chilly_movies.net.addresses import is_public, literal_host_is_public, resolves_to_public
from chilly_movies.net.outbound import NOT_LET, Judge, Outbound

_TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_MAX_HOPS = 5
_STRAIGHT = Outbound()


async def fetch_torrent(
    source: Source,
    *,
    allow_private: bool,
    outbound: Outbound = _STRAIGHT,
    judge: Judge | None = None,
) -> Source:
    """The same source with the torrent file's bytes, or a magnet if the link leads to one.

    Args:
        source: its `urn` is an http or https link.
        allow_private: whether loopback and private addresses may be asked.
        outbound: how we get there.
        judge: whether an address may be talked to, besides being public.

    Raises:
        SourceUnavailable: no answer, or one that may change.
        SourceNotFound: the server says that there is no such thing.
        SourceRejected: an answer that is not a torrent file of at most 10 MiB, or a place we
            must not reach.
    """
    url = source.urn

    def may_connect(address: str) -> bool:
        return (allow_private or is_public(address)) and (judge is None or judge(address))

    async with httpx2.AsyncClient(
        timeout=_TIMEOUT, headers=outbound.headers, trust_env=False,
        transport=outbound.transport(may_connect),
    ) as client:  # fmt: skip
        for _ in range(_MAX_HOPS + 1):
            if url.lower().startswith("magnet:"):
                return replace(source, urn=url)
            await _check(url, allow_private=allow_private, resolve=outbound.proxy is None)
            answer = await _get(client, url)
            if isinstance(answer, bytes):
                return replace(source, data=answer)
            url = urljoin(url, answer)
    raise SourceRejected(f"The link redirects more than {_MAX_HOPS} times.")


async def fetch_checked(
    source: Source,
    *,
    allow_private: bool,
    outbound: Outbound = _STRAIGHT,
    judge: Judge | None = None,
) -> Source:
    """The same, and what came is a usable torrent or magnet.

    Raises:
        SourceUnavailable: see `fetch_torrent`.
        SourceRejected: what came is none.
    """
    source = await fetch_torrent(
        source, allow_private=allow_private, outbound=outbound, judge=judge
    )
    try:
        identify(source)
    except InvalidSource as error:
        raise SourceRejected(str(error)) from None
    return source


async def _check(url: str, *, allow_private: bool, resolve: bool) -> None:
    """Refuse a place we must not reach; what a name means to a proxy only the proxy knows."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise SourceRejected("The link is not a usable address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceRejected("The link must begin with http:// or https://.")
    if allow_private:
        return
    try:
        public = literal_host_is_public(parts.hostname)
        if public and resolve:
            public = await resolves_to_public(parts.hostname, port)
    except OSError:
        raise SourceUnavailable(f"The name '{parts.hostname}' does not resolve.") from None
    if not public:
        raise SourceRejected(
            "The link leads to a private address; CHILLY_ALLOW_PRIVATE_ADDRESSES allows that."
        )


async def _get(client: httpx2.AsyncClient, url: str) -> bytes | str:
    """The body, or where the server sends us."""
    try:
        async with client.stream("GET", url) as response:
            if response.is_redirect:
                return response.headers.get("location", "")
            if response.status_code >= 500 or response.status_code in (408, 429):
                raise SourceUnavailable(f"The link's server answered {response.status_code}.")
            if response.status_code in (404, 410):
                raise SourceNotFound(f"The link's server answered {response.status_code}.")
            if response.status_code != 200:
                raise SourceRejected(f"The link's server answered {response.status_code}.")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_TORRENT_BYTES:
                    raise SourceRejected("The link holds more than the 10 MiB a torrent may have.")
            return body
    except httpx2.InvalidURL:
        raise SourceRejected("The link is not a usable address.") from None
    except httpx2.HTTPError as error:
        if NOT_LET in str(error):
            raise SourceRejected("The link leads to an address that is blocked.") from None
        problem = type(error).__name__
        raise SourceUnavailable(f"The link's server does not answer ({problem}).") from None

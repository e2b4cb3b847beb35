"""Fetches small things from links, within bounds and never from a place we must not reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from chilly_movies.errors import SourceNotFound, SourceRejected, SourceUnavailable
from chilly_movies.net.addresses import literal_host_is_public, resolves_to_public
from chilly_movies.net.failures import is_ours, why_unreachable
from chilly_movies.net.outbound import refused_by

T = TypeVar("T")

_MAX_HOPS = 5
_LONGEST_POST = 30.0
"""Seconds until a receiver must have answered."""


def never(_url: str) -> bool:
    """Follow every redirect."""
    return False


async def get(
    client: httpx2.AsyncClient,
    url: str,
    *,
    limit: int,
    what: str,
    stops: Callable[[str], bool] = never,
    headers: Mapping[str, str] | None = None,
    allow_private: bool,
    resolve: bool = True,
) -> bytes | str:
    """What a server answers, redirects followed; each place on the way is judged.

    Args:
        client: judges each address that it connects to, and follows no redirect itself.
        url: where to begin.
        limit: bytes the answer may have.
        what: what is fetched, with its article, for the sentence that it is too large.
        stops: whether an address is not asked but returned.
        headers: sent to the server of `url`, and to no other that it redirects to.
        allow_private: whether loopback and private addresses may be asked.
        resolve: whether names mean the same to us as to the client, which has no proxy then.

    Returns:
        The answer's bytes, or the address that `stops` is true of.

    Raises:
        SourceUnavailable: no answer, or one that may change.
        SourceNotFound: the server says that there is no such thing.
        SourceRejected: an answer that is too large or none, or a place we must not reach.
    """

    async def ask(place: str, told: Mapping[str, str] | None) -> bytes | str:
        return await _get(client, place, limit, what, told)

    return await follow(
        url, ask, stops=stops, headers=headers, allow_private=allow_private, resolve=resolve
    )


async def follow(
    url: str,
    ask: Callable[[str, Mapping[str, str] | None], Awaitable[T | str]],
    *,
    stops: Callable[[str], bool],
    headers: Mapping[str, str] | None,
    allow_private: bool,
    resolve: bool,
) -> T | str:
    """What is found where redirects end; each place on the way is judged.

    Args:
        url: where to begin.
        ask: asks one place with these headers; gives what is there, or a text: where it is now.
        stops: whether an address is not asked but returned.
        headers: sent to the server of `url`, and to no other that it redirects to.
        allow_private: whether loopback and private addresses may be asked.
        resolve: whether names mean the same to us as to the client, which has no proxy then.

    Raises:
        SourceUnavailable: a name does not resolve.
        SourceRejected: there are too many redirects, or one to a place we must not reach.
    """
    origin = origin_of(url)
    for _ in range(_MAX_HOPS + 1):
        if stops(url):
            return url
        await check_place(url, allow_private=allow_private, resolve=resolve)
        answer = await ask(url, headers if origin_of(url) == origin else None)
        if not isinstance(answer, str):
            return answer
        url = redirected(url, answer)
    raise SourceRejected(f"The link redirects more than {_MAX_HOPS} times.")


async def post(
    client: httpx2.AsyncClient,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
    resolve: bool = True,
) -> int:
    """Sends something to a server; redirects are not followed, and the answer's body is not read.

    Args:
        client: judges each address that it connects to, and follows no redirect itself.
        url: where to.
        body: what is sent.
        headers: header fields.
        allow_private: whether loopback and private addresses may be asked.
        resolve: whether names mean the same to us as to the client, which has no proxy then.

    Returns:
        The status of the answer.

    Raises:
        SourceUnavailable: no answer.
        SourceRejected: a place we must not reach.
    """
    await check_place(url, allow_private=allow_private, resolve=resolve)
    try:
        async with (
            asyncio.timeout(_LONGEST_POST),
            client.stream("POST", url, content=body, headers=dict(headers)) as response,
        ):
            return response.status_code
    except TimeoutError:
        raise SourceUnavailable("The receiver does not answer in time.") from None
    except httpx2.InvalidURL:
        raise SourceRejected("The link is not a usable address.") from None
    except httpx2.HTTPError as error:
        raise _refusal(url, error) from None


def redirected(url: str, target: str) -> str:
    """Where a redirect leads (RFC 9110, 10.2.2).

    Args:
        url: the address that answered.
        target: its Location field.

    Raises:
        SourceRejected: that is no address.
    """
    try:
        return urljoin(url, target)
    except ValueError:
        raise SourceRejected("The link leads to what is no usable address.") from None


def origin_of(url: str) -> tuple[str, str]:
    """Which server a link is of: scheme, host and port (RFC 6454)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()


async def check_place(url: str, *, allow_private: bool, resolve: bool) -> None:
    """Refuse a place we must not reach; what a name means to a proxy only the proxy knows.

    Raises:
        SourceRejected: it is one, or no link.
        SourceUnavailable: its name does not resolve.
    """
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
    except OSError as error:
        sentence = f"The name '{parts.hostname}' does not resolve."
        raise SourceUnavailable(sentence, is_ours=is_ours(error)) from None
    if not public:
        raise SourceRejected(
            "The link leads to a private address; CHILLY_ALLOW_PRIVATE_ADDRESSES allows that."
        )


async def _get(
    client: httpx2.AsyncClient, url: str, limit: int, what: str, headers: Mapping[str, str] | None
) -> bytes | str:
    """The body, or where the server sends us."""
    async with answering(client, url, headers) as response:
        if response.is_redirect:
            return response.headers.get("location", "")
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                most = f"{limit // 1024**2} MiB"
                raise SourceRejected(f"The link holds more than the {most} {what} may have.")
        return body


@asynccontextmanager
async def answering(
    client: httpx2.AsyncClient, url: str, headers: Mapping[str, str] | None
) -> AsyncIterator[httpx2.Response]:
    """A server's answer whose body is not read yet: a redirect, or what was asked for.

    Raises:
        SourceUnavailable: no answer, or one that may change.
        SourceNotFound: the server says that there is no such thing.
        SourceRejected: it refuses, or we must not reach it.
    """
    try:
        async with client.stream("GET", url, headers=headers) as response:
            if not response.is_redirect:
                _refuse(response.status_code)
            yield response
    except httpx2.InvalidURL:
        raise SourceRejected("The link is not a usable address.") from None
    except httpx2.HTTPError as error:
        raise _refusal(url, error) from None


def _refuse(status: int) -> None:
    if status >= 500 or status in (408, 429):
        raise SourceUnavailable(f"The link's server answered {status}.")
    if status in (404, 410):
        raise SourceNotFound(f"The link's server answered {status}.")
    if status not in (200, 206):
        raise SourceRejected(f"The link's server answered {status}.")


def _refusal(url: str, error: httpx2.HTTPError) -> SourceRejected | SourceUnavailable:
    if (why_not := refused_by(error)) is not None:
        return SourceRejected(why_not)
    server, why = urlsplit(url).netloc.rpartition("@")[2], why_unreachable(error)
    sentence = f"The link's server {server} does not answer ({why})."
    return SourceUnavailable(sentence, is_ours=is_ours(error))

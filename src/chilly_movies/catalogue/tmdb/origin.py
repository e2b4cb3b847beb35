"""The transport between the HTTP cache and TMDB. The only place that knows the key.

It sits below the cache and below the client for two reasons. The key is added here, so the
requests the client logs, the errors it raises and the entries the cache stores never had it.
And only complete, well-formed answers leave it upwards, so the cache cannot keep a bad one.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from chilly_movies.errors import MetadataNotConfigured, MetadataUnavailable, TitleNotFound

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes, compressed and uncompressed. Real answers stay below one tenth of it."""

_KEY_REFUSED = frozenset({401, 403})


class CatalogueBusy(MetadataUnavailable):
    """TMDB says when it wants to be asked again.

    Args:
        message: one sentence.
        retry_after: seconds from now, None if it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerRefused(MetadataUnavailable):
    """The answer is unusable and another one would be, too."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Credential:
    """Proves who asks. A token wins over a key; neither is ever shown.

    Args:
        api_key: v3 key, sent in the query because TMDB takes it nowhere else.
        bearer_token: read access token, sent in a header.
    """

    api_key: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)

    @property
    def problem(self) -> str:
        """One sentence saying why it cannot be used, empty if it can.

        It must be able to stand in a request: a library's error about one that cannot quotes it.
        """
        secret = self.bearer_token or self.api_key or ""
        if not secret:
            return (
                "No film catalogue is set up: set CHILLY_TMDB_API_KEY or CHILLY_TMDB_BEARER_TOKEN "
                "to your own key from themoviedb.org."
            )
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            return (
                "The film catalogue's key has characters no key has: check the setting "
                "CHILLY_TMDB_API_KEY or CHILLY_TMDB_BEARER_TOKEN."
            )
        return ""

    def sign(self, request: httpx2.Request) -> httpx2.Request:
        """The same request with the credential in it; the given one stays as it was."""
        url, headers = request.url, request.headers.copy()
        if self.bearer_token:
            headers["authorization"] = f"Bearer {self.bearer_token}"
        else:
            url = url.copy_merge_params({"api_key": self.api_key or ""})
        # The one encoding that is undone here, within a bound.
        headers["accept-encoding"] = "gzip"
        return httpx2.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )


class TmdbOrigin(httpx2.AsyncBaseTransport):
    """Sends signed requests and lets only good answers through.

    What leaves it upwards is a 200 with a complete JSON object, uncompressed, or the 304 the
    cache asked for. Everything else is raised as an error of ours, which also leaves what the
    cache already has untouched.

    Args:
        transport: what reaches the server; closed with this one.
        credential: added to each request.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, credential: Credential) -> None:
        self._transport = transport
        self._credential = credential

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        The request extension `what` names the title asked for, so that a 404 can say so.

        Raises:
            MetadataNotConfigured: the key was refused.
            TitleNotFound: a 404 for something that has a name.
            MetadataUnavailable: any other answer that is not a good one.
        """
        response = await self._transport.handle_async_request(self._credential.sign(request))
        try:
            if response.status_code == 304 and "if-none-match" in request.headers:
                await _read(response)
                return httpx2.Response(304, headers=response.headers)
            _check_status(response, request.extensions.get("what"))
            body = await _read(response)
        finally:
            await response.aclose()
        decode(body)
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx2.Response(200, headers=headers, content=body)

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._transport.aclose()


def decode(body: bytes) -> dict[str, object]:
    """The JSON object in a body.

    Raises:
        MetadataUnavailable: it is not one.
    """
    data: object = None
    # Raised below, outside a handler: the parser's own error would carry the whole body along.
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(body)
    if not isinstance(data, dict):
        raise MetadataUnavailable("The film catalogue's answer cannot be read.")
    return data


def _check_status(response: httpx2.Response, what: str | None) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in _KEY_REFUSED:
        raise MetadataNotConfigured(
            "TMDB refused the key: check the setting CHILLY_TMDB_API_KEY or "
            "CHILLY_TMDB_BEARER_TOKEN."
        )
    if status == 404 and what:
        raise TitleNotFound(f"The film catalogue has no {what}.")
    if status == 429 or status >= 500:
        raise CatalogueBusy(
            f"The film catalogue answered with status {status}.",
            retry_after=_seconds(response.headers.get("retry-after")),
        )
    # A redirect ends here as well: following one could hand the key to another host.
    raise AnswerRefused(f"The film catalogue answered with the unexpected status {status}.")


def _seconds(retry_after: str | None) -> float | None:
    """What a Retry-After field means in seconds from now, None if it means nothing."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        # The standard parser has several ways to say that it is no date.
        return None
    # A date without a zone is in UTC, as HTTP dates always are.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


async def _read(response: httpx2.Response) -> bytes:
    """The body, uncompressed, never more than the bound in memory at either stage."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise AnswerRefused("The film catalogue's answer is too large.")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return bytes(body)
    if encoding != "gzip":
        raise AnswerRefused("The film catalogue's answer has an encoding nobody asked for.")
    # Not the client's own decoder: it expands a chunk whole, however large that becomes.
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = inflater.decompress(bytes(body), LARGEST_BODY + 1)
    except zlib.error:
        plain = b""
    if len(plain) > LARGEST_BODY:
        raise AnswerRefused("The film catalogue's answer is too large.")
    if not inflater.eof:
        raise MetadataUnavailable("The film catalogue's answer is damaged.")
    return plain

"""Rate limits per client address, with the header fields of the IETF draft."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Mapping

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.problems import problem


class RateGate:
    """Counts the requests of each client to the limited paths; too many get 429.

    Args:
        app: what comes next.
        limits: path to a limit like `60/minute`.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, str]) -> None:
        self._app = app
        self._limits: dict[str, RateLimitItem] = {
            path: parse(text) for path, text in limits.items()
        }
        self._windows = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        limit = self._limits.get(scope["path"]) if scope["type"] == "http" else None
        if limit is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        key = (scope["path"], client_of(scope))
        allowed = self._windows.hit(limit, *key)
        headers = self._headers(limit, key)
        if allowed:
            await self._app(scope, receive, _adding(send, headers))
            return
        answer = problem(429, "Too many requests: wait, then try again.", headers=headers)
        await answer(scope, receive, send)

    def _headers(self, limit: RateLimitItem, key: tuple[str, str]) -> dict[str, str]:
        stats = self._windows.get_window_stats(limit, *key)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        headers = {
            "RateLimit-Policy": f'"default";q={limit.amount};w={limit.get_expiry()}',
            "RateLimit": f'"default";r={stats.remaining};t={wait}',
        }
        return headers if stats.remaining else {**headers, "Retry-After": str(wait)}


def client_of(scope: Scope) -> str:
    """Who asks: the peer's address, for IPv6 its /64 (one household can use all of that)."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))


def _adding(send: Send, headers: Mapping[str, str]) -> Send:
    encoded = [
        (name.lower().encode(), value.encode())
        for name, value in headers.items()
        if name != "Retry-After"
    ]

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *encoded]}
        await send(message)

    return adding

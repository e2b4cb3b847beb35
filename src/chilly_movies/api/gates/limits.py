"""Limits per client address: requests in a time, and open streams at once.

The header fields are those of the IETF draft on rate limits.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.gates.clients import client_of
from chilly_movies.api.policy import Limit, Policies
from chilly_movies.api.wire.handover import when_over
from chilly_movies.api.wire.problems import problem

MAX_CLIENTS = 16_384
"""Clients that are remembered; a million addresses cost no more memory than these."""
_WAYS = 8
"""Windows among which the one that ends first gives way."""
_ALL_STREAMS = 8
"""All clients together may have so many times the streams of one."""
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


class Rate(NamedTuple):
    """How many requests a client may make in how many seconds."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Reads `60/minute`; the unit is `second`, `minute`, `hour` or `day`.

        Raises:
            ValueError: the text is no such rate, or lets nothing through.
        """
        amount, _, unit = text.partition("/")
        if unit not in _SECONDS or not (amount.isascii() and amount.isdigit() and int(amount)):
            raise ValueError(f"{text!r} is no rate like 60/minute")
        return cls(int(amount), _SECONDS[unit])


class Windows:
    """A counter of hits in fixed windows of time, for a bounded number of keys.

    All memory there will ever be is taken at once, 24 bytes a key, which has its place among a few
    slots that its (salted) hash names, and the window that ends first gives way to a new one.

    Args:
        clock: monotonic seconds; the wall clock may jump.
        size: keys that are remembered.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, size: int = MAX_CLIENTS
    ) -> None:
        self._clock = clock
        self._ways = min(_WAYS, size)
        size -= size % self._ways
        self._keys = array("q", [0]) * size
        self._ends = array("d", [-math.inf]) * size
        self._counts = array("Q", [0]) * size

    def __len__(self) -> int:
        return sum(end > -math.inf for end in self._ends)

    def hit(self, limit: Rate, key: tuple[str, str]) -> tuple[bool, int, int]:
        """Count one.

        Returns:
            Whether it is within the limit, how many are left, and seconds until the window ends.
        """
        now = self._clock()
        known = hash(key)
        first = known % len(self._keys) // self._ways * self._ways
        slots = range(first, first + self._ways)
        for slot in slots:
            if self._keys[slot] == known:
                break
        else:  # a new key takes the place of the window that ends first
            slot = min(slots, key=self._ends.__getitem__)
            self._keys[slot], self._ends[slot] = known, -math.inf
        if self._ends[slot] <= now:
            self._ends[slot], self._counts[slot] = now + limit.seconds, 0
        allowed = self._counts[slot] < limit.amount
        self._counts[slot] += allowed
        left = limit.amount - self._counts[slot]
        return allowed, left, max(1, math.ceil(self._ends[slot] - now))


class RateGate:
    """Counts the requests of each client to the limited routes; too many get 429.

    Args:
        app: what comes next.
        policies: which routes are limited.
        limits: each as text like `60/minute`.
    """

    def __init__(self, app: ASGIApp, policies: Policies, limits: Mapping[Limit, str]) -> None:
        self._app = app
        self._policies = policies
        self._limits = {which: Rate.parse(text) for which, text in limits.items()}
        self.windows = Windows()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        policy = self._policies.of(scope) if scope["type"] == "http" else None
        if policy is None or policy.limit is None:
            await self._app(scope, receive, send)
            return
        limit = self._limits[policy.limit]
        allowed, left, wait = self.windows.hit(limit, (policy.route, client_of(scope)))
        headers = {
            "RateLimit-Policy": f'"default";q={limit.amount};w={limit.seconds}',
            "RateLimit": f'"default";r={left};t={wait}',
        }
        if not allowed:
            headers["Retry-After"] = str(wait)
            answer = problem(429, "Too many requests: wait, then try again.", headers=headers)
            await answer(scope, receive, send)
            return
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *encoded]}
            await send(message)

        await self._app(scope, receive, adding)


class StreamGate:
    """Lets each client have a bounded number of open event and film streams; more get 429.

    Args:
        app: what comes next.
        policies: which routes have answers that stay open.
        per_client: streams one client may have open.
    """

    def __init__(self, app: ASGIApp, policies: Policies, per_client: int) -> None:
        self._app = app
        self._policies = policies
        self._per_client = per_client
        self._open: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or self._policies.of(scope).stream is None:
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        mine = self._open.get(client, 0)
        everybodys = sum(self._open.values())
        if mine >= self._per_client or everybodys >= self._per_client * _ALL_STREAMS:
            detail = "Too many streams are open; CHILLY_MAX_STREAMS says how many one may have."
            answer = problem(429, detail, code="too_many_streams", headers={"Retry-After": "5"})
            await answer(scope, receive, send)
            return
        self._open[client] = mine + 1
        try:
            await self._app(scope, receive, send)
        finally:
            when_over(scope, partial(self._left, client))

    def _left(self, client: str) -> None:
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

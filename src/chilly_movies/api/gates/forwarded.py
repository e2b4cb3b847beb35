"""What proxies in front of this server say: for whom they ask, and by which address it is known.

Only proxies that the user named are believed. Nobody else is, not even on loopback: a page that
rebound its DNS name comes from there, as a proxy does. For the same reason the `Host` gate judges
both the `Host` of the request and the one that a proxy says it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from starlette.types import ASGIApp, Receive, Scope, Send

from chilly_movies.api.gates.clients import address_of, is_in, parse_networks
from chilly_movies.net.public_url import PublicUrl

_MAX_HOPS = 16
"""Entries of `X-Forwarded-For` that are looked at, from the end."""
_HOST, _PREFIX = "chilly.forwarded_host", "chilly.forwarded_prefix"
"""Where a request's scope keeps what was found."""
_PATH = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,8}")
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"([^"\\]*)"|([^\s";,]*))\s*')
"""A parameter of `Forwarded` (RFC 7239 section 4); a quoted value may hold commas."""
_ELEMENT = re.compile(r'(?:"[^"\\]*"|[^",])+')


class ForwardedGate:
    """Takes the client's address, scheme, host and path prefix from what a known proxy says.

    `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`; what is not there is looked for in
    `Forwarded` (RFC 7239). Read from the right: each entry was added by the one behind it, so the
    first that is no known proxy is the client; what stands before it anybody can invent.

    Args:
        app: what comes next.
        proxies: addresses or CIDR blocks of the proxies in front of this server.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]) -> None:
        self._app = app
        self._proxies = parse_networks(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if self._proxies and scope["type"] == "http" and scope.get("client"):
            host, port = scope["client"]
            if is_in(host, self._proxies):
                told = _Told(scope)
                client, depth = self._client(host, told.all("for"))
                scope["client"] = (client, port)
                scheme = told.at("proto", depth).lower()
                if scheme in ("http", "https"):
                    scope["scheme"] = scheme
                if asked := told.at("host", depth):
                    scope[_HOST] = asked
                prefix = told.at("prefix", depth).rstrip("/")
                if _PATH.fullmatch(prefix):
                    scope[_PREFIX] = prefix
        await self._app(scope, receive, send)

    def _client(self, peer: str, hops: list[str]) -> tuple[str, int]:
        """The address of the client, and how many entries from the end it is."""
        depth = 1
        for depth, hop in enumerate(reversed(hops[-_MAX_HOPS:]), 1):
            address = address_of(hop)
            if address is None:
                return peer, depth  # nothing behind a broken entry can be told apart from a lie
            peer = str(address)
            if not is_in(peer, self._proxies):
                return peer, depth
        return peer, depth


class _Told:
    """The entries that proxies wrote into the head of a request."""

    def __init__(self, scope: Scope) -> None:
        self._fields = scope["headers"]
        self._pairs = [dict(_pairs(one)) for one in _ELEMENT.findall(self._field("forwarded"))]

    def all(self, what: str) -> list[str]:
        """All entries, the one of the nearest proxy last."""
        text = self._field(f"x-forwarded-{what}")
        if text.strip():
            return [part.strip() for part in text.split(",")]
        return [pairs[what] for pairs in self._pairs if what in pairs]

    def _field(self, name: str) -> str:
        key = name.encode()
        return b",".join(value for k, value in self._fields if k == key).decode("latin-1")

    def at(self, what: str, depth: int) -> str:
        """The entry that belongs to the client; '' if there is none."""
        entries = self.all(what)
        return entries[-min(depth, len(entries))] if entries else ""


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    for part in element.split(";"):
        if pair := _PAIR.fullmatch(part):
            yield pair[1].lower(), pair[2] or pair[3] or ""


def forwarded_host(scope: Scope) -> str | None:
    """Returns the host that a known proxy was asked for; nobody has judged it yet."""
    host: str | None = scope.get(_HOST)
    return host


def asked_host(scope: Scope) -> str:
    """Returns the host that the client asked for, as far as we are told."""
    sent = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return forwarded_host(scope) or sent.decode("latin-1")


def base_url(scope: Scope, public: PublicUrl | None) -> str:
    """Returns the address of this server as the client knows it, without a slash at its end.

    Args:
        scope: of a request that passed the gates.
        public: what the user says it is.
    """
    if public is not None:
        return str(public)
    return f"{scope['scheme']}://{asked_host(scope)}{scope.get(_PREFIX, '')}"

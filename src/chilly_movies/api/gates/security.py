"""The first gate: which Host and Origin a request names. Then come key, rate limit and body.

Without it a web page could rebind its DNS name to loopback and drive this server; see OWASP on DNS
rebinding and CSRF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.gates.forwarded import asked_host, forwarded_host
from chilly_movies.api.gates.keys import header_values
from chilly_movies.api.gates.origins import read_origin
from chilly_movies.api.gates.signing import Signer
from chilly_movies.api.policy import KeyScope, Policies
from chilly_movies.api.settings import HttpSettings
from chilly_movies.api.wire.problems import problem
from chilly_movies.net.public_url import PublicUrl

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?")
_LOOPBACK_ORIGIN = re.compile(r"https?://(localhost\.?|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CSP = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
PAGE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _CSP),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"x-permitted-cross-domain-policies", b"none"),
]
"""The fields of every answer, besides those that say where it may be embedded."""


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """The options of the API: who may call, and how much at once.

    Attributes:
        api_secret: a key that may everything, None = none.
        hosts: names besides loopback that the server is reached by.
        origins: web origins besides loopback whose pages may call.
        keys: further keys and what each may do. Without any key everybody may call.
        signer: makes and checks links that need no key.
        proxies: addresses of proxies that say for whom they ask.
        max_streams: open streams of one client.
        public_url: the address of this server behind a proxy; its host and its pages are known.
    """

    api_secret: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    keys: tuple[tuple[str, KeyScope], ...] = ()
    signer: Signer = field(default_factory=Signer)
    proxies: tuple[str, ...] = ()
    max_streams: int = HttpSettings.max_streams
    public_url: PublicUrl | None = None

    @property
    def all_keys(self) -> tuple[tuple[str, KeyScope], ...]:
        """The keys with their scopes, the secret of all rights among them."""
        own = ((self.api_secret, KeyScope.ADMIN),) if self.api_secret else ()
        return (*self.keys, *own)


class AccessOptions(TypedDict, total=False):
    """Fields of `ApiOptions` as keyword arguments (PEP 692); meanings and defaults are there."""

    keys: tuple[tuple[str, KeyScope], ...]
    signer: Signer
    proxies: tuple[str, ...]
    max_streams: int
    public_url: PublicUrl | None


_FOREIGN = "Pages of this origin may not call; CHILLY_ALLOWED_ORIGINS adds origins."
_NO_ORIGIN = (
    "Pages without an origin, from a file say, may not call: serve the page, or give it a scheme "
    "of its own like app:// and add its origin to CHILLY_ALLOWED_ORIGINS."
)


class HostGate:
    """Refuses a foreign or doubtful Host (421) and a foreign Origin (403), and answers preflights.

    Adds the security headers of every answer.

    Args:
        app: what comes next.
        policies: which answers may be embedded.
        api_options: which hosts and origins are known.

    Raises:
        ValueError: what is named as an origin is none.
    """

    def __init__(self, app: ASGIApp, policies: Policies, api_options: ApiOptions) -> None:
        self._app = app
        self._policies = policies
        public = api_options.public_url
        hosts, origins = list(api_options.hosts), list(api_options.origins)
        if public is not None:
            hosts.append(public.host)
            origins.append(public.origin)
        self._named = set(map(_normal, hosts))
        self._origins = set(map(read_origin, origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        values = header_values(scope, b"origin")
        origin = values[0].decode("latin-1").lower() if values else None
        if len(values) > 1:
            origin = ""  # of several none counts
        is_ours = self._known_host(scope)
        welcome = is_ours and self._may_call(scope, origin)
        embeddable = self._policies.of(scope).embeddable
        guarded = _with_headers(send, origin if welcome else None, embeddable=embeddable)
        if not is_ours:
            detail = "The Host header does not name this server; CHILLY_ALLOWED_HOSTS adds names."
            await problem(421, detail)(scope, receive, guarded)
        elif not welcome:
            detail = _NO_ORIGIN if origin == "null" else _FOREIGN
            await problem(403, detail)(scope, receive, guarded)
        elif scope["method"] == "OPTIONS" and origin and header_values(scope, _ASKED_METHOD):
            await guarded({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await guarded({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, guarded)

    def _known_host(self, scope: Scope) -> bool:
        values = header_values(scope, b"host")
        if len(values) != 1 or not self._is_ours(values[0].decode("latin-1"), scope):
            return False
        told = forwarded_host(scope)  # besides, not instead: who rebinds a name can say this, too
        return told is None or self._is_ours(told, scope)

    def _is_ours(self, host: str, scope: Scope) -> bool:
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name, given = _without_root(match[1]), match[2]
        if name in self._named or f"{name}:{given}" in self._named:
            return True
        port = scope["server"][1] if scope.get("server") else None
        return name in _LOOPBACK_HOSTS and (given is None or port in (None, int(given)))

    def _may_call(self, scope: Scope, origin: str | None) -> bool:
        """Tells whether a page of this origin may call.

        A request without Origin may be one of the user's own. A browser tells what began it: a
        form, an image or a frame of a page from elsewhere is refused, a link that the user followed
        is not.
        """
        if origin is not None:
            if origin in self._origins or _LOOPBACK_ORIGIN.fullmatch(origin) is not None:
                return True
            # a page of ours: `/docs` of a server reached by a name, whose host is judged, too
            host = asked_host(scope).lower()
            return origin in (f"{scope.get('scheme', 'http')}://{host}", f"https://{host}")
        site = header_values(scope, b"sec-fetch-site")
        where = site[-1].lower() if site else b"none"
        if scope["method"] not in _SAFE_METHODS:
            return where not in (b"cross-site", b"same-site")
        if where != b"cross-site":
            return True
        mode = header_values(scope, b"sec-fetch-mode") or [b"navigate"]
        into = header_values(scope, b"sec-fetch-dest") or [b"document"]
        return mode[-1].lower() == b"navigate" and into[-1].lower() == b"document"


def _normal(host: str) -> str:
    """Spells a host of the user's list as those of requests are: small, brackets, no root."""
    host = host.lower()
    match = _HOST.fullmatch(host) or _HOST.fullmatch(f"[{host}]")
    if match is None:
        return host
    return _without_root(match[1]) + (f":{match[2]}" if match[2] else "")


def _without_root(name: str) -> str:
    """Removes the dot that stands for the root of all names; an address has none."""
    last = name.removesuffix(".").rpartition(".")[2]
    return name if last.isdigit() else name.removesuffix(".")


_TAKEN = (
    b"content-type", b"x-api-key", b"authorization", b"range", b"last-event-id", b"if-range",
    b"if-none-match", b"if-modified-since", b"cache-control", b"pragma", b"accept-encoding",
)  # fmt: skip
"""What pages may send; the last ones come from players and from clients of events in a page."""
_ASKED_METHOD = b"access-control-request-method"
"""Only a preflight has this field."""
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b", ".join(_TAKEN)),
    (b"access-control-max-age", b"600"),
]  # fmt: skip
_EXPOSED = b", ".join((
    b"retry-after", b"ratelimit", b"ratelimit-policy", b"content-range", b"content-length",
    b"content-disposition", b"accept-ranges", b"etag",
))  # fmt: skip
"""What pages may read of an answer, besides what the Fetch standard always lets them."""


def _with_headers(send: Send, origin: str | None, *, embeddable: bool) -> Send:
    """Wraps `send` so that it adds security headers, and CORS ones for an origin that was let in.

    What is embeddable a page of this machine on another port loads without asking for CORS.
    """
    embedders = b"same-site" if embeddable else b"same-origin"

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", [])) + PAGE_HEADERS
            headers.append((b"cross-origin-resource-policy", embedders))
            if origin:
                headers += [
                    (b"access-control-allow-origin", origin.encode("latin-1")),
                    (b"access-control-expose-headers", _EXPOSED),
                    (b"vary", b"origin"),
                ]
            message = {**message, "headers": headers}
        await send(message)

    return guarded

"""API keys: which there are, what each may do, and the gate that asks for one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from chilly_movies.api.gates.signing import Signer
from chilly_movies.api.policy import KeyScope, Policies
from chilly_movies.api.wire.problems import problem

_NO_KEY = "chilly.no_key"


def may_see_addresses(scope: Scope) -> bool:
    """Tells whether a caller may know this machine's addresses: anybody, unless there are keys."""
    return not scope.get(_NO_KEY, False)


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Returns all values of a header field, in order."""
    return [value for key, value in scope["headers"] if key == name]


class KeyRing:
    """The known keys, as digests only.

    Args:
        keys: each key with its scope.
    """

    def __init__(self, keys: Iterable[tuple[str, KeyScope]]) -> None:
        self._digests = {hashlib.sha256(key.encode()).digest(): scope for key, scope in keys}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def scope_of(self, key: bytes) -> KeyScope | None:
        """Returns what the key may do; None for an unknown one. Takes the same time for any key."""
        given, found = hashlib.sha256(key).digest(), None
        for digest, scope in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = scope
        return found


class KeyGate:
    """Asks for a key if there are any: `x-api-key`, `Authorization: Bearer` or `?api_key=`.

    A signed link opens its film without one.

    Args:
        app: what comes next.
        policies: which routes want a key, and which a link opens.
        keys: those that are known; none = everybody may call.
        signer: checks signed links.
    """

    def __init__(self, app: ASGIApp, policies: Policies, keys: KeyRing, signer: Signer) -> None:
        self._app = app
        self._policies = policies
        self._keys = keys
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        asked = scope["type"] == "http" and bool(self._keys)
        if not asked:
            scope[_NO_KEY] = False
            await self._app(scope, receive, send)
            return
        needed = self._policies.of(scope).scope
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = set(_given_keys(scope, query))
        if needed is None:
            # some give a key all the same
            scope[_NO_KEY] = not any(self._keys.scope_of(key) is not None for key in given)
            await self._app(scope, receive, send)
            return
        if not given and self._is_signed(scope, query):
            await self._app(scope, receive, send)
            return
        allowed = self._keys.scope_of(next(iter(given))) if len(given) == 1 else None
        if allowed is None:
            await _unauthorized(scope, receive, send, some=bool(given), query=query)
        elif allowed < needed:
            detail = (
                f"This key may not do that: it takes one with the scope '{needed.name.lower()}'."
            )
            await problem(403, detail, code="forbidden_scope")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_signed(self, scope: Scope, query: Mapping[str, list[str]]) -> bool:
        expires, signature = query.get("expires", []), query.get("sig", [])
        if len(expires) != 1 or len(signature) != 1:
            return False
        if not self._policies.of(scope).signable:  # only what a route answers is, so it only reads
            return False
        return self._signer.verify(scope["path"], expires[0], signature[0])


async def _unauthorized(
    scope: Scope, receive: Receive, send: Send, *, some: bool, query: Mapping[str, list[str]]
) -> None:
    detail = "An API key is needed: send it as x-api-key header or api_key query."
    if some:
        detail = "The API key is wrong."
    elif "sig" in query:
        detail = "This link does not hold, or no longer."
    await problem(401, detail, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)


def _given_keys(scope: Scope, query: Mapping[str, list[str]]) -> Iterable[bytes]:
    yield from header_values(scope, b"x-api-key")
    for value in header_values(scope, b"authorization"):
        scheme, _, token = value.partition(b" ")
        if scheme.lower() == b"bearer":
            yield token.strip()
    for text in query.get("api_key", []):
        yield text.encode("utf-8", "surrogateescape")

"""What a route asks of a caller and allows, stated beside the route; the gates are built from it.

    @router.post("/download/cancel", ...)
    @Policy(KeyScope.CONTROL, limit=Limit.CANCEL, body=SMALL_JSON)
    async def cancel(...)

A route without a policy ends the start of the application, so that none can be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import Scope

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_POLICY = "_chilly_policy"
_HOT = "_chilly_hot"
_FOUND = "chilly.policy"
"""Where a request's scope keeps what was found for it."""


class KeyScope(IntEnum):
    """What a key may do; each may all that stands before it."""

    READ = 1
    """Look at jobs, events and films."""
    CONTROL = 2
    """Start, pause, resume and cancel, too."""
    ADMIN = 3
    """Everything: remove jobs and films, see settings, set limits, too."""


class Limit(Enum):
    """The rates that a user sets; each route counts for itself."""

    START = "start"
    CANCEL = "cancel"


class Stream(Enum):
    """The kinds of answers that may stay open."""

    EVENTS = "events"
    FILM = "film"
    """A player may pause in the middle of it, and reads nothing for an hour then."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that a route reads.

    Attributes:
        limit: the most bytes of JSON.
        upload: whether a form with a torrent file is taken, too.
    """

    limit: int
    upload: bool = False


SMALL_JSON = Body(16 * 1024)
"""An id and nothing else."""
JSON = Body(256 * 1024)
JSON_OR_UPLOAD = Body(256 * 1024, upload=True)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one route asks and allows; a decorator of its handler.

    Attributes:
        scope: what a key must be able to do; None = no key is asked for.
        limit: the rate that counts; None = as often as one likes.
        body: what is read of the request; None = nothing.
        stream: the kind of answer that stays open; it takes one of the client's streams.
        signable: whether a signed link opens it, to read.
        embeddable: whether pages of this machine on another port may embed the answer.
        route: the route's path with its parameters; the table fills it in.
    """

    scope: KeyScope | None
    limit: Limit | None = None
    body: Body | None = None
    stream: Stream | None = None
    signable: bool = False
    embeddable: bool = False
    route: str = ""

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """Attaches the policy to a handler."""
        setattr(endpoint, _POLICY, self)
        return endpoint


def hot(plain: Callable[..., Any]) -> Callable[[Endpoint], Endpoint]:
    """Marks a route that is asked often: a plain function answers in the place of its handler.

    Args:
        plain: takes the request alone, and so goes without the framework's parameter handling.
    """

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _HOT, plain)
        return endpoint

    return mark


def hot_lane(routes: Sequence[BaseRoute]) -> list[Route]:
    """Returns the routes that plain functions answer, to be asked before all others."""
    answers = {path: getattr(route.endpoint, _HOT, None) for path, route in every_route(routes)}
    return [Route(path, plain) for path, plain in answers.items() if plain is not None]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route as the gates see it."""

    methods: frozenset[str]
    path: re.Pattern[str]
    policy: Policy


class Policies:
    """The policies of an application's routes, found by method and path as its router does.

    What no route answers (404, 405) asks for a key that may do what the method could; whether it is
    open, counts as a stream or may be embedded say the routes beside it, those that begin with the
    same part of the path.

    Args:
        routes: of the application, in its order.

    Raises:
        RuntimeError: a route has no policy, or one that cannot be.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._beside: dict[str, list[_Entry]] = {}
        for path, route in every_route(routes):
            methods = frozenset(route.methods or ())
            name = f"The route {'/'.join(sorted(methods))} {path}"
            policy = getattr(route.endpoint, _POLICY, None)
            if policy is None:
                raise RuntimeError(f"{name} has no Policy; put one beside it (api/policy.py)")
            if isinstance(route, APIRoute) and route.body_field and not policy.body:
                raise RuntimeError(f"{name} reads a body, but its Policy has none")
            if "{" in _head(path):
                raise RuntimeError(f"{name} begins with a parameter; no gate could find it")
            if "GET" in methods:
                methods |= {"HEAD"}
            pattern, told, _ = compile_path(path)
            entry = _Entry(methods, pattern, replace(policy, route=told))
            self._beside.setdefault(_head(path), []).append(entry)

    def __iter__(self) -> Iterator[tuple[frozenset[str], Policy]]:
        """Yields the methods and the policy of every route."""
        return ((entry.methods, entry.policy) for some in self._beside.values() for entry in some)

    def of(self, scope: Scope) -> Policy:
        """Returns the policy for an HTTP request; it is looked up once."""
        found: Policy | None = scope.get(_FOUND)
        if found is None:
            found = scope[_FOUND] = self.find(scope["method"], routed_path(scope))
        return found

    def find(self, method: str, path: str) -> Policy:
        """Finds the policy for a method and a path without percent signs."""
        beside = self._beside.get(_head(path), ())
        for entry in beside:
            if method in entry.methods and entry.path.match(path):
                return entry.policy
        # No route answers it, so those beside it say what it takes; a path with a slash too many
        # is redirected by the router.
        them = [entry.policy for entry in beside or self._beside.get(path.rstrip("/"), ())]
        is_open = bool(them) and all(policy.scope is None for policy in them)
        return Policy(
            None if is_open else scope_by_method(method),
            stream=next((policy.stream for policy in them if policy.stream), None),
            embeddable=bool(them) and all(policy.embeddable for policy in them),
        )

    def has_below(self, prefix: str) -> bool:
        """Tells whether a route answers at a path or below it."""
        them = [policy.route for _, policy in self]
        answered = any(self.find(method, prefix).route for method in _BY_METHOD)
        return answered or any(route.startswith(f"{prefix}/") for route in them)


def routed_path(scope: Scope) -> str:
    """Returns the path that routes are compared with, as the router finds it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def every_route(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, Route]]:
    """Yields path and route of everything that answers.

    Raises:
        RuntimeError: something else than a route is among them: a mounted application, or a router
            that was included, not taken over (`routers.take_over`).
    """
    for route in routes:
        if isinstance(route, Route):
            yield route.path, route
            continue
        raise RuntimeError(f"{route} is no plain route, so it can have no Policy")


def policy_found(scope: Mapping[str, Any]) -> Policy | None:
    """Returns the policy that the gates found for a request; None before they were asked."""
    return scope.get(_FOUND)


def _head(path: str) -> str:
    """Returns the first part of a path with the slash behind it.

    A path of one part may end with a newline: the router's `$` lets that by.
    """
    end = path.find("/", 1) + 1
    return path[:end] if end else path.removesuffix("\n")


_BY_METHOD = {
    "GET": KeyScope.READ,
    "HEAD": KeyScope.READ,
    "OPTIONS": KeyScope.READ,
    "POST": KeyScope.CONTROL,
    "PATCH": KeyScope.CONTROL,
    "PUT": KeyScope.CONTROL,
}
"""What a request takes that no route answers; methods that are not here take the most."""


def scope_by_method(method: str) -> KeyScope:
    """Returns what a request must be able to do of which nothing is known but its method."""
    return _BY_METHOD.get(method, KeyScope.ADMIN)

"""A topic of the API: routes that something beside the downloader answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import APIRouter

from chilly_movies.jobs.downloader import Downloader
from chilly_movies.watching.facts import MediaFactsCache


async def _nothing(_given: Any) -> None:
    """Begins and closes nothing."""


class Companion(Protocol):
    """Works beside a downloader for as long as that is open."""

    def open(self, downloader: Downloader) -> None:
        """Begin; the downloader is open. Idempotent."""

    async def aclose(self) -> None:
        """End; the downloader is still open. Idempotent."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        name: the keyword of `create_app` for what answers it, and its name in the state of the
            application.
        router: its routes.
        make: what the routes ask, of what was given (None = nothing was), the downloader and the
            facts of films.
        close: ends what was given.
        begin: starts what was made, once the downloader is open.
        is_companion: what was given is a `Companion`, and has to be among the downloader's.
    """

    name: str
    router: APIRouter
    make: Callable[[Any, Downloader, MediaFactsCache], object]
    close: Callable[[Any], Awaitable[None]] = _nothing
    begin: Callable[[Any], Awaitable[None]] = _nothing
    is_companion: bool = False

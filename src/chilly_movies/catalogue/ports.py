"""What is asked of a catalogue of films; `tmdb` and `mock` implement it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chilly_movies.catalogue.titles import (
    Season,
    TitleDetails,
    TitleKind,
    TitlePage,
    TitleRef,
    Video,
)


class MetadataProvider(Protocol):
    """Knows films and series.

    All methods raise `MetadataNotConfigured`, `MetadataUnavailable` or `TitleNotFound`.
    """

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles that match the words; both kinds mixed if `kind` is None."""
        ...

    async def details(self, kind: TitleKind, title_id: int) -> TitleDetails:
        """Everything about one title."""
        ...

    async def season(self, title_id: int, number: int) -> Season:
        """One season of a series with its episodes."""
        ...

    async def videos(self, kind: TitleKind, title_id: int) -> tuple[Video, ...]:
        """Trailers and clips, official trailers first."""
        ...

    async def similar(self, kind: TitleKind, title_id: int, *, page: int = 1) -> TitlePage:
        """Titles like this one."""
        ...

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        ...


class Picture(StrEnum):
    """Which picture of a title."""

    POSTER = "poster"
    BACKDROP = "backdrop"
    STILL = "still"


class Catalogue(Protocol):
    """Knows titles by their ref, whatever its provider calls them.

    All methods raise `MetadataNotConfigured`, `MetadataUnavailable` or `TitleNotFound`.
    """

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles that match the words, best first; each has its `ref`."""
        ...

    async def details(self, ref: TitleRef) -> TitleDetails:
        """Everything about one title."""
        ...

    async def season(self, ref: TitleRef, number: int) -> Season:
        """One season of a series with its episodes."""
        ...

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A picture at least that wide if there is one: JPEG, PNG or WebP; None = there is none."""
        ...

    async def aclose(self) -> None:
        """Closes connections. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer of a catalogue as it is kept.

    Attributes:
        until: seconds since the epoch; until then nobody has to be asked.
        etag: what the server calls this state of the answer, None = it gave it no name.
    """

    body: bytes
    until: float
    etag: str | None


class AnswerCache(Protocol):
    """Keeps answers over restarts, within a bound of its own.

    All methods but the last raise `StoreError`.
    """

    async def get(self, url: str) -> KeptAnswer | None:
        """The kept answer, however old; None if there is none."""
        ...

    async def put(self, url: str, answer: KeptAnswer) -> None:
        """Keep an answer in place of the one before."""
        ...

    async def aclose(self) -> None:
        """Close what is open. Idempotent."""
        ...

"""What is asked of catalogues of films: by number of one of them, by ref of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chilly_movies.catalogue.titles import (
    ExternalId,
    Season,
    Title,
    TitleDetails,
    TitleFilter,
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
        """A picture at least that wide if there is one: JPEG, PNG or WebP; None = there is none.

        Of a series the id may go on with a season (`tmdb:tv:1396:1`) and an episode of it
        (`tmdb:tv:1396:1:2`).
        """
        ...

    async def aclose(self) -> None:
        """Closes connections. Idempotent."""
        ...


class Discovery(Protocol):
    """Shows titles to those that do not know yet what they look for.

    All methods raise `MetadataNotConfigured` or `MetadataUnavailable`.
    """

    async def popular(self, kind: TitleKind, *, page: int = 1) -> TitlePage:
        """What many like at present, most liked first."""
        ...

    async def discover(self, wanted: TitleFilter, *, page: int = 1) -> TitlePage:
        """Titles that pass a filter, most liked first."""
        ...

    async def genres(self, kind: TitleKind) -> tuple[str, ...]:
        """The genres that a filter may name."""
        ...

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles that another catalogue calls so; usually one or none."""
        ...


class BrowsableCatalogue(Catalogue, Discovery, Protocol):
    """Knows titles by their ref, and shows what there is."""


class Fetch(Protocol):
    """Fetches small things over HTTP, redirects followed, each place judged.

    `net.policy.NetworkPolicy.get` is one. It raises `SourceUnavailable`, `SourceNotFound` or
    `SourceRejected`.
    """

    async def __call__(
        self, url: str, *, limit: int, what: str, headers: Mapping[str, str] | None = None
    ) -> bytes | str:
        """What a server answers.

        Args:
            url: where.
            limit: bytes it may have.
            what: what it is, with its article.
            headers: further header fields.
        """
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

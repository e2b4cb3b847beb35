"""What is asked of a catalogue of films; `tmdb` and `mock` implement it."""

from __future__ import annotations

from typing import Protocol

from chilly_movies.catalogue.titles import Season, TitleDetails, TitleKind, TitlePage, Video


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

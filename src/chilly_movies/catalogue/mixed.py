"""All catalogues as one: each is asked for its own titles, and pictures are kept."""

from __future__ import annotations

from collections.abc import Mapping

from chilly_movies.catalogue.kept_pictures import KeptPictures
from chilly_movies.catalogue.ports import BrowsableCatalogue, Picture
from chilly_movies.catalogue.titles import (
    ExternalId,
    Season,
    Title,
    TitleDetails,
    TitleKind,
    TitlePage,
    TitleRef,
)
from chilly_movies.errors import MetadataNotConfigured, TitleNotFound
from chilly_movies.jobs.named import Naming


class MixedCatalogue:
    """Implements `ports.Catalogue` over others, by the provider of a ref.

    A search without a provider asks the first one alone, so that nobody is asked whom the user did
    not set up or name.

    Args:
        catalogues: by the provider that their refs begin with, the one that is searched first;
            closed with this.
        pictures: keeps pictures; closed with this.
        browsed: the one that is browsed if nobody names one; None = the one that is searched.
        names: what knows where films are to be had, by provider.

    Attributes:
        catalogues: the same.
        browsed: the same; None = there is none at all.
        names: the same.
    """

    def __init__(
        self,
        catalogues: Mapping[str, BrowsableCatalogue],
        pictures: KeptPictures | None = None,
        *,
        browsed: str | None = None,
        names: Mapping[str, Naming] | None = None,
    ) -> None:
        self.names = dict(names or {})
        self.catalogues = dict(catalogues)
        self.browsed = browsed or next(iter(self.catalogues), None)
        self._pictures = pictures or KeptPictures()

    def of(self, provider: str | None = None) -> BrowsableCatalogue:
        """The catalogue of a provider; None = the one that is browsed.

        Raises:
            TitleNotFound: there is no such provider.
            MetadataNotConfigured: there is none at all.
        """
        if (name := provider or self.browsed) is None:
            raise MetadataNotConfigured("No film catalogue is set up.")
        if name not in self.catalogues:
            known = ", ".join(self.catalogues) or "none"
            raise TitleNotFound(f"There is no catalogue '{name[:40]}'; there are: {known}.")
        return self.catalogues[name]

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles of the first catalogue that match the words."""
        first = self.of(next(iter(self.catalogues), None))
        return await first.search(query, kind, year=year, page=page)

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles of the first catalogue that another one calls so."""
        return await self.of(next(iter(self.catalogues), None)).find(external)

    async def details(self, ref: TitleRef) -> TitleDetails:
        """Everything about one title."""
        return await self.of(ref.provider).details(ref)

    async def season(self, ref: TitleRef, number: int) -> Season:
        """One season of a series with its episodes."""
        return await self.of(ref.provider).season(ref, number)

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A picture of a title; one that was seen before though nobody answers now."""
        catalogue = self.of(ref.provider)
        return await self._pictures.picture(catalogue, ref, which, width)

    async def aclose(self) -> None:
        """Closes all of them. Idempotent."""
        for catalogue in self.catalogues.values():
            await catalogue.aclose()
        await self._pictures.aclose()

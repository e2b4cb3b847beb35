"""All catalogues as one: each is asked for its own titles."""

from __future__ import annotations

from collections.abc import Mapping

from chilly_movies.catalogue.ports import BrowsableCatalogue, Picture
from chilly_movies.catalogue.titles import Season, TitleDetails, TitleKind, TitlePage, TitleRef
from chilly_movies.errors import MetadataNotConfigured, TitleNotFound


class MixedCatalogue:
    """Implements `ports.Catalogue` over others, by the provider of a ref.

    A search without a provider asks the first one alone, so that nobody is asked whom the user did
    not set up or name.

    Args:
        catalogues: by the provider that their refs begin with, the one that is searched first;
            closed with this.

    Attributes:
        catalogues: the same.
    """

    def __init__(self, catalogues: Mapping[str, BrowsableCatalogue]) -> None:
        self.catalogues = dict(catalogues)

    def of(self, provider: str | None = None) -> BrowsableCatalogue:
        """The catalogue of a provider; None = the one that is searched.

        Raises:
            TitleNotFound: there is no such provider.
            MetadataNotConfigured: there is none at all.
        """
        if provider is None:
            for catalogue in self.catalogues.values():
                return catalogue
            raise MetadataNotConfigured("No film catalogue is set up.")
        if provider not in self.catalogues:
            known = ", ".join(self.catalogues) or "none"
            raise TitleNotFound(f"There is no catalogue '{provider[:40]}'; there are: {known}.")
        return self.catalogues[provider]

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles of the first catalogue that match the words."""
        return await self.of().search(query, kind, year=year, page=page)

    async def details(self, ref: TitleRef) -> TitleDetails:
        """Everything about one title."""
        return await self.of(ref.provider).details(ref)

    async def season(self, ref: TitleRef, number: int) -> Season:
        """One season of a series with its episodes."""
        return await self.of(ref.provider).season(ref, number)

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A picture of a title."""
        return await self.of(ref.provider).picture(ref, which, width)

    async def aclose(self) -> None:
        """Closes all of them. Idempotent."""
        for catalogue in self.catalogues.values():
            await catalogue.aclose()

"""What every catalogue does that is asked by ref: the canned one, TMDB and the Internet Archive,
each of these two against a server on loopback that speaks its dialect and knows the same films."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from chilly_movies.catalogue.archive_org.catalogue import ArchiveCatalogue
from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.mock import MockMetadataProvider
from chilly_movies.catalogue.neutral import png
from chilly_movies.catalogue.numbered import NumberedCatalogue
from chilly_movies.catalogue.ports import BrowsableCatalogue, Picture
from chilly_movies.catalogue.titles import TitleFilter, TitleKind, TitlePage, TitleRef
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.errors import MetadataNotConfigured, TitleNotFound
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from tests.integration.archive_origin import archive_origin
from tests.integration.tmdb_server import TOKEN, TmdbServer
from tests.old_films import FILMS, OldFilm, old_titles

pytestmark = pytest.mark.anyio

MOVIE = TitleKind.MOVIE
PNG = png(3, 2, lambda x, y: x == y)
LOCAL = NetworkPolicy(NetworkConfig(allow_private_addresses=True))


@dataclass
class Known:
    """A catalogue, and what it calls a film."""

    catalogue: BrowsableCatalogue
    provider: str

    def ref(self, film: OldFilm) -> TitleRef:
        name = film.identifier if self.provider == "archive" else f"movie:{film.number}"
        return TitleRef(self.provider, name)


@pytest.fixture(params=["mock", "tmdb", "archive"])
async def known(request: pytest.FixtureRequest) -> AsyncIterator[Known]:
    if request.param == "mock":
        yield Known(NumberedCatalogue(MockMetadataProvider(old_titles())), "tmdb")
    elif request.param == "tmdb":
        async with TmdbServer(titles=old_titles()) as server:
            server.pictures |= {f"{a}{film.number}.png": PNG for film in FILMS for a in "pb"}
            urls: Any = {"base_url": server.base_url, "image_base_url": server.image_base_url}
            tmdb = NumberedCatalogue(TmdbProvider(bearer_token=TOKEN, **urls), LOCAL.get)
            yield Known(tmdb, "tmdb")
            await tmdb.aclose()
    else:
        async with archive_origin() as origin:
            for film in FILMS[:30]:
                origin.serve(f"/services/img/{film.identifier}", PNG)
            yield Known(ArchiveCatalogue(LOCAL.get, base_url=origin.base_url), "archive")


def names(page: TitlePage) -> list[str]:
    return [title.name for title in page.results]


async def test_every_film_is_found_by_its_name_and_year_and_has_the_ref_that_gives_its_facts(
    known: Known,
) -> None:
    for film in FILMS[::23]:
        page = await known.catalogue.search(film.name, MOVIE, year=film.year)
        found = next(title for title in page.results if title.name == film.name)
        assert found.ref == known.ref(film)
        details = await known.catalogue.details(found.ref)
        assert (details.title.name, details.title.year) == (film.name, film.year)
        assert (details.title.ref, details.directors) == (found.ref, (film.director,))


@pytest.mark.parametrize("query", ["zzyzx", "", "   "])
async def test_a_search_that_finds_nothing_is_an_empty_page(known: Known, query: str) -> None:
    assert await known.catalogue.search(query, MOVIE) == TitlePage(1, 0, 0)


async def test_popular_films_come_in_pages_that_follow_one_another(known: Known) -> None:
    pages = [await known.catalogue.popular(MOVIE, page=n) for n in (1, 2)]
    expected = [film.name for film in reversed(FILMS)]
    assert names(pages[0]) + names(pages[1]) == expected[:40]
    assert pages[0].total_results == len(FILMS)


async def test_a_filter_gives_the_films_of_some_years_alone(known: Known) -> None:
    wanted = TitleFilter(MOVIE, year_from=1960, year_to=1963)
    found = await known.catalogue.discover(wanted)
    assert names(found) == [f.name for f in reversed(FILMS) if 1960 <= f.year <= 1963]


@pytest.mark.parametrize(
    "ref",
    ["tmdb:movie:4", "tmdb:person:90001", "tmdb:movie:0", "archive:no_such_item", "other:movie:1"],
)
async def test_an_unknown_ref_is_not_found_by_any_method(known: Known, ref: str) -> None:
    told = TitleRef.read(ref)
    with pytest.raises(TitleNotFound):
        await known.catalogue.details(told)
    with pytest.raises(TitleNotFound):
        await known.catalogue.season(told, 1)


async def test_a_picture_is_that_of_the_server_or_none(known: Known) -> None:
    ref = known.ref(FILMS[3])
    expected = None if isinstance(known.catalogue, NumberedCatalogue) else PNG
    found = await known.catalogue.picture(ref, Picture.POSTER, 300)
    assert found in (PNG, expected)


async def test_several_catalogues_are_one_which_searches_the_first_alone() -> None:
    async with archive_origin() as origin:
        archive = ArchiveCatalogue(LOCAL.get, base_url=origin.base_url)
        canned = NumberedCatalogue(MockMetadataProvider())
        mixed = MixedCatalogue({"tmdb": canned, "archive": archive})
        assert names(await mixed.search("metropolis")) == ["Metropolis"]
        assert origin.asked == []
        film = FILMS[40]
        details = await mixed.details(TitleRef("archive", film.identifier))
        assert details.title.name == film.name
        with pytest.raises(TitleNotFound, match="there are: tmdb, archive"):
            await mixed.details(TitleRef("other", "1"))
        await mixed.aclose()
    with pytest.raises(MetadataNotConfigured):
        await MixedCatalogue({}).search("metropolis")

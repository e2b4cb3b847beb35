"""What every MetadataProvider does: run against the mock, and against the TMDB client talking
to a server on loopback that serves the same titles in TMDB's dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from chilly_movies.catalogue.canned import TITLES, VIDEOS
from chilly_movies.catalogue.mock import MockMetadataProvider
from chilly_movies.catalogue.ports import MetadataProvider
from chilly_movies.catalogue.titles import TitleKind, TitlePage
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.errors import MetadataUnavailable, TitleNotFound
from tests.integration.tmdb_server import TOKEN, TmdbServer

pytestmark = pytest.mark.anyio

MOVIE, TV = TitleKind.MOVIE, TitleKind.TV
PAGE_SIZE = 2


@pytest.fixture(params=["mock", "tmdb"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[MetadataProvider]:
    if request.param == "mock":
        mock = MockMetadataProvider(page_size=PAGE_SIZE)
        yield mock
        await mock.aclose()
        return
    async with TmdbServer(page_size=PAGE_SIZE) as server:
        tmdb = TmdbProvider(bearer_token=TOKEN, base_url=server.base_url)
        yield tmdb
        await tmdb.aclose()


def names(page: TitlePage) -> list[str]:
    return [title.name for title in page.results]


async def test_a_search_finds_a_title_by_words_of_its_name(provider: MetadataProvider) -> None:
    page = await provider.search("living dead", MOVIE)
    assert page == TitlePage(1, 1, 1, (TITLES[7].title,))


async def test_a_search_ignores_case_and_surrounding_space(provider: MetadataProvider) -> None:
    assert names(await provider.search("  mEtRoPoLiS ", MOVIE)) == ["Metropolis"]


async def test_a_search_finds_the_original_name(provider: MetadataProvider) -> None:
    assert names(await provider.search("voyage lune", MOVIE)) == ["A Trip to the Moon"]


async def test_a_search_of_one_kind_leaves_out_the_other(provider: MetadataProvider) -> None:
    assert names(await provider.search("sherlock", MOVIE)) == ["Sherlock Jr."]
    assert names(await provider.search("sherlock", TV)) == ["Sherlock Holmes"]


async def test_a_search_without_a_kind_finds_films_and_series_and_no_people(
    provider: MetadataProvider,
) -> None:
    page = await provider.search("sherlock")
    assert [(t.name, t.kind) for t in page.results] == [
        ("Sherlock Jr.", MOVIE),
        ("Sherlock Holmes", TV),
    ]


@pytest.mark.parametrize("kind", [MOVIE, None])
async def test_a_year_narrows_a_search(provider: MetadataProvider, kind: TitleKind | None) -> None:
    assert names(await provider.search("the", kind, year=1968)) == ["Night of the Living Dead"]


@pytest.mark.parametrize("kind", [TV, None])
async def test_a_year_is_that_of_a_series_first_episode(
    provider: MetadataProvider, kind: TitleKind | None
) -> None:
    assert names(await provider.search("beyond", kind, year=1959)) == ["One Step Beyond"]
    assert names(await provider.search("beyond", kind, year=1960)) == []


@pytest.mark.parametrize("kind", [MOVIE, TV])
async def test_a_search_that_finds_nothing_is_an_empty_page(
    provider: MetadataProvider, kind: TitleKind
) -> None:
    assert await provider.search("zzyzx", kind) == TitlePage(1, 0, 0)


@pytest.mark.parametrize("query", ["", "   "])
async def test_a_search_for_nothing_finds_nothing(provider: MetadataProvider, query: str) -> None:
    assert await provider.search(query) == TitlePage(1, 0, 0)


async def test_pages_follow_one_another_without_gaps(provider: MetadataProvider) -> None:
    first = await provider.similar(MOVIE, 19)
    second = await provider.similar(MOVIE, 19, page=2)
    assert (first.page, second.page) == (1, 2)
    assert first.total_pages == second.total_pages == 2
    assert first.total_results == len(first.results) + len(second.results)
    assert len(first.results) == PAGE_SIZE
    assert not set(first.results) & set(second.results)


@pytest.mark.parametrize("page", [2, 500, 501, 10**6])
async def test_a_page_past_the_end_is_empty_and_keeps_the_totals(
    provider: MetadataProvider, page: int
) -> None:
    assert await provider.search("metropolis", MOVIE, page=page) == TitlePage(page, 1, 1)


@pytest.mark.parametrize("page", [0, -1])
async def test_a_page_before_the_first_is_a_programming_error(
    provider: MetadataProvider, page: int
) -> None:
    with pytest.raises(ValueError, match="pages count from 1"):
        await provider.search("metropolis", MOVIE, page=page)


@pytest.mark.parametrize("wanted", TITLES, ids=lambda t: str(t.title.name))
async def test_details_hold_everything_but_the_episodes(
    provider: MetadataProvider, wanted: object
) -> None:
    details = next(t for t in TITLES if t is wanted)
    bare = tuple(replace(season, episodes=()) for season in details.seasons)
    assert await provider.details(details.title.kind, details.title.id) == replace(
        details, seasons=bare
    )


async def test_a_season_holds_its_episodes(provider: MetadataProvider) -> None:
    series = TITLES[-1]
    assert await provider.season(series.title.id, 1) == series.seasons[0]
    assert await provider.season(series.title.id, 2) == series.seasons[1]


async def test_videos_come_with_official_trailers_first(provider: MetadataProvider) -> None:
    assert await provider.videos(MOVIE, 19) == VIDEOS[MOVIE, 19]


async def test_a_title_without_videos_has_none(provider: MetadataProvider) -> None:
    assert await provider.videos(TV, 1954) == ()


async def test_similar_titles_are_of_the_same_kind_and_never_the_title_itself(
    provider: MetadataProvider,
) -> None:
    page = await provider.similar(TV, 1954)
    assert names(page) == ["One Step Beyond"]


async def test_the_same_number_of_the_other_kind_is_another_title(
    provider: MetadataProvider,
) -> None:
    with pytest.raises(TitleNotFound):
        await provider.details(TV, 19)


async def test_an_unknown_title_is_not_found_by_any_method(provider: MetadataProvider) -> None:
    with pytest.raises(TitleNotFound, match="movie 999999"):
        await provider.details(MOVIE, 999999)
    with pytest.raises(TitleNotFound):
        await provider.videos(MOVIE, 999999)
    with pytest.raises(TitleNotFound):
        await provider.similar(MOVIE, 999999)
    with pytest.raises(TitleNotFound):
        await provider.season(999999, 1)


async def test_an_unknown_season_is_not_found(provider: MetadataProvider) -> None:
    with pytest.raises(TitleNotFound, match="season 9 of series 1954"):
        await provider.season(1954, 9)


async def test_closing_twice_is_harmless_and_nothing_is_answered_afterwards(
    provider: MetadataProvider,
) -> None:
    await provider.aclose()
    await provider.aclose()
    with pytest.raises(MetadataUnavailable, match="closed"):
        await provider.details(MOVIE, 19)
    with pytest.raises(MetadataUnavailable, match="closed"):
        await provider.search("")

"""Reading TMDB's answers: what is there arrives, what is not does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.catalogue.titles import Season, Title, TitleKind, Video
from chilly_movies.catalogue.tmdb import parse
from chilly_movies.errors import MetadataUnavailable

MOVIE, TV = TitleKind.MOVIE, TitleKind.TV
IMAGES = "https://images.example/t/p/"

fields = st.sampled_from(
    [
        *("id", "title", "name", "original_title", "media_type", "overview", "release_date"),
        *("first_air_date", "vote_average", "vote_count", "poster_path", "backdrop_path", "genres"),
        *("credits", "cast", "crew", "job", "created_by", "seasons", "episodes", "season_number"),
        *("episode_number", "runtime", "episode_run_time", "last_episode_to_air", "external_ids"),
        *("imdb_id", "tvdb_id", "results", "page", "total_pages", "total_results", "site", "key"),
        *("official", "type", "iso_639_1", "air_date", "episode_count", "tagline"),
    ]
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["movie", "tv", "Director", "YouTube", "1927-01-10", "/a.jpg", "\ud800"]),
)
answers = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=12),
    max_leaves=30,
)


@given(answers, st.sampled_from([MOVIE, TV]))
def test_no_answer_does_more_than_raise_that_it_is_unusable(data: object, kind: TitleKind) -> None:
    readers: list[Callable[[], object]] = [
        lambda: parse.parse_page(data, None, IMAGES),
        lambda: parse.parse_page({"results": [data]}, kind, IMAGES),
        lambda: parse.parse_details(data, kind, IMAGES),
        lambda: parse.parse_season(data, IMAGES),
        lambda: parse.parse_videos(data),
        lambda: tuple(parse.parse_genres(data)),
        lambda: parse.parse_found(data, IMAGES),
    ]
    for read in readers:
        try:
            value = read()
        except MetadataUnavailable:
            continue
        repr(value).encode()


@given(st.dictionaries(fields, answers, max_size=20))
def test_a_title_needs_an_id_and_nothing_else(rest: dict[str, Any]) -> None:
    details = parse.parse_details(rest | {"id": 19}, MOVIE, IMAGES)
    assert details.title.id == 19
    # What arrives can be sent on: no halves of surrogate pairs, no infinities.
    json.dumps(details.title.name, ensure_ascii=False).encode()
    assert details.title.rating is None or 0 <= details.title.rating <= 10


@pytest.mark.parametrize("number", [None, 0, -1, True, "19", 19.0, 2**60])
def test_what_has_no_usable_id_is_left_out_of_a_page(number: object) -> None:
    page = parse.parse_page({"results": [{"id": number}, {"id": 7}, None]}, MOVIE, IMAGES)
    assert [title.id for title in page.results] == [7]


def test_a_title_without_any_field_is_unknown_in_all_of_them() -> None:
    page = parse.parse_page({"results": [{"id": 7}]}, MOVIE, IMAGES)
    assert page.results == (Title(id=7, kind=MOVIE, name=""),)
    assert (page.page, page.total_pages, page.total_results) == (1, 0, 0)


def test_the_pages_tmdb_refuses_to_serve_are_not_counted() -> None:
    page = parse.parse_page({"results": [], "total_pages": 1200}, MOVIE, IMAGES)
    assert page.total_pages == parse.LAST_PAGE


def test_a_mixed_page_keeps_films_and_series_only() -> None:
    kinds = ["movie", "tv", "person", "collection", None]
    items = [{"id": n, "media_type": kind} for n, kind in enumerate(kinds, start=1)]
    page = parse.parse_page({"results": items}, None, IMAGES)
    assert [(t.id, t.kind) for t in page.results] == [(1, MOVIE), (2, TV)]


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/abc_1-2.jpg", IMAGES + "w500/abc_1-2.jpg"),
        ("", None),
        ("abc.jpg", None),
        ("/../x.jpg", None),
        ("//elsewhere.example/x.jpg", None),
        ('/x.jpg" onload="', None),
    ],
)
def test_a_poster_is_an_address_at_the_image_server_or_none(path: str, url: str | None) -> None:
    title = parse.parse_title({"id": 1, "poster_path": path}, MOVIE, IMAGES)
    assert title is not None
    assert title.poster == url


@pytest.mark.parametrize(
    ("date", "year"), [("1927-01-10", 1927), ("", None), ("1927", None), ("soon", None), (7, None)]
)
def test_the_year_is_that_of_a_whole_date(date: object, year: int | None) -> None:
    title = parse.parse_title({"id": 1, "first_air_date": date}, TV, IMAGES)
    assert title is not None
    assert title.year == year


def test_a_rating_nobody_voted_for_is_unknown() -> None:
    title = parse.parse_title({"id": 1, "vote_average": 0.0, "vote_count": 0}, MOVIE, IMAGES)
    assert title is not None
    assert title.rating is None


@pytest.mark.parametrize(
    "length",
    [{"runtime": 50}, {"episode_run_time": [50, 25]}, {"last_episode_to_air": {"runtime": 50}}],
)
def test_the_length_of_an_episode_is_found_wherever_it_is(length: dict[str, object]) -> None:
    assert parse.parse_details({"id": 1} | length, TV, IMAGES).runtime == 50


def test_who_created_a_series_stands_for_a_missing_director() -> None:
    data = {"id": 1, "created_by": [{"name": "Maker"}], "credits": {"crew": [{"name": "Grip"}]}}
    assert parse.parse_details(data, TV, IMAGES).directors == ("Maker",)


def test_external_ids_lose_their_suffix_and_the_empty_ones() -> None:
    ids = {"imdb_id": "tt1", "tvdb_id": 81189, "facebook_id": None, "twitter_id": "", "id": 1}
    details = parse.parse_details({"id": 1, "external_ids": ids}, TV, IMAGES)
    assert details.external_ids == {"imdb": "tt1", "tvdb": "81189"}


def test_the_specials_are_season_zero() -> None:
    season = parse.parse_season({"season_number": 0, "name": "Specials", "episodes": []}, IMAGES)
    assert season == Season(number=0, name="Specials")


@pytest.mark.parametrize(
    ("site", "key", "url"),
    [
        ("YouTube", "dQw-4_w", "https://www.youtube.com/watch?v=dQw-4_w"),
        ("Vimeo", "1084537", "https://vimeo.com/1084537"),
        ("YouTube", "a&b/../c", "https://www.youtube.com/watch?v=a%26b%2F..%2Fc"),
        ("YouTube", "", None),
        ("Elsewhere", "abc", None),
    ],
)
def test_a_video_opens_at_the_site_that_holds_it(site: str, key: str, url: str | None) -> None:
    videos = parse.parse_videos({"results": [{"site": site, "key": key, "official": 1}]})
    assert videos == (Video(name="", site=site, type="", url=url),)

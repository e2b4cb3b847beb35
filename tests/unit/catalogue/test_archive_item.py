"""What the Internet Archive says of items, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.catalogue.archive_org.item import ArchiveFile, parse_item, parse_page
from chilly_movies.catalogue.titles import TitleKind, TitleRef

FACTS: dict[str, Any] = {
    "identifier": "night_1968",
    "title": "Night of the Living Dead (1968)",
    "mediatype": "movies",
    "collection": ["feature_films"],
    "description": "<p>People in a <b>house</b> &amp; those outside.</p>",
    "director": "George A. Romero",
    "subject": ["horror; zombies", "cult"],
    "external-identifier": ["urn:imdb:tt0063350", "urn:other:1"],
    "avg_rating": "4.5",
    "num_reviews": "210",
    "runtime": "95 minutes",
}


def test_facts_that_are_one_text_or_a_list_read_the_same() -> None:
    item = parse_item({"metadata": FACTS})
    assert item is not None
    title, details = item.details.title, item.details
    assert (title.name, title.year) == ("Night of the Living Dead", 1968)
    assert (title.kind, title.ref) == (TitleKind.MOVIE, TitleRef("archive", "night_1968"))
    assert title.overview == "People in a  house  & those outside."
    assert (title.rating, title.votes, details.runtime) == (9.0, 210, 95)
    assert details.genres == ("horror", "zombies", "cult")
    assert details.directors == ("George A. Romero",)
    assert details.external_ids == {"imdb": "tt0063350"}
    many: dict[str, Any] = {
        name: value if isinstance(value, list) or name in ("avg_rating", "num_reviews") else [value]
        for name, value in FACTS.items()
    }
    assert parse_item({"metadata": many}) == item


@pytest.mark.parametrize(
    ("given_facts", "year"),
    [
        ({"year": "1968"}, 1968),
        ({"year": ["1968", "1969"]}, 1968),
        ({"date": "1968-10-01T00:00:00Z"}, 1968),
        ({"title": "1984 (1956)"}, 1956),
        ({"title": "2001 Maniacs"}, None),
        ({"year": "19xx"}, None),
    ],
)
def test_a_year_is_told_by_its_field_or_by_the_end_of_the_title(
    given_facts: dict[str, Any], year: int | None
) -> None:
    facts = {"identifier": "a", "title": "A", "mediatype": "movies", **given_facts}
    item = parse_item({"metadata": facts})
    assert item is not None
    assert item.details.title.year == year


@pytest.mark.parametrize(
    ("length", "minutes"),
    [("5734.43", 96), ("1:35:34", 96), ("95:34", 96), ("soon", None), ("", None)],
)
def test_a_length_is_seconds_or_a_clock(length: str, minutes: int | None) -> None:
    facts = {"identifier": "a", "title": "A", "mediatype": "movies"}
    files = [{"name": "a.mp4", "source": "original", "length": length, "size": "12"}]
    item = parse_item({"metadata": facts, "files": files})
    assert item is not None
    assert item.details.runtime == minutes


def test_files_have_sizes_and_the_best_checksum_and_private_and_padding_ones_are_left_out() -> None:
    entries = [
        {"name": "a.mkv", "source": "original", "size": "10", "md5": "a" * 32, "sha1": "B" * 40},
        {"name": "a.mp4", "source": "derivative", "original": "a.mkv", "size": "x", "md5": "c"},
        {"name": "b.mkv", "private": "true"},
        {"name": "._____padding_file/0", "size": "5"},
        "nonsense",
    ]
    facts = {"identifier": "a", "title": "A", "mediatype": "movies"}
    item = parse_item({"metadata": facts, "files": entries})
    assert item is not None
    assert item.files == (
        ArchiveFile("a.mkv", 10, is_original=True, checksum="sha1:" + "b" * 40),
        ArchiveFile("a.mp4", made_of="a.mkv"),
    )


@pytest.mark.parametrize(
    "data",
    [{}, {"metadata": {**FACTS, "mediatype": "texts"}}, {"metadata": FACTS, "is_dark": True}],
)
def test_what_is_no_film_or_is_withheld_is_none(data: dict[str, Any]) -> None:
    assert parse_item(data) is None


names = st.sampled_from([*FACTS, "year", "date", "files", "metadata", "response", "docs", "name"])
answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=8),
    max_leaves=20,
)


@given(st.dictionaries(names, answers, max_size=8))
def test_no_answer_raises_anything(data: dict[str, Any]) -> None:
    known = {"identifier": "a", "title": "A", "mediatype": "movies"}
    for item in (
        parse_item({"metadata": data}),
        parse_item({**data, "metadata": {**data, **known}}),
    ):
        repr(item).encode()
    repr(parse_page({"response": {"numFound": 1, "docs": [data, {**data, **known}]}}, 1)).encode()

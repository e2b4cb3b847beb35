"""What every store of the library promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.errors import InvalidRequest, ItemNotFound
from chilly_movies.library.models import (
    FiledFile,
    FileRole,
    Filing,
    FilingState,
    How,
    Item,
    ItemEpisode,
    ItemFacts,
    ItemFile,
    ItemState,
    Match,
    Position,
)
from chilly_movies.library.ports import LibraryQuery, Sorting
from tests.library_items import NOON, LibraryStores, film, item_id, make_store, titles, watched

pytestmark = pytest.mark.anyio

FULL = Item(
    id=item_id("full"),
    kind=TitleKind.TV,
    title="Añejo ✓ '\"%\\ \x01",
    added_at=NOON,
    changed_at=NOON + timedelta(microseconds=1),
    year=1927,
    ref=TitleRef("tmdb", "tv:1396"),
    state=ItemState.WAITING,
    reason="Two films have this name.",
    chosen=True,
    favourite=True,
    kept_out=True,
    facts=ItemFacts(
        original_title="七人の侍",
        tagline="a",
        overview="b",
        released="1927-01-10",
        runtime=153,
        rating=8.25,
        votes=7,
        language="de",
        genres=("Science Fiction", "Drama"),
        cast=("Brigitte Helm",),
        roles=("Maria",),
        directors=("Fritz Lang",),
        external_ids={"imdb": "tt0017136"},
    ),
    files=(
        ItemFile(
            index=3,
            path="Añejo/a.mkv",
            size=2**42,
            job_id="job-1",
            job_file=4,
            role=FileRole.SUBTITLE,
            season=0,
            episodes=(1, 2),
            quality="1080p",
            edition="Director's Cut",
            part=1,
            language="pt-BR",
            flags=("forced",),
            duration=0.5,
            digest="5:ff",
            filed="Films/a.mkv",
            how=How.REFLINK,
            missing=True,
        ),
    ),
    episodes=(ItemEpisode(0, 2, "c", "d", "2020-01-01", 45),),
    matches=(Match(TitleRef("archive", "x"), "e", 1928, 0.75, ("The year differs.",)),),
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LibraryStores]:
    made = await make_store(request.param, tmp_path)
    yield made
    await made.aclose()


async def found(store: LibraryStores, text: str, **more: object) -> list[str]:
    return titles(await store.page(LibraryQuery(text=text, **more)))  # type: ignore[arg-type]


async def listed(store: LibraryStores, **query: object) -> list[str]:
    return titles(await store.page(LibraryQuery(**query)))  # type: ignore[arg-type]


async def everything(store: LibraryStores) -> list[Item]:
    return [item async for item in store.all()]


def test_the_full_item_differs_from_a_fresh_one_in_every_field() -> None:
    fresh = film("a")
    for full, other in ((FULL, fresh), (FULL.facts, fresh.facts)):
        for field in fields(full):
            assert getattr(full, field.name) != getattr(other, field.name) or (
                field.name == "added_at"
            )
    defaults = ItemFile(index=0, path="", size=0)
    assert all(
        getattr(FULL.files[0], f.name) != getattr(defaults, f.name) for f in fields(ItemFile)
    )


async def test_a_new_store_is_empty(store: LibraryStores) -> None:
    assert await everything(store) == []
    assert (await store.page(LibraryQuery())).total == 0
    assert await store.cursor() is None
    assert await store.get(item_id("none")) is None


@pytest.mark.parametrize("item", [FULL, film("fresh")], ids=["full", "fresh"])
async def test_every_field_of_an_item_comes_back(store: LibraryStores, item: Item) -> None:
    await store.put([item])
    assert await store.get(item.id) == item
    assert (await store.page(LibraryQuery())).items == (item,)
    assert await everything(store) == [item]


async def test_times_of_any_zone_come_back_as_the_same_instant(store: LibraryStores) -> None:
    await store.put([replace(FULL, added_at=NOON.astimezone(timezone(timedelta(hours=-7))))])
    got = await store.get(FULL.id)
    assert got is not None
    assert got.added_at == NOON


async def test_an_item_takes_the_place_of_the_one_with_its_id(store: LibraryStores) -> None:
    await store.put([film("old"), film("other")])
    await store.put([replace(film("new"), id=item_id("old"))])
    assert await listed(store) == ["new", "other"]
    assert await found(store, "old") == []
    assert await found(store, "new") == ["new"]


async def test_all_gives_every_item_in_the_order_of_the_ids(store: LibraryStores) -> None:
    items = [film(f"film {number}") for number in range(1203)]
    await store.put(items)
    assert await everything(store) == sorted(items, key=lambda item: item.id)


async def test_removed_items_go_with_their_positions(store: LibraryStores) -> None:
    await store.put([film("gone"), film("kept")])
    for name in ("gone", "kept"):
        await store.put_position(watched(name))
    await store.put([film("new")], removed=[item_id("gone"), item_id("never")])
    assert await listed(store) == ["kept", "new"]
    assert await found(store, "gone") == []
    assert await store.positions(item_id("gone"), "ann") == ()
    assert [p.item_id for p in await store.watching("ann", 10)] == [item_id("kept")]
    assert [p.item_id async for p in store.all_positions()] == [item_id("kept")]


async def test_the_cursor_moves_with_the_items_and_stays_without_a_number(
    store: LibraryStores,
) -> None:
    await store.put([film("a")], cursor=7)
    await store.put([film("b")])
    assert await store.cursor() == 7
    await store.put([], cursor=9)
    assert await store.cursor() == 9


# what a search finds


async def test_words_are_found_whole_or_begun_in_any_order(store: LibraryStores) -> None:
    await store.put([film("The General"), film("General Hospital"), film("Nosferatu")])
    assert await found(store, "gen") == ["General Hospital", "The General"]
    assert await found(store, "general the") == ["The General"]
    assert await found(store, "eneral zzz") == []


async def test_words_are_found_in_the_original_title_the_cast_and_the_year(
    store: LibraryStores,
) -> None:
    facts = ItemFacts(original_title="Die Büchse der Pandora", cast=("Louise Brooks",))
    await store.put([film("Pandora's Box", year=1929, facts=facts), film("Other", year=1930)])
    for text in ("büchse", "louise brooks", "pandoras louise", "box 1929", "pandora's"):
        assert await found(store, text) == ["Pandora's Box"], text


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Amélie", "amelie"),
        ("Amelie", "AMÉLIE"),
        ("Bjørns Ælv", "bjorns aelv"),
        ("Straße", "strasse"),
        ("Ocean’s Eleven", "oceans"),
        ("Oceans Eleven", "ocean's"),
        ("Spider-Man", "spider man"),
        ("ＡＬＩＥＮ", "alien"),
        ("Ἀθήνα", "αθηνα"),
        ("Ёлки", "елки"),
        ("七人の侍", "七人"),
        ("七人の侍", "侍"),
        ("Сталкер", "сталк"),
        ("???", "???"),
    ],
)
async def test_case_accents_and_signs_do_not_matter(
    store: LibraryStores, title: str, text: str
) -> None:
    await store.put([film(title), film("Other"), film("人")])
    assert await found(store, text) == [title]


@pytest.mark.parametrize(
    "text", ['"', "a OR b", "NEAR(", "*", "^", "-a", "title:a", "{a}:b", "(", "\x00", "a\x00b", "'"]
)
async def test_signs_have_no_meaning_in_a_search(store: LibraryStores, text: str) -> None:
    await store.put([film("Something")])
    assert await found(store, text) in ([], ["Something"])


async def test_what_fits_best_comes_first(store: LibraryStores) -> None:
    cast = ItemFacts(cast=("Peter Alien",))
    names = ["Some Alienation", "Alien 3", "My Alien", "Aliens", "Alien"]
    await store.put([film("Other", facts=cast), *map(film, names)])
    assert await found(store, "alien") == [
        "Alien", "Alien 3", "Aliens", "My Alien", "Some Alienation", "Other",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
async def test_a_text_without_a_word_asks_for_all(store: LibraryStores, text: str) -> None:
    await store.put([film("b"), film("a")])
    assert await found(store, text) == ["a", "b"]


async def test_a_search_can_be_sorted_by_something_else(store: LibraryStores) -> None:
    await store.put([film("Alien", year=1979), film("My Alien", year=1950), film("Else")])
    assert await found(store, "alien", sort=Sorting.YEAR) == ["My Alien", "Alien"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("metroplis", "Metropolis"),
        ("metropolsi", "Metropolis"),
        ("mteropolis", "Metropolis"),
        ("metropoliss", "Metropolis"),
        ("netropolis", "Metropolis"),
        ("nosferato", "Nosferatu"),
        ("nosfer", "Nosferatu"),
        ("nozfer", "Nosferatu"),
        ("teh general", "The General"),
        ("genral the", "The General"),
        ("spiderman", "Spider-Man"),
        ("star wars", "Starwars"),
        ("buster keton", "The General"),
    ],
)
async def test_mistyped_words_find_what_is_like_them(
    store: LibraryStores, text: str, title: str
) -> None:
    general = film("The General", facts=ItemFacts(cast=("Buster Keaton",)))
    others = ["Metropolis", "Nosferatu", "Spider-Man", "Starwars", "A Star", "Wars", "Metal"]
    await store.put([general, *map(film, others)])
    page = await store.page(LibraryQuery(text=text))
    assert titles(page)[:1] == [title]
    assert page.total == len(page.items)


async def test_nothing_alike_is_offered_where_something_fits(store: LibraryStores) -> None:
    await store.put([film("Alien"), film("Alian")])
    assert await found(store, "alian") == ["Alian"]
    assert await found(store, "alian", kind=TitleKind.TV) == []


async def test_the_nearest_of_what_is_alike_comes_first(store: LibraryStores) -> None:
    await store.put([film("Metrapolos"), film("Metropolis"), film("Cosmopolis")])
    assert await found(store, "metrpolis") == ["Metropolis", "Metrapolos"]


# what a filter leaves


async def test_each_filter_leaves_what_it_says(store: LibraryStores) -> None:
    drama = ItemFacts(genres=("Drama", "Science Fiction"))
    file = ItemFile(0, "a.mkv", 1, job_id="job-1")
    await store.put([
        film("a", kind=TitleKind.TV, state=ItemState.WAITING),
        film("b", facts=drama, year=1927, favourite=True),
        film("c", ref=TitleRef("tmdb", "movie:603"), files=(file,), state=ItemState.FILED),
    ])  # fmt: skip
    assert await listed(store, kind=TitleKind.TV) == ["a"]
    assert await listed(store, states=(ItemState.WAITING, ItemState.FILED)) == ["a", "c"]
    assert await listed(store, genre="science fiction") == ["b"]
    assert await listed(store, genre="science") == []
    assert await listed(store, year=1927) == ["b"]
    assert await listed(store, favourite=True) == ["b"]
    assert await listed(store, favourite=False) == ["a", "c"]
    assert await listed(store, ref=TitleRef("tmdb", "movie:603")) == ["c"]
    assert await listed(store, job_id="job-1") == ["c"]
    assert await listed(store, kind=TitleKind.MOVIE, favourite=False) == ["c"]
    assert await found(store, "b", year=1926) == []
    assert await found(store, "b", year=1927, genre="DRAMA") == ["b"]


async def test_filters_follow_what_an_item_becomes(store: LibraryStores) -> None:
    file = ItemFile(0, "a.mkv", 1, job_id="job-1")
    await store.put([film("a", facts=ItemFacts(genres=("Drama",)), files=(file,))])
    await store.put([film("a", facts=ItemFacts(genres=("Comedy",)))])
    assert await listed(store, genre="drama") == []
    assert await listed(store, genre="comedy") == ["a"]
    assert await listed(store, job_id="job-1") == []


async def test_an_item_is_seen_when_all_its_main_files_are(store: LibraryStores) -> None:
    parts = (
        ItemFile(0, "a1.mkv", 1),
        ItemFile(1, "a2.mkv", 1),
        ItemFile(2, "sample.mkv", 1, role=FileRole.SAMPLE),
    )
    await store.put([film("a", files=parts), film("none")])
    await store.put_position(watched("a", seen=True))
    await store.put_position(watched("a", 1, viewer="bob", seen=True))
    assert await listed(store, seen=True, viewer="ann") == []
    await store.put_position(watched("a", 1, seen=True))
    assert await listed(store, seen=True, viewer="ann") == ["a"]
    assert await listed(store, seen=False, viewer="ann") == ["none"]
    assert await listed(store, seen=False, viewer="bob") == ["a", "none"]
    await store.put([film("a", files=(*parts, ItemFile(3, "a3.mkv", 1)))])
    assert await listed(store, seen=True, viewer="ann") == []
    await store.put([film("a", files=parts[1:])])
    assert await listed(store, seen=True, viewer="ann") == ["a"]


# the order of pages


async def test_titles_are_sorted_without_regard_to_case_accents_and_signs(
    store: LibraryStores,
) -> None:
    names = ["zebra", "Éclair", "eclipse", "'Abend'", "Ålesund", "10", "Яблоко"]
    await store.put([film(name) for name in names])
    expected = ["10", "'Abend'", "Ålesund", "Éclair", "eclipse", "zebra", "Яблоко"]
    assert await listed(store) == expected
    assert await listed(store, descending=True) == expected[::-1]


async def test_items_are_sorted_by_year_rating_and_when_they_came(store: LibraryStores) -> None:
    await store.put([
        film("a", year=1930, added_at=NOON + timedelta(seconds=2)),
        film("b", facts=ItemFacts(rating=7.5), added_at=NOON),
        film("c", year=1920, facts=ItemFacts(rating=5.0), added_at=NOON + timedelta(seconds=1)),
    ])  # fmt: skip
    assert await listed(store, sort=Sorting.YEAR) == ["c", "a", "b"]
    assert await listed(store, sort=Sorting.YEAR, descending=True) == ["a", "c", "b"]
    assert await listed(store, sort=Sorting.RATING) == ["c", "b", "a"]
    assert await listed(store, sort=Sorting.RATING, descending=True) == ["b", "c", "a"]
    assert await listed(store, sort=Sorting.ADDED) == ["b", "c", "a"]
    assert await listed(store, sort=Sorting.ADDED, descending=True) == ["a", "c", "b"]


async def test_items_are_sorted_by_when_one_viewer_watched_them_last(store: LibraryStores) -> None:
    await store.put([film("a"), film("b"), film("c")])
    await store.put_position(watched("a", at=NOON))
    await store.put_position(watched("a", 1, at=NOON + timedelta(hours=2)))
    await store.put_position(watched("b", at=NOON + timedelta(hours=1)))
    await store.put_position(watched("c", viewer="bob"))
    assert await listed(store, sort=Sorting.WATCHED, viewer="ann") == ["b", "a", "c"]
    assert await listed(store, sort=Sorting.WATCHED, viewer="ann", descending=True) == [
        "a", "b", "c",
    ]  # fmt: skip


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", [None, *Sorting])
async def test_pages_give_every_item_once_in_the_order_of_one_long_page(
    store: LibraryStores, sort: Sorting | None, descending: bool
) -> None:
    many = [
        film(f"Film {number % 7}", f"{number}", year=[None, 1920, 1930][number % 3],
             facts=ItemFacts(rating=[None, 5.0][number % 2]),
             added_at=NOON + timedelta(seconds=number % 4))
        for number in range(20)
    ]  # fmt: skip
    await store.put(many)
    for item in many[::6]:
        await store.put_position(Position(item.id, "default", 0, 1, False, item.added_at))
    for text in (None, "film", "flim"):
        query = LibraryQuery(text=text, sort=sort, descending=descending, limit=500)
        whole = await store.page(query)
        assert (whole.total, whole.next) == (len(whole.items), None)
        pages: list[Item] = []
        after = None
        while True:
            page = await store.page(replace(query, limit=6, after=after))
            assert page.total == whole.total
            pages += page.items
            if (after := page.next) is None:
                break
        assert [item.id for item in pages] == [item.id for item in whole.items]


async def test_a_page_goes_on_where_one_ended_whose_last_item_is_gone(store: LibraryStores) -> None:
    await store.put([film(name) for name in "abcde"])
    page = await store.page(LibraryQuery(limit=2))
    await store.put([film("aa")], removed=[item_id("b"), item_id("c")])
    assert await listed(store, after=page.next) == ["d", "e"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "ä", "W10", "bnVsbA", "WyJ0aXRsZSIsMSwiIiwiIl0", "=" * 9]
)
async def test_a_cursor_that_is_none_of_ours_is_refused(store: LibraryStores, cursor: str) -> None:
    await store.put([film("a")])
    with pytest.raises(InvalidRequest) as refused:
        await store.page(LibraryQuery(after=cursor))
    assert refused.value.field == "after"


async def test_a_cursor_of_another_order_is_refused(store: LibraryStores) -> None:
    await store.put([film("a"), film("b")])
    page = await store.page(LibraryQuery(limit=1))
    for other in (
        LibraryQuery(descending=True),
        LibraryQuery(sort=Sorting.YEAR),
        LibraryQuery(text="a"),
    ):
        with pytest.raises(InvalidRequest):
            await store.page(replace(other, after=page.next))


# how far somebody watched


async def test_a_position_takes_the_place_of_the_one_before(store: LibraryStores) -> None:
    await store.put([film("a")])
    first, second = watched("a", 1, seconds=3.5), watched("a", 0)
    for position in (first, second, replace(first, seconds=9.25, at=NOON)):
        await store.put_position(position)
    changed = replace(first, seconds=9.25, at=NOON)
    assert await store.positions(item_id("a"), "ann") == (second, changed)
    assert await store.positions(item_id("a"), "bob") == ()


async def test_a_position_in_no_item_is_refused(store: LibraryStores) -> None:
    with pytest.raises(ItemNotFound):
        await store.put_position(watched("none"))
    assert await store.positions(item_id("none"), "ann") == ()


async def test_positions_outlive_a_change_of_their_item(store: LibraryStores) -> None:
    await store.put([film("a")])
    await store.put_position(watched("a"))
    await store.put([film("a", favourite=True)])
    assert await store.positions(item_id("a"), "ann") == (watched("a"),)


async def test_what_a_viewer_began_and_did_not_end_comes_newest_first(store: LibraryStores) -> None:
    await store.put([film(name) for name in "abcde"])
    for seconds, name in enumerate("abc"):
        await store.put_position(watched(name, at=NOON + timedelta(seconds=seconds)))
    await store.put_position(watched("d", seen=True))
    await store.put_position(watched("e", seconds=0))
    await store.put_position(watched("e", 1, viewer="bob"))
    assert [p.item_id for p in await store.watching("ann", 2)] == [item_id("c"), item_id("b")]
    assert len(await store.watching("ann", 100)) == 3


async def test_all_positions_come_in_the_order_of_the_items(store: LibraryStores) -> None:
    many = [film(f"{number}") for number in range(700)]
    await store.put(many)
    for item in many[:3]:
        for viewer in ("bob", "ann"):
            await store.put_position(Position(item.id, viewer, 0, 1.0, False, datetime.now(UTC)))
    keys = [(p.item_id, p.viewer) async for p in store.all_positions()]
    assert keys == sorted((item.id, viewer) for item in many[:3] for viewer in ("ann", "bob"))


# what filing does


async def test_a_filing_takes_the_place_of_the_one_before_and_can_be_dropped(
    store: LibraryStores,
) -> None:
    file = FiledFile("Films/a.mkv", 3, How.COPY, "mark")
    first = Filing(item_id("a"), FilingState.FILING, 2, (file,), (FiledFile("b.nfo"),), ("Films",))
    for filing in (first, replace(first, state=FilingState.FILED, round=3)):
        await store.keep_filing(filing)
        assert await store.filing(item_id("a")) == filing
    await store.drop_filing(item_id("a"))
    await store.drop_filing(item_id("a"))
    assert await store.filing(item_id("a")) is None


async def test_filings_that_did_not_end_come_by_the_ids_of_their_items(
    store: LibraryStores,
) -> None:
    states = [FilingState.UNDOING, FilingState.FILED, FilingState.FILING]
    filings = [Filing(item_id(state), state) for state in states]
    for filing in filings:
        await store.keep_filing(filing)
    expected = sorted([filings[0], filings[2]], key=lambda filing: filing.item_id)
    assert await store.unfinished_filings() == tuple(expected)

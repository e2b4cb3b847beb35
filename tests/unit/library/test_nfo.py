"""NFO files that we write, and those of others that we read."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library import nfo
from chilly_movies.library.models import ItemEpisode, ItemFacts
from chilly_movies.library.naming import Naming
from tests.unit.library.items import episode, extra, film, main, series

FACTS = ItemFacts(
    original_title="Die Büchse der Pandora",
    tagline="A box & its <contents>",
    overview="Lulu.\nShe is undone.",
    released="1929-01-30",
    runtime=133,
    rating=7.8,
    votes=1234,
    genres=("Drama", "Crime"),
    cast=("Louise Brooks", "Fritz Kortner", "Francis Lederer"),
    roles=("Lulu", "", "Alwa"),
    directors=("G. W. Pabst",),
    external_ids={"imdb": "tt0018737", "tvdb": "12"},
)


def test_what_is_written_of_a_film_is_read_again() -> None:
    item = replace(film("Pandora's Box", 1929, ref="tmdb:movie:905"), facts=FACTS)
    naming = Naming()
    ((place, data),) = nfo.write(item, naming.places(item), naming.folder(item)).items()
    assert place == naming.places(item)[0].with_suffix(".nfo")
    found = nfo.read(data)
    assert (found.kind, found.title, found.year) == (TitleKind.MOVIE, "Pandora's Box", 1929)
    assert found.facts == replace(FACTS, external_ids={"tmdb": "905", **FACTS.external_ids})


def test_a_film_of_an_archive_keeps_its_id() -> None:
    item = film("Nosferatu", 1922, ref="archive:nosferatu_1922")
    naming = Naming()
    (data,) = nfo.write(item, naming.places(item), naming.folder(item)).values()
    assert nfo.read(data).facts.external_ids == {"archive": "nosferatu_1922"}


def test_a_series_has_one_of_its_own_and_one_for_each_file_with_all_its_episodes() -> None:
    known = [ItemEpisode(1, 1, "One", "First.", "1955-09-26", 26), ItemEpisode(1, 2, "Two")]
    files = episode(0, 1, 1, 2), episode(1, 0, 3), extra(2, "making of.mkv"), main(3, "odd.mkv")
    item = series("Robin Hood", 1955, *files, ref="tmdb:tv:5", episodes=known)
    naming = Naming()
    places = naming.places(item)
    written = nfo.write(item, places, naming.folder(item))
    show = naming.folder(item) / "tvshow.nfo"
    assert [*written] == [show, *(places[n].with_suffix(".nfo") for n in (0, 1))]
    assert nfo.read(written[show]).kind is TitleKind.TV
    double = nfo.read(written[places[0].with_suffix(".nfo")])
    assert (double.show, double.episodes) == ("Robin Hood", tuple(known))
    special = nfo.read(written[places[1].with_suffix(".nfo")])
    assert special.episodes == (ItemEpisode(0, 3, "Episode 3"),)


def test_a_film_in_parts_has_one_beside_its_first() -> None:
    item = film("Napoléon", 1927, *(main(n, f"{n}.mkv", part=n + 1) for n in range(3)))
    naming = Naming()
    places = naming.places(item)
    assert [*nfo.write(item, places, naming.folder(item))] == [places[0].with_suffix(".nfo")]


def test_characters_that_xml_does_not_know_are_left_out() -> None:
    item = film("Bad\0 \x1b[2JName\ud800\ufffe", 1999)
    naming = Naming()
    (data,) = nfo.write(item, naming.places(item), naming.folder(item)).values()
    assert ET.fromstring(data).findtext("title") == "Bad [2JName"


@pytest.mark.parametrize(
    ("text", "kind", "ids"),
    [
        ("https://www.themoviedb.org/movie/653-nosferatu", TitleKind.MOVIE, {"tmdb": "653"}),
        ("https://www.themoviedb.org/tv/1396", TitleKind.TV, {"tmdb": "1396"}),
        ("see http://www.imdb.com/title/tt0013442/ for more", None, {"imdb": "tt0013442"}),
        ("https://www.imdb.com/de/title/tt0013442/", None, {"imdb": "tt0013442"}),
        ("http://thetvdb.com/?tab=series&id=79286&lid=7", TitleKind.TV, {"tvdb": "79286"}),
        ("\x00\xb2\xdb a drawing without any link \xdb\xb2", None, {}),
    ],
)  # fmt: skip
def test_a_link_says_which_title_it_is(
    text: str, kind: TitleKind | None, ids: dict[str, str]
) -> None:
    found = nfo.read(text.encode("latin-1"))
    assert (found.kind, found.facts.external_ids) == (kind, ids)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "iso-8859-1"])
def test_an_nfo_of_another_program_is_read_in_any_encoding(encoding: str) -> None:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><movie><title>Amélie</title>'
        "<rating>8,3</rating><runtime>122 min</runtime><id>tt0211433</id><premiered>bad</premiered>"
        "</movie>\nhttps://www.themoviedb.org/movie/194"
    )
    found = nfo.read(text.encode(encoding))
    assert (found.title, found.facts.rating, found.facts.runtime) == ("Amélie", 8.3, 122)
    assert found.facts.external_ids == {"imdb": "tt0211433", "tmdb": "194"}


_BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "too large": b"<movie><plot>" + b"x" * 50_000_000 + b"</plot></movie>",
    "laughs": f"{_BOMB}]><movie><title>&i;</title></movie>".encode(),
    "file": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><movie><title>&f;</title></movie>',
    "net": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><movie><title>a</title></movie>',
    "parameter": b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><movie></movie>',
    "within": b'<movie><!DOCTYPE x [<!ENTITY a "b">]><title>&a;</title></movie>',
    "deep": b"<movie>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</movie>",
    "many": b"<movie>" + b"<a/>" * 200_000 + b"</movie>",
    "attributes": b"<movie " + b" ".join(b'a%d="1"' % n for n in range(60_000)) + b" ",
    "cut off": b"<movie><title>a",
    "control": b"<movie><title>a\x00b</title></movie>",
    "outside": b"</nfo><movie><title>a</title></movie>",
    "encoding": b'<?xml version="1.0" encoding="zlib"?><movie><title>\xff</movie>',
    "hidden": b"<!-- <movie> -->",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_nfo_is_refused_within_bounds(name: str) -> None:
    nfo.read(b"<movie><title>a</title></movie>")  # what is loaded once does not count
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(nfo.NfoUnreadable):
            nfo.read(HOSTILE[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.thread_time() - began < 5
    assert peak < 64 * 1024 * 1024


def test_odd_values_are_left_out() -> None:
    found = nfo.read(
        b"<movie><title> a </title><year>19999999</year><rating>99</rating><votes>-3</votes>"
        b"<runtime>x</runtime><premiered>1999-1-1</premiered><actor><role>nobody</role></actor>"
        b'<uniqueid type="../x">1</uniqueid><uniqueid type="tmdb">1 or 1=1</uniqueid>'
        b"<genre/></movie>"
    )
    assert (found.title, found.year, found.facts) == ("a", None, ItemFacts())

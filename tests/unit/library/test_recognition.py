"""What names say: of films, episodes, seasons; and what hints and folders say instead."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition import recognise
from chilly_movies.library.recognition.reading import read
from tests.unit.library.names.corpus import hard, judge
from tests.unit.library.names.customs import made

MOVIE, TV = TitleKind.MOVIE, TitleKind.TV


def test_of_hard_names_97_in_100_titles_and_98_numbers_are_right_and_none_is_surely_wrong() -> None:
    rates, failures = judge((one, recognise(one.name)) for one in hard())
    assert rates.names >= 300
    assert rates.titles >= 0.97 * rates.names, failures
    assert rates.numbers >= 0.98 * rates.names, failures
    assert rates.wrong_but_sure == 0, failures
    assert rates.sure >= 0.8 * rates.names


def test_of_names_made_by_customs_a_slice_is_right_and_none_is_surely_wrong() -> None:
    """The whole is `make recognise-corpus`."""
    names = list(made())
    assert len(names) >= 1500
    rates, failures = judge((one, recognise(one.name)) for one in names[::13])
    assert rates.titles >= 0.97 * rates.names, failures
    assert rates.numbers >= 0.98 * rates.names, failures
    assert rates.wrong_but_sure == 0, failures


def test_a_recognition_says_quality_edition_part_and_language_too() -> None:
    found = recognise("Das.Boot.1981.Directors.Cut.GERMAN.CD2.1080p.BluRay.x264-GRP.mkv")
    assert (found.kind, found.title, found.year) == (MOVIE, "Das Boot", 1981)
    assert (found.quality, found.edition, found.part) == ("1080p", "Director's Cut", 2)
    assert found.language == "de"
    assert found.sure


def test_a_daily_show_has_its_day_and_no_year_of_a_film() -> None:
    found = recognise("The.Daily.Show.2021.05.12.Guest.Name.720p.WEB")
    assert (found.kind, found.title, found.year) == (TV, "The Daily Show", None)
    assert found.aired == "2021-05-12"


@pytest.mark.parametrize(
    "name",
    ["", " ", ".mkv", "[]", "1080p.mkv", "....", "\ud800\x00\x1b[2J", "(" * 5000, "S01E01 " * 900],
)
def test_names_that_say_nothing_are_answered_and_never_sure(name: str) -> None:
    found = recognise(name)
    assert found.name == name
    assert not found.sure


PIECES = (
    "1x02", "S01E02", "s01-", "01-12", "Season 1 ", "Ep", "E5", "1999 ", "(1999", "[", "(", " - ",
    ".", "1080p", "第十", "第1季", "2nd Season ", "The ", "a.", "and 2 ", "www.a.com ", "- 1x", "0",
    "x02",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_name_that_repeats_a_piece_takes_no_time_and_raises_nothing(piece: str) -> None:
    """Each custom's pattern, again and again, and then something that does not fit."""
    began = time.process_time()
    for end in ("", "x", "!", " ("):
        read(piece * 200 + end)
    assert time.process_time() - began < 1


# --- hints --------------------------------------------------------------------------------------


def test_hints_overrule_all_that_the_name_says() -> None:
    hints = {
        "mediaType": "tv", "tmdbId": "1396", "title": "Breaking Bad", "year": "2008",
        "seasonNumber": "2", "episodeNumber": "7",
    }  # fmt: skip
    found = recognise("Some.Film.1999.1080p.BluRay.mkv", hints=hints)
    assert (found.kind, found.title, found.year) == (TV, "Breaking Bad", 2008)
    assert (found.season, found.episodes, found.ids) == (2, (7,), (("tmdb", "1396"),))
    assert found.sure
    assert str(found.ref) == "tmdb:tv:1396"


def test_a_film_by_hint_has_no_episodes_whatever_its_name_says() -> None:
    found = recognise("Show.S01E02.mkv", hints={"mediaType": "movie", "tmdbId": "603"})
    assert (found.kind, found.season, found.episodes) == (MOVIE, None, ())
    assert str(found.ref) == "tmdb:movie:603"


def test_a_tmdb_id_without_media_type_waits_for_a_choice() -> None:
    found = recognise("The.Matrix.1999.1080p.mkv", hints={"tmdbId": "603"})
    assert (found.kind, found.sure, found.ref) == (None, False, None)
    assert found.doubts == ("tmdbId without mediaType",)


def test_a_tmdb_id_without_media_type_is_of_a_series_if_a_season_is_hinted() -> None:
    found = recognise("Anything.mkv", hints={"tmdbId": "1396", "seasonNumber": "1"})
    assert (found.kind, found.season, str(found.ref)) == (TV, 1, "tmdb:tv:1396")
    assert found.sure


@pytest.mark.parametrize(
    ("hints", "ref"),
    [
        ({"imdbId": "tt0133093"}, "imdb:tt0133093"),
        ({"archiveId": "night_of_the_living_dead"}, "archive:night_of_the_living_dead"),
    ],
)
def test_other_ids_need_no_media_type(hints: dict[str, str], ref: str) -> None:
    found = recognise("whatever.mkv", hints=hints)
    assert found.sure
    assert str(found.ref) == ref


@pytest.mark.parametrize(
    "hints",
    [
        {"year": "soon"},
        {"year": "-5"},
        {"tmdbId": "0; drop"},
        {"imdbId": "603"},
        {"mediaType": "book"},
        {"seasonNumber": "one"},
        {"title": "  "},
    ],
)
def test_hints_that_cannot_be_are_passed_over(hints: dict[str, str]) -> None:
    name = "The.Matrix.1999.1080p.BluRay.mkv"
    assert recognise(name, hints=hints) == recognise(name)


def test_of_1000_twins_with_media_type_and_id_none_is_overruled() -> None:
    """Same title, other year; remakes; series and film of one name: the name says the one,
    the hints the other."""
    titles = ("Fargo", "Dune", "Psycho", "Solaris", "The Thing", "Hannibal", "Westworld", "It",
              "Ghost in the Shell", "Twelve Monkeys")  # fmt: skip
    overruled = []
    for number in range(1000):
        title, year = titles[number % 10], 1950 + number % 70
        kind = (MOVIE, TV)[number // 10 % 2]
        names = (f"{title}.{year + 1}.1080p.BluRay", f"{title}.S0{number % 9 + 1}E01.{year}.720p")
        hints = {"mediaType": str(kind), "tmdbId": str(number + 1), "year": str(year)}
        found = recognise(names[number // 20 % 2].replace(" ", "."), hints=hints)
        if (found.kind, found.year, str(found.ref)) != (kind, year, f"tmdb:{kind}:{number + 1}"):
            overruled.append(found)
    assert overruled == []


# --- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("Lost (2004)/Season 1/01 - Pilot.mkv", (TV, "Lost", 2004, 1, (1,))),
        ("Lost (2004)/Season 01/S01E05.mkv", (TV, "Lost", 2004, 1, (5,))),
        ("TV/Lost/Specials/S00E02 - Title.mkv", (TV, "Lost", None, 0, (2,))),
        ("Lost/Staffel 2/203 - Titel.avi", (TV, "Lost", None, 2, (3,))),
        ("Lost.S03.720p.BluRay-GRP/lost.s03e04.mkv", (TV, "Lost", None, 3, (4,))),
        ("Lost.S03.720p.BluRay-GRP/E04.mkv", (TV, "Lost", None, 3, (4,))),
        ("The Matrix (1999)/The Matrix.mkv", (MOVIE, "The Matrix", 1999, None, ())),
        (
            "The.Matrix.1999.1080p.BluRay-GRP/grp-mtrx1080.mkv",
            (MOVIE, "The Matrix", 1999, None, ()),
        ),
        ("Films/The Matrix (1999)/movie.mkv", (MOVIE, "The Matrix", 1999, None, ())),
        ("Films/The.Matrix.1999.mkv", (MOVIE, "The Matrix", 1999, None, ())),
        ("The Matrix (1999)/VIDEO_TS/VTS_01_1.VOB", (MOVIE, "The Matrix", 1999, None, ())),
        (
            "Frieren/Season 1/[Group] Frieren - 05.mkv",
            (TV, "Frieren", None, 1, (5,)),
        ),
    ],
)
def test_folders_say_what_the_name_leaves_open(
    path: str, right: tuple[TitleKind, str, int | None, int | None, tuple[int, ...]]
) -> None:
    found = recognise(path)
    assert (found.kind, found.title, found.year, found.season, found.episodes) == right
    folder, _, name = path.rpartition("/")
    again = recognise(name, folder=folder)
    assert again == replace(found, name=name)


# --- what it costs ------------------------------------------------------------------------------


def test_no_parser_is_loaded_before_a_name_is_read() -> None:
    """`chilly serve` without a library pays neither their time nor their memory."""
    program = (
        "import sys, chilly_movies.app, chilly_movies.cli.commands\n"
        "import chilly_movies.library.recognition\n"
        "loaded = {'PTT', 'guessit', 'rapidfuzz', 'regex', 'arrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(loaded) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")

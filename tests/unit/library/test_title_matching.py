"""Which title of a catalogue it is: scores, reasons, and whether somebody has to choose."""

from __future__ import annotations

from chilly_movies.catalogue.titles import Season, Title, TitleDetails, TitleKind, TitleRef
from chilly_movies.library.matching import is_sure, match, placed
from chilly_movies.library.recognition import recognise

MOVIE, TV = TitleKind.MOVIE, TitleKind.TV


def film(number: int, name: str, year: int | None, kind: TitleKind = MOVIE) -> Title:
    return Title(number, kind, name, year, ref=TitleRef("tmdb", f"{kind}:{number}"))


MATRIX = [film(603, "The Matrix", 1999), film(604, "The Matrix Reloaded", 2003)]
FARGO = [film(275, "Fargo", 1996), film(60622, "Fargo", 2014, TV)]


def test_title_and_year_are_sure_and_the_reasons_say_so() -> None:
    found = match(recognise("The.Matrix.1999.1080p.BluRay.mkv"), MATRIX)
    assert [str(one.ref) for one in found] == ["tmdb:movie:603", "tmdb:movie:604"]
    assert found[0].reasons[:2] == ("The title is The Matrix.", "The year is 1999.")
    assert is_sure(found)
    assert all(0 <= one.score <= 1 for one in found)


def test_a_remake_is_told_by_its_year_and_neither_is_sure_without_one() -> None:
    dune = [film(841, "Dune", 1984), film(438631, "Dune", 2021)]
    for year, right in ((1984, "tmdb:movie:841"), (2021, "tmdb:movie:438631")):
        found = match(recognise(f"Dune.{year}.1080p.BluRay"), dune)
        assert str(found[0].ref) == right
        assert is_sure(found)
    assert not is_sure(match(recognise("Dune.1080p.BluRay"), dune))


def test_film_and_series_of_one_name_are_told_by_the_kind() -> None:
    assert str(match(recognise("Fargo.S01E02.720p"), FARGO)[0].ref) == "tmdb:tv:60622"
    assert is_sure(match(recognise("Fargo.S01E02.720p"), FARGO))
    assert str(match(recognise("Fargo.1996.720p"), FARGO)[0].ref) == "tmdb:movie:275"


def test_two_series_of_one_name_wait_for_a_choice_unless_the_year_is_there() -> None:
    doctors = [film(121, "Doctor Who", 1963, TV), film(57243, "Doctor Who", 2005, TV)]
    assert not is_sure(match(recognise("Doctor.Who.S01E01.720p"), doctors))
    found = match(recognise("Doctor.Who.2005.S01E01.720p"), doctors)
    assert str(found[0].ref) == "tmdb:tv:57243"
    assert is_sure(found)


def test_another_year_is_never_sure() -> None:
    assert not is_sure(match(recognise("The.Matrix.1979.1080p"), MATRIX[:1]))


def test_nothing_offered_is_nothing_sure() -> None:
    assert match(recognise("The.Matrix.1999"), ()) == ()
    assert not is_sure(())


def test_an_id_that_was_given_goes_before_all_else() -> None:
    found = match(
        recognise("Fargo.1996.720p.mkv", hints={"mediaType": "tv", "tmdbId": "60622"}), FARGO
    )
    assert (str(found[0].ref), found[0].score) == ("tmdb:tv:60622", 1.0)
    assert found[0].reasons == ("Its id was given at the start.",)
    assert is_sure(found)


def test_an_id_of_another_catalogue_is_found_in_the_details() -> None:
    details = TitleDetails(MATRIX[0], external_ids={"imdb": "tt0133093"})
    found = match(recognise("odd name.mkv", hints={"imdbId": "tt0133093"}), [details])
    assert found[0].score == 1.0


def test_the_original_title_counts_as_well() -> None:
    details = TitleDetails(film(129, "Spirited Away", 2001), original_name="千と千尋の神隠し")
    assert is_sure(match(recognise("千と千尋の神隠し.2001.1080p.BluRay"), [details]))


def test_the_length_of_the_film_counts_for_and_against() -> None:
    details = [TitleDetails(film(1, "Metropolis", 1927), runtime=153)]
    name = recognise("Metropolis.1927.1080p.BluRay")
    right, wrong = (match(name, details, duration=m * 60.0)[0] for m in (150, 45))
    assert right.score > wrong.score
    assert "It lasts as long: 153 minutes." in right.reasons
    assert "It should last 153 minutes, and lasts 45." in wrong.reasons


def test_a_season_that_the_series_has_not_speaks_against_it() -> None:
    seasons = (Season(1, "Season 1", episode_count=10),)
    details = [TitleDetails(FARGO[1], seasons=seasons)]
    assert is_sure(match(recognise("Fargo.S01E02.720p"), details))
    assert not is_sure(match(recognise("Fargo.S07E02.720p"), details))
    assert not is_sure(match(recognise("Fargo.S01E12.720p"), details))


def test_of_1000_twins_with_media_type_and_id_the_one_that_was_named_is_taken() -> None:
    """Remakes of one title, and film and series of one name, beside each other in the catalogue."""
    wrong = []
    for number in range(1, 1001):
        kind, year = (MOVIE, TV)[number % 2], 1950 + number % 70
        twins = [film(number, "Twin", year, kind), film(number + 1, "Twin", year + 1, kind),
                 film(number, "Twin", year, TV if kind is MOVIE else MOVIE)]  # fmt: skip
        hints = {"mediaType": str(kind), "tmdbId": str(number)}
        name = f"Twin.{year + 1}.1080p" if number % 3 else "Twin.S01E01.mkv"
        found = match(recognise(name, hints=hints), twins)
        if str(found[0].ref) != f"tmdb:{kind}:{number}" or not is_sure(found):
            wrong.append(found)
    assert wrong == []


def test_absolute_numbers_get_their_place_by_the_sizes_of_the_seasons() -> None:
    found = recognise("[Grp] Cowboy Bebop - 27 [1080p].mkv")
    there = placed(found, {0: 3, 1: 12, 2: 12, 3: 12})
    assert (there.season, there.episodes, there.absolute) == (3, (3,), (27,))
    assert placed(found, {1: 12}) == found
    pair = recognise("[Grp] Cowboy Bebop - 12-13 [1080p].mkv")
    assert placed(pair, {1: 12, 2: 12}) == pair

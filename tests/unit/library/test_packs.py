"""All files of a job at once: seasons, samples, extras, numbers that neighbours explain."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.models import FileRole
from chilly_movies.library.recognition import Recognition, recognise_pack

MAIN, SAMPLE, EXTRA, SUBTITLE = (
    FileRole.MAIN, FileRole.SAMPLE, FileRole.EXTRA, FileRole.SUBTITLE,
)  # fmt: skip


def places(found: Sequence[Recognition]) -> list[tuple[str | None, int | None, tuple[int, ...]]]:
    """Title, season and episodes, absolute ones where there are no others."""
    return [(one.title, one.season, one.episodes or one.absolute) for one in found]


@pytest.mark.parametrize(
    "custom",
    [
        "The.Wire.S02E{n:02}.720p.BluRay.x264-GRP.mkv",
        "the.wire.s02e{n:02}.720p-grp.mkv",
        "wire.s02e{n:02}.mkv",
        "The Wire - 2x{n:02} - Title {n}.mkv",
        "The Wire 2{n:02}.avi",
        "wire.2{n:02}.dvdrip.avi",
        "{n:02} - Title.mkv",
        "{n:02}.mkv",
        "E{n:02}.mkv",
        "Episode {n}.mkv",
        "Episode {n} - Title.mkv",
        "Season 2/{n:02}. Title.mkv",
    ],
)
def test_each_file_of_a_season_has_its_episode_however_it_is_numbered(custom: str) -> None:
    names = [custom.format(n=number) for number in range(1, 11)]
    found = recognise_pack(names, folder="The.Wire.S02.720p.BluRay.x264-GRP")
    assert places(found) == [("The Wire", 2, (number,)) for number in range(1, 11)]
    assert {one.kind for one in found} == {TitleKind.TV}
    assert [one.name for one in found] == names


def test_double_episodes_specials_and_a_name_without_title_stand_in_their_season() -> None:
    found = recognise_pack(
        ["Friends.S01E01E02.mkv", "Friends.S01E03-E04.mkv", "Friends.S00E01.mkv", "S01E05.mkv"],
        folder="Friends (1994)",
    )
    assert places(found) == [
        ("Friends", 1, (1, 2)), ("Friends", 1, (3, 4)), ("Friends", 0, (1,)), ("Friends", 1, (5,)),
    ]  # fmt: skip
    assert {one.year for one in found} == {1994}


def test_absolute_numbers_stay_absolute() -> None:
    names = [f"[Grp] One Piece - {number} (1080p) [ABCDEF01].mkv" for number in range(1015, 1020)]
    found = recognise_pack(names, folder="[Grp] One Piece (1015-1019) [1080p]")
    assert [one.absolute for one in found] == [(number,) for number in range(1015, 1020)]
    assert [one.season for one in found] == [None] * 5
    assert all(one.sure for one in found)


def test_samples_extras_and_subtitles_are_told_apart() -> None:
    names = {
        "The.Wire.S01E01.720p.mkv": MAIN,
        "The.Wire.S01E02.720p.mkv": MAIN,
        "Sample/wire-sample.mkv": SAMPLE,
        "the.wire.s01e01.sample.mkv": SAMPLE,
        "sample-the.wire.s01e01.mkv": SAMPLE,
        "Featurettes/It's All Connected.mkv": EXTRA,
        "Extras/Deleted Scenes.mkv": EXTRA,
        "The Wire-trailer.mp4": EXTRA,
        "Gag Reel.mkv": EXTRA,
        "Subs/The.Wire.S01E01.en.srt": SUBTITLE,
        "The.Wire.S01E01.720p.de.ass": SUBTITLE,
    }
    found = recognise_pack(list(names), folder="The.Wire.S01.720p")
    assert {one.name: one.role for one in found} == names


def test_a_film_whose_title_speaks_of_samples_or_trailers_is_none() -> None:
    for name in ("The.Sample.1984.mkv", "Sampled (2015).mkv", "Trailer Park Boys S01E01.mkv"):
        assert recognise_pack([name])[0].role is MAIN


def test_files_that_are_alike_but_for_a_number_are_episodes_and_not_sure() -> None:
    found = recognise_pack([f"Planet {number} of 3.mkv" for number in (1, 2, 3)], folder="Planet")
    assert places(found) == [("Planet", None, (1,)), ("Planet", None, (2,)), ("Planet", None, (3,))]
    assert not any(one.sure for one in found)


def test_parts_of_a_film_are_no_episodes() -> None:
    found = recognise_pack([f"Ben-Hur.1959.CD{n}.avi" for n in (1, 2, 3)], folder="Ben-Hur.1959")
    assert [one.part for one in found] == [1, 2, 3]
    assert {(one.kind, one.title, one.year) for one in found} == {
        (TitleKind.MOVIE, "Ben-Hur", 1959)
    }


def test_films_of_a_collection_keep_their_titles() -> None:
    names = ["The Matrix (1999).mkv", "The Matrix Reloaded (2003).mkv", "The Animatrix (2003).mkv"]
    found = recognise_pack(names, folder="The Matrix Collection")
    assert [(one.title, one.year) for one in found] == [
        ("The Matrix", 1999), ("The Matrix Reloaded", 2003), ("The Animatrix", 2003),
    ]  # fmt: skip


def test_hints_hold_for_all_files_but_an_episode_for_one_alone() -> None:
    hints = {"mediaType": "tv", "tmdbId": "70523", "seasonNumber": "1", "episodeNumber": "1"}
    pack = recognise_pack(["01.mkv", "02.mkv", "03.mkv"], folder="Dark", hints=hints)
    assert places(pack) == [("Dark", 1, (1,)), ("Dark", 1, (2,)), ("Dark", 1, (3,))]
    assert {str(one.ref) for one in pack} == {"tmdb:tv:70523"}
    alone = recognise_pack(["film.mkv", "Sample/sample.mkv"], folder="Dark", hints=hints)
    assert (alone[0].season, alone[0].episodes) == (1, (1,))


def test_misspelled_files_of_a_pack_get_its_title() -> None:
    names = ["House 1x01.avi", "Huose 1x02.avi", "House - 1x03.avi"]
    assert {one.title for one in recognise_pack(names, folder="House Season 1")} == {"House"}

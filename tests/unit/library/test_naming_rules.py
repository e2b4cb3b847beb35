"""Names by the published rules of Jellyfin, Kodi and Plex, and our trees read by these rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chilly_movies.library import nfo
from chilly_movies.library.models import FileRole, Item, ItemEpisode
from chilly_movies.library.naming import Naming
from chilly_movies.library.templates import NamingStyle, Templates
from tests.old_films import FILMS
from tests.unit.library.items import episode, extra, film, main, series, subtitle
from tests.unit.library.servers import Reading, read

T = {"jellyfin": " [tmdbid-{}]", "plex": " {{tmdb-{}}}", "kodi": ""}
"""How each writes the number of a catalogue."""
FILM_NAMES = [
    # place below Movies, F is the folder; what is read beside title, year and number
    ("F/F.mkv", {}),
    ("F/F - 1080p.mkv", {"version": "1080p"}),
    ("F/F - 2160p HDR.mp4", {"version": "2160p HDR"}),
    ("F/F - Director's Cut.mkv", {"version": "Director's Cut"}),
    ("F/F-part1.mkv", {"part": 1}),
    ("F/F-cd2.avi", {"part": 2}),
    ("F/F-pt3.mkv", {"part": 3}),
    ("F/F - 720p-part2.mkv", {"version": "720p", "part": 2}),
    ("F/F.strm", {}),
    ("F/F.srt", {"role": "subtitle"}),
    ("F/F.en.srt", {"role": "subtitle", "language": "en"}),
    ("F/F.pt-BR.srt", {"role": "subtitle", "language": "pt-BR"}),
    ("F/F.en.forced.srt", {"role": "subtitle", "language": "en", "flags": ("forced",)}),
    ("F/F.de.default.sdh.ass",
     {"role": "subtitle", "language": "de", "flags": ("default", "sdh")}),
    ("F/F.2.en.srt", {"role": "subtitle", "language": "en"}),
    ("F/F - 1080p.fr.vtt", {"role": "subtitle", "language": "fr", "version": "1080p"}),
    ("F/F.nfo", None),
    ("F/poster.jpg", None),
    ("F/Other film.mkv", None),
    ("F/FX.mkv", None),
]  # fmt: skip
SHOW_NAMES = [
    # place below Shows, F is the folder, S the series with its year
    ("F/Season 01/S S01E01.mkv", {"season": 1, "episodes": (1,)}),
    ("F/Season 01/S S01E02 - The Name.mkv", {"season": 1, "episodes": (2,)}),
    ("F/Season 01/S - s01e03 - The Name.mkv", {"season": 1, "episodes": (3,)}),
    ("F/Season 01/S S01E04-E05.mkv", {"season": 1, "episodes": (4, 5)}),
    ("F/Season 01/S - s01e06-e07 - Two.mkv", {"season": 1, "episodes": (6, 7)}),
    ("F/Season 00/S S00E01 - Special.mkv", {"season": 0, "episodes": (1,)}),
    ("F/Season 12/S S12E100.mkv", {"season": 12, "episodes": (100,)}),
    ("F/Season 1955/S S1955E01.mkv", {"season": 1955, "episodes": (1,)}),
    ("F/Season 01/S S01E08-part1.mkv", {"season": 1, "episodes": (8,), "part": 1}),
    ("F/Season 01/S S01E02.de.srt",
     {"season": 1, "episodes": (2,), "role": "subtitle", "language": "de"}),
    ("F/Season 02/S S01E01.mkv", None),
    ("F/S S01E01.mkv", None),
    ("F/Season 1/S S01E01.mkv", None),
    ("F/Season 01/Another S01E01.mkv", None),
    ("F/Season 01/S.mkv", None),
    ("F/tvshow.nfo", None),
]  # fmt: skip
TITLES = [("Nosferatu", 1922), ("2001 - A Space Odyssey", None)]


def rows() -> Iterator[tuple[str, str, Reading | None]]:
    for style, tag in T.items():
        for title, year in TITLES:
            named = title if year is None else f"{title} ({year})"
            ident = "tmdb-653" if tag else None
            folder = named + tag.format(653)
            for top, names in (("Movies", FILM_NAMES), ("Shows", SHOW_NAMES)):
                for name, facts in names:
                    place = name.replace("F", folder, 1).replace("/F", f"/{folder}")
                    place = f"{top}/{place.replace('/S ', f'/{named} ').replace('/S.', '/X.')}"
                    found = None if facts is None else Reading(title, year, ident, **facts)  # type: ignore[arg-type]
                    yield style, place, found


ROWS = [*rows()]


def test_the_checker_reads_more_than_150_names_as_the_rules_say() -> None:
    assert len(ROWS) >= 150
    assert {
        (style, place): (found, wanted)
        for style, place, wanted in ROWS
        if (found := read(style, place)) != wanted
    } == {}


EXTRA_FOLDERS = [
    ("x/The Trailer.mkv", "trailers", "Trailers"), ("x/making-of.mkv", "behind the scenes",
    "Behind The Scenes"), ("x/Deleted.Scene.mkv", "deleted scenes", "Deleted Scenes"),
    ("Interviews/a.mkv", "interviews", "Interviews"), ("Featurettes/a.mkv", "featurettes",
    "Featurettes"), ("x/odd.mkv", "extras", "Other"), ("x/clip 1.mkv", "clips", "Other"),
]  # fmt: skip


@pytest.mark.parametrize("style", NamingStyle)
def test_extras_stand_in_folders_that_the_server_knows(style: NamingStyle) -> None:
    item = film("Faust", 1926, main(0, "f.mkv"), *(
        extra(n, path) for n, (path, *_) in enumerate(EXTRA_FOLDERS, 1)
    ))  # fmt: skip
    places = Naming(style).places(item)
    for number, (_, jellyfin, plex) in enumerate(EXTRA_FOLDERS, 1):
        wanted = {"jellyfin": jellyfin, "plex": plex, "kodi": "Extras"}[style]
        assert places[number].parts[2] == wanted
        found = read(style, str(places[number]))
        assert found is not None
        assert found.role == "extra"


ODD = [one for one in FILMS if set(one.name) & set(":?/")]
SHOWS = [
    ("The Adventures of Robin Hood", 1955),
    ("One Step Beyond", 1959),
    ("Dragnet", 1951),
    ("Flash Gordon: Conquers/Universe?", 1940),
    ("电视剧", None),
]


def films() -> Iterator[Item]:
    """Sixty films: versions, editions, parts, subtitles; titles that names cannot hold."""
    for number, one in enumerate([*ODD, *FILMS[: 60 - len(ODD)]]):
        files = [main(0, f"{number}/film.mkv", quality="1080p")]
        if number % 4 == 1:
            files.append(main(1, f"{number}/other.mkv", quality="480p"))
        if number % 4 == 2:
            files.append(main(1, f"{number}/cut.mkv", edition="Director's Cut"))
        if number % 4 == 3:
            files = [main(n, f"{number}/{n}.mkv", part=n + 1) for n in range(2)]
        files += [subtitle(8, f"{number}/film.de.srt", "de", "forced"),
                  subtitle(9, f"{number}/film.en.srt", "en", "sdh")]  # fmt: skip
        ident, ref = f"lib-{number:026}", f"tmdb:movie:{one.number + 1}"
        yield film(one.name, one.year, *files, id=ident, ref=ref)


def shows() -> Iterator[Item]:
    """Five series: double episodes, specials, many episodes, subtitles."""
    for number, (title, year) in enumerate(SHOWS, 1):
        files = [episode(n, 1 + n // 6, n % 6 + 1) for n in range(12)]
        files += [episode(12, 0, 1), episode(13, 3, 1, 2), episode(14, 3, 100),
                  subtitle(15, "x.fr.srt", "fr", season=3, episodes=(1, 2))]  # fmt: skip
        known = [ItemEpisode(1, n, f"Part {n}: A/B?") for n in range(1, 7)]
        ident = f"lib-s{number:025}"
        yield series(title, year, *files, id=ident, ref=f"tmdb:tv:{number}", episodes=known)


def spoken(title: str) -> str:
    """A title as a name can hold it."""
    for sign, instead in ((": ", " - "), (":", "-"), ("/", "-"), ("?", ""), ('"', "'"), ("*", "")):
        title = title.replace(sign, instead)
    return title


@pytest.mark.parametrize("style", NamingStyle)
def test_sixty_films_and_five_shows_are_read_right_by_the_rules(style: NamingStyle) -> None:
    items = [*films(), *shows()]
    assert len(items) == 65
    for item in items:
        places = Naming(style).places(item)
        assert set(places) == {file.index for file in item.files}
        for file in item.files:
            found = read(style, str(places[file.index]))
            assert found is not None, places[file.index]
            assert (found.title, found.year) == (spoken(item.title), item.year)
            assert found.role == ("subtitle" if file.role is FileRole.SUBTITLE else "main")
            assert (found.language, found.flags) == (file.language, file.flags)
            if file.role is FileRole.MAIN:
                assert (found.season, found.episodes) == (file.season, file.episodes)
                assert found.part == file.part
                assert file.edition in (None, found.edition, found.version)


@pytest.mark.parametrize("style", NamingStyle)
def test_sixty_films_and_five_shows_are_right_from_their_nfo_alone(style: NamingStyle) -> None:
    naming = Naming(style)
    for item in [*films(), *shows()]:
        places = naming.places(item)
        written = nfo.write(item, places, naming.folder(item))
        for place, data in written.items():
            found = nfo.read(data)
            assert found.kind is item.kind
            if place.name == "tvshow.nfo" or not found.episodes:
                assert (found.title, found.year) == (item.title, item.year)
                assert found.facts.external_ids["tmdb"] == str(item.ref).rpartition(":")[2]
            else:
                numbers = tuple(one.number for one in found.episodes)
                season = found.episodes[0].season
                assert (season, numbers) in {(f.season, f.episodes) for f in item.files}
                assert found.show == item.title
        first = [f for f in item.files if f.role is FileRole.MAIN and (f.part or 1) == 1]
        beside = {place.with_suffix("") for place in written}
        assert all(places[file.index].with_suffix("") in beside for file in first)


def test_templates_of_the_user_name_files_as_they_say() -> None:
    templates = Templates(
        film_folder="Films/{initial}/{title}< ({year})>",
        film="{title}< [{edition}]>< {quality}>",
        series_folder="TV/{title}",
        season_folder="S{season}",
        episode="{episodes}< {name}>",
    )
    naming = Naming(NamingStyle.JELLYFIN, templates)
    place = naming.places(film("faust", 1926, main(0, "f.MKV", quality="720p")))[0]
    assert str(place) == "Films/F/faust (1926)/faust 720p.mkv"
    show = series("M/N", None, episode(0, 2, 3), episodes=[ItemEpisode(2, 3, "End")])
    assert str(naming.places(show)[0]) == "TV/M-N/S2/S02E03 End.mkv"


@pytest.mark.parametrize(
    "template",
    ["", "{titel}", "plain", "{title", "{title.__class__}", "{title[0]}", "../{title}",
     "/{title}", "a//{title}", "{}", "{0}", "{title:d}", "{year:q}"],
)  # fmt: skip
def test_a_template_that_is_of_no_use_is_refused_with_its_name(template: str) -> None:
    with pytest.raises(ValueError, match="film_folder"):
        Templates(template, "{title}", "{title}", "{season}", "{episodes}")

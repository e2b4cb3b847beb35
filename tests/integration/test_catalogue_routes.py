"""Films and pictures by their ref over HTTP: found, kept, shown offline, never hostile."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies.catalogue.neutral import neutral_picture, png
from chilly_movies.catalogue.ports import Picture
from chilly_movies.catalogue.titles import Episode, Season, Title, TitleDetails, TitleKind
from tests.integration.archive_origin import ArchiveOrigin, archive_origin
from tests.integration.catalogue_rig import rig
from tests.integration.file_origin import Served
from tests.integration.tmdb_server import TmdbServer, failure
from tests.old_films import FILMS, old_titles

pytestmark = pytest.mark.anyio

PNG = png(3, 2, lambda x, y: x == y)
FILM = FILMS[-1]
IMDB = {"source": "imdb", "id": "tt0000007"}
NEUTRAL = neutral_picture(Picture.POSTER)
SERIES = TitleDetails(
    Title(id=7, kind=TitleKind.TV, name="Old Series", year=1955, poster="/s.png"),
    original_name="Old Series",
    released="1955-01-01",
    cast=("A. Actor", "B. Actor"),
    roles=("Himself", ""),
    external_ids={"imdb": "tt0000007", "tvdb": "77"},
    genres=("Crime",),
    seasons=(Season(1, "One", episode_count=1, episodes=(Episode(2, "Second", still="/e.png"),)),),
)


@pytest.fixture
async def tmdb() -> AsyncIterator[TmdbServer]:
    async with TmdbServer(titles=(*old_titles(), SERIES)) as server:
        server.freshness = {"cache-control": "public, max-age=0", "etag": '"v1"'}
        server.pictures |= {f"{a}{film.number}.png": PNG for film in FILMS for a in "pb"}
        server.pictures |= {"s.png": PNG, "e.png": PNG}
        yield server


@pytest.fixture
async def archive() -> AsyncIterator[ArchiveOrigin]:
    async with archive_origin() as origin:
        for film in FILMS:
            origin.serve(f"/services/img/{film.identifier}", PNG)
        yield origin


def away(tmdb: TmdbServer, archive: ArchiveOrigin) -> None:
    tmdb.always = failure(503, 9, "away")
    archive.answers[""] = Served(raw=b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")


async def test_a_title_of_either_catalogue_is_shown_with_its_notice_and_pictures_of_our_origin(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    async with rig(tmp_path, tmdb, archive) as app:
        for ref, said in (
            (f"tmdb:movie:{FILM.number}", "TMDB"),
            (f"archive:{FILM.identifier}", "Internet Archive"),
        ):
            title = (await app.http.get(f"/titles/{ref}")).json()
            assert (title["ref"], title["name"], title["year"]) == (ref, FILM.name, FILM.year)
            assert title["directors"] == [FILM.director]
            assert said in title["notice"]
            assert title["poster"] == f"/artwork/{ref}/poster"
            picture = await app.http.get(title["poster"])
            assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
            assert picture.headers["x-content-type-options"] == "nosniff"


async def test_a_series_has_its_cast_seasons_and_stills(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    async with rig(tmp_path, tmdb, archive) as app:
        title = (await app.http.get("/titles/tmdb:tv:7")).json()
        assert (title["cast"], title["roles"]) == (["A. Actor", "B. Actor"], ["Himself", ""])
        assert title["externalIds"] == {"imdb": "tt0000007", "tvdb": "77"}
        assert title["seasons"][0]["poster"] == "/artwork/tmdb:tv:7:1/poster"
        season = (await app.http.get("/titles/tmdb:tv:7/season/1")).json()
        still = season["episodes"][0]["still"]
        assert still == "/artwork/tmdb:tv:7:1:2/still"
        assert (await app.http.get(still, params={"width": 200})).content == PNG
        assert tmdb.seen[-1].path == "/t/p/w300/e.png"


async def test_popular_filters_genres_and_foreign_ids_answer_from_the_catalogue_that_is_named(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    newest = [film.name for film in reversed(FILMS)][:20]
    async with rig(tmp_path, tmdb, archive) as app:
        for provider in ("tmdb", "archive"):
            asked = {"provider": provider}
            popular = (await app.http.get("/catalogue/popular", params=asked)).json()
            assert [title["name"] for title in popular["results"]] == newest
            years: dict[str, str | int] = {**asked, "yearFrom": 1968, "yearTo": 1968}
            found = (await app.http.get("/catalogue/discover", params=years)).json()
            assert [title["name"] for title in found["results"]] == [FILM.name]
        genres = (await app.http.get("/catalogue/genres", params={"kind": "tv"})).json()
        assert genres == {"genres": ["Crime"]}
        crime = {"kind": "tv", "genre": "crime"}
        found = (await app.http.get("/catalogue/discover", params=crime)).json()
        assert [title["ref"] for title in found["results"]] == ["tmdb:tv:7"]
        by_id = (await app.http.get("/catalogue/find", params=IMDB)).json()
        assert [title["ref"] for title in by_id["results"]] == ["tmdb:tv:7"]
        assert (await app.http.get("/catalogue/find")).status_code == 422
        other = await app.http.get("/catalogue/popular", params={"provider": "other"})
        assert (other.status_code, other.json()["code"]) == (404, "title_not_found")


async def test_without_a_key_the_internet_archive_is_browsed_and_a_search_for_a_match_asks_nobody(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    async with rig(tmp_path, tmdb, archive, key=None) as app:
        found = await app.http.get("/catalogue/search", params={"query": "living dead"})
        assert [title["ref"] for title in found.json()["results"]] == [f"archive:{FILM.identifier}"]
        asked = len(archive.asked)
        told = await app.http.get("/metadata/search", params={"query": "living dead"})
        assert told.json()["code"] == "metadata_not_configured"
        assert (len(archive.asked), tmdb.seen) == (asked, [])


async def test_what_was_seen_once_is_shown_without_a_network_after_a_restart_and_pictures_too(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    refs = [f"tmdb:movie:{FILM.number}", f"archive:{FILM.identifier}"]
    paths = [*(f"/titles/{ref}" for ref in refs), *(f"/artwork/{ref}/poster" for ref in refs)]
    paths.append("/catalogue/popular?provider=archive")
    async with rig(tmp_path, tmdb, archive) as app:
        before = [(await app.http.get(path)).content for path in paths]
    away(tmdb, archive)
    async with rig(tmp_path, tmdb, archive) as app:
        assert [(await app.http.get(path)).content for path in paths] == before
        wider = await app.http.get(f"/artwork/{refs[0]}/poster", params={"width": 1280})
        assert wider.content == PNG


async def test_what_cannot_be_had_is_a_neutral_picture_and_soon_asked_for_again(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    away(tmdb, archive)
    refs = ("tmdb:movie:90001", "tmdb:tv:1:2:3", "archive:unknown", "other:1", "tmdb:nonsense")
    async with rig(tmp_path, tmdb, archive) as app:
        for ref in refs:
            picture = await app.http.get(f"/artwork/{ref}/poster")
            assert (picture.status_code, picture.content) == (200, NEUTRAL), ref
            assert picture.headers["cache-control"] == "private, max-age=60"
        assert (await app.http.get("/artwork/nonsense/poster")).status_code == 422
        tmdb.always = None
        assert (await app.http.get("/artwork/tmdb:movie:90001/poster")).content == PNG


HOSTILE = {
    "a page": b"<html><script>alert(1)</script>",
    "a drawing with a script": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "a bomb": PNG[:16] + struct.pack(">II", 60_000, 60_000) + PNG[24:],
    "50 MB": PNG + bytes(50_000_000),
    "nothing": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_pictures_are_never_passed_on(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path, what: str
) -> None:
    tmdb.pictures[f"p{FILM.number}.png"] = HOSTILE[what]
    archive.serve(f"/services/img/{FILM.identifier}", HOSTILE[what])
    async with rig(tmp_path, tmdb, archive) as app:
        for ref in (f"tmdb:movie:{FILM.number}", f"archive:{FILM.identifier}"):
            assert (await app.http.get(f"/artwork/{ref}/poster")).content == NEUTRAL
    assert archive.sent < 30_000_000


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{" * 100_000, b'{"metadata": 7, "files": {}}', b"\xff\xfe", b" " * 50_000_000],
    ids=["empty", "list", "deep", "wrong types", "no text", "50 MB"],
)
async def test_hostile_json_of_the_archive_is_refused_in_bounds(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path, body: bytes
) -> None:
    archive.answers["/metadata/"] = Served(body)
    async with rig(tmp_path, tmdb, archive) as app:
        told = await app.http.get(f"/titles/archive:{FILM.identifier}")
    assert told.json()["code"] in ("metadata_unavailable", "title_not_found")
    assert archive.sent < 30_000_000


async def test_a_page_of_pictures_asks_for_no_title_twice_and_is_opened_by_signed_links(
    tmdb: TmdbServer, archive: ArchiveOrigin, tmp_path: Path
) -> None:
    async with rig(tmp_path, tmdb, archive, api_secret="a-key-of-some-length") as app:
        key = {"x-api-key": "a-key-of-some-length"}
        popular = (await app.http.get("/catalogue/popular", headers=key)).json()
        asked = len(tmdb.seen)
        for title in popular["results"]:
            assert (await app.http.get(title["poster"])).content == PNG
            assert (await app.http.get(title["poster"].partition("?")[0])).status_code == 401
        assert len(tmdb.seen) == asked + len(popular["results"])

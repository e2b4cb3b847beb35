"""Turns TMDB's JSON into our values. Pure: no I/O, no state.

Answers come from outside, so nothing is taken for granted. A field that is absent, null or of
another type reads as unknown, an entry without an id is left out; only an answer that is no
page or no title at all raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from urllib.parse import quote

from chilly_movies.catalogue.titles import (
    Episode,
    Season,
    Title,
    TitleDetails,
    TitleKind,
    TitlePage,
    Video,
)
from chilly_movies.errors import MetadataUnavailable

LAST_PAGE = 500
"""TMDB counts further pages in `total_pages`, and refuses to serve them."""

_CAST_SHOWN = 20
_LARGEST_NUMBER = 2**53
_IMAGE_PATH = re.compile(r"/[\w.-]+", re.ASCII)
_DATE = re.compile(r"(\d{4})-\d{2}-\d{2}", re.ASCII)
_WATCH_PAGES = {
    "YouTube": "https://www.youtube.com/watch?v=",
    "Vimeo": "https://vimeo.com/",
}


def parse_page(data: object, kind: TitleKind | None, images: str) -> TitlePage:
    """A page of search results or similar titles.

    Args:
        data: the decoded JSON.
        kind: what the results are; None = each says so itself, and people are left out.
        images: base URL of the pictures, ending in `/`.

    Raises:
        MetadataUnavailable: it is no page.
    """
    page = _mapping(data)
    if not isinstance(page.get("results"), list):
        raise MetadataUnavailable("The film catalogue answered with something other than a page.")
    titles = (parse_title(item, kind, images) for item in _mappings(page, "results"))
    return TitlePage(
        page=_count(page, "page") or 1,
        total_pages=min(_count(page, "total_pages"), LAST_PAGE),
        total_results=_count(page, "total_results"),
        results=tuple(title for title in titles if title is not None),
    )


def parse_title(item: Mapping[str, object], kind: TitleKind | None, images: str) -> Title | None:
    """One entry of a page, None if it is neither film nor series or has no id."""
    if kind is None:
        try:
            kind = TitleKind(_text(item, "media_type"))
        except ValueError:
            return None
    number = _count(item, "id")
    if not number:
        return None
    released = _released(item, kind)
    votes = _count(item, "vote_count")
    return Title(
        id=number,
        kind=kind,
        name=_text(item, "title") or _text(item, "name") or _original_name(item),
        year=int(released[:4]) if released else None,
        overview=_text(item, "overview"),
        language=_text(item, "original_language") or None,
        rating=_rating(item) if votes else None,
        votes=votes,
        poster=_image(item, "poster_path", images + "w500"),
        backdrop=_image(item, "backdrop_path", images + "w1280"),
    )


def parse_details(data: object, kind: TitleKind, images: str) -> TitleDetails:
    """A film or series with its `credits` and `external_ids` appended.

    Raises:
        MetadataUnavailable: it is no title.
    """
    item = _mapping(data)
    title = parse_title(item, kind, images)
    if title is None:
        raise MetadataUnavailable("The film catalogue answered with something other than a title.")
    cast = list(islice(_cast(_mapping(item.get("credits"))), _CAST_SHOWN))
    crew = _mappings(_mapping(item.get("credits")), "crew")
    directors = [_text(person, "name") for person in crew if person.get("job") == "Director"]
    return TitleDetails(
        title=title,
        original_name=_original_name(item),
        tagline=_text(item, "tagline"),
        runtime=_runtime(item),
        genres=_names(item, "genres"),
        released=_released(item, kind),
        cast=tuple(name for name, _ in cast),
        roles=tuple(role for _, role in cast) if any(role for _, role in cast) else (),
        # a series without a main director has the names of those that created it
        directors=tuple(dict.fromkeys(filter(None, directors))) or _names(item, "created_by"),
        seasons=tuple(_season(season, images) for season in _mappings(item, "seasons")),
        external_ids=_external_ids(_mapping(item.get("external_ids"))),
    )


def parse_season(data: object, images: str) -> Season:
    """One season with its episodes.

    Args:
        data: the decoded JSON.
        images: base URL of the pictures, ending in `/`.

    Raises:
        MetadataUnavailable: it is no season.
    """
    item = _mapping(data)
    if not isinstance(item.get("episodes"), list):
        raise MetadataUnavailable("The film catalogue answered with something other than a season.")
    return _season(item, images)


def parse_genres(data: object) -> dict[str, int]:
    """The number of each genre, by its name.

    Raises:
        MetadataUnavailable: it is no list of genres.
    """
    item = _mapping(data)
    if not isinstance(item.get("genres"), list):
        raise MetadataUnavailable("The film catalogue answered with something other than genres.")
    genres = {_text(entry, "name"): _count(entry, "id") for entry in _mappings(item, "genres")}
    return {name: number for name, number in genres.items() if name and number}


def parse_found(data: object, images: str) -> tuple[Title, ...]:
    """What was found by another catalogue's id: films, series, and series of episodes."""
    item = _mapping(data)
    lists = ((kind, _mappings(item, f"{kind.value}_results")) for kind in TitleKind)
    titles = (parse_title(entry, kind, images) for kind, entries in lists for entry in entries)
    return tuple(title for title in titles if title is not None)


def parse_videos(data: object) -> tuple[Video, ...]:
    """Trailers and clips: official trailers, other trailers, then the rest as TMDB orders them.

    Raises:
        MetadataUnavailable: it is no list of videos.
    """
    item = _mapping(data)
    if not isinstance(item.get("results"), list):
        raise MetadataUnavailable("The film catalogue answered with something other than videos.")
    videos = []
    for entry in _mappings(item, "results"):
        site, key = _text(entry, "site"), _text(entry, "key")
        page = _WATCH_PAGES.get(site)
        video = Video(
            name=_text(entry, "name"),
            site=site,
            type=_text(entry, "type"),
            url=page + quote(key, safe="") if page and key else None,
            official=entry.get("official") is True,
            language=_text(entry, "iso_639_1") or None,
        )
        videos.append(video)
    return tuple(sorted(videos, key=lambda v: (v.type != "Trailer", not v.official)))


def _season(item: Mapping[str, object], images: str) -> Season:
    episodes = tuple(
        Episode(
            number=_count(entry, "episode_number"),
            name=_text(entry, "name"),
            overview=_text(entry, "overview"),
            air_date=_date(entry, "air_date"),
            runtime=_count(entry, "runtime") or None,
            still=_image(entry, "still_path", images + "w300"),
        )
        for entry in _mappings(item, "episodes")
    )
    return Season(
        number=_count(item, "season_number"),
        name=_text(item, "name"),
        overview=_text(item, "overview"),
        air_date=_date(item, "air_date"),
        # The list of seasons has a count and no episodes, a season has episodes and no count.
        episode_count=_count(item, "episode_count") or len(episodes),
        episodes=episodes,
        poster=_image(item, "poster_path", images + "w500"),
    )


def _cast(credits_: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The names of those that act, and what."""
    for entry in _mappings(credits_, "cast"):
        if name := _text(entry, "name"):
            yield name, _text(entry, "character")


def _external_ids(item: Mapping[str, object]) -> dict[str, str]:
    """`imdb_id` becomes `imdb` and so on; catalogues that do not have the title are left out."""
    ids: dict[str, str] = {}
    for field in item:
        if not field.endswith("_id"):
            continue
        value = _text(item, field) or str(_count(item, field) or "")
        if value:
            ids[field.removesuffix("_id")] = value
    return ids


def _runtime(item: Mapping[str, object]) -> int | None:
    """Minutes of a film, or of a usual episode."""
    lengths = item.get("episode_run_time")
    usual = lengths[0] if isinstance(lengths, list) and lengths else None
    latest = _mapping(item.get("last_episode_to_air"))
    return _count(item, "runtime") or _whole(usual) or _count(latest, "runtime") or None


def _rating(item: Mapping[str, object]) -> float | None:
    value = item.get("vote_average")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(min(max(value, 0), 10))


def _original_name(item: Mapping[str, object]) -> str:
    return _text(item, "original_title") or _text(item, "original_name")


def _released(item: Mapping[str, object], kind: TitleKind) -> str | None:
    return _date(item, "release_date" if kind is TitleKind.MOVIE else "first_air_date")


def _date(item: Mapping[str, object], field: str) -> str | None:
    value = _text(item, field)
    return value if _DATE.fullmatch(value) else None


def _image(item: Mapping[str, object], field: str, base: str) -> str | None:
    path = _text(item, field)
    return base + path if _IMAGE_PATH.fullmatch(path) else None


def _names(item: Mapping[str, object], field: str) -> tuple[str, ...]:
    names = (_text(entry, "name") for entry in _mappings(item, field))
    return tuple(name for name in names if name)


def _text(item: Mapping[str, object], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str):
        return ""
    # JSON can spell half a surrogate pair, which nothing downstream can encode.
    return value.encode("utf-8", "replace").decode("utf-8").strip()


def _count(item: Mapping[str, object], field: str) -> int:
    return _whole(item.get(field))


def _whole(value: object) -> int:
    """A number that counts something or names a title; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST_NUMBER:
        return 0
    return value


def _mappings(item: Mapping[str, object], field: str) -> Iterator[Mapping[str, object]]:
    value = item.get(field)
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

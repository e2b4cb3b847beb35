"""A catalogue server on loopback that speaks TMDB's dialect, serves the canned titles and can
be told to misbehave.

It is written on bare asyncio streams, so that it can do what no framework lets it do: stop in
the middle of an answer, or say nothing at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from chilly_movies.catalogue.canned import TITLES, VIDEOS
from chilly_movies.catalogue.titles import Season, Title, TitleDetails, TitleKind, Video

API_KEY = "canary0key0of0thirty0two0letters"
TOKEN = "canary-token.of-many.letters"

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What to answer. `lie` is added to the announced length: the connection ends too early."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    lie: int = 0


SILENCE = Reply(status=0)
"""Never answer, but keep the connection open."""


def json_reply(data: object, status: int = 200, **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(data, ensure_ascii=False).encode()
    return Reply(status, body, {"content-type": "application/json;charset=utf-8"} | fields)


def failure(status: int, code: int, message: str, **headers: str) -> Reply:
    data = {"success": False, "status_code": code, "status_message": message}
    return json_reply(data, status, **headers)


class TmdbServer:
    """Runs on the loop of the test that enters it.

    Attributes:
        seen: every request, in order.
        asked: set as soon as there is one.
        script: answers for the next requests, whatever they ask; then it behaves again.
        always: the answer to every request once the script is used up.
        freshness: header fields of good answers, `cache-control` and `etag` for example.
        pictures: what is at the addresses of pictures, by their last part.

    Args:
        page_size: titles on a page.
        titles: what it knows.
    """

    def __init__(self, *, page_size: int = 20, titles: Sequence[TitleDetails] = TITLES) -> None:
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()
        self.script: list[Reply] = []
        self.always: Reply | None = None
        self.freshness: dict[str, str] = {}
        self.pictures: dict[str, bytes] = {}
        self._page_size = page_size
        self._titles = titles
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/3"

    @property
    def image_base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/t/p/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen = _parse_head(head)
                self.seen.append(seen)
                self.asked.set()
                reply = self._choose(seen)
                if reply is SILENCE:
                    await asyncio.Event().wait()
                writer.write(_encode(reply))
                await writer.drain()
                if reply.lie:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()

    def _choose(self, seen: Seen) -> Reply:
        if self.script:
            return self.script.pop(0)
        if self.always is not None:
            return self.always
        reply = self._answer(seen)
        if reply.status != 200:
            return reply
        etag = self.freshness.get("etag")
        if etag is not None and seen.headers.get("if-none-match") == etag:
            return Reply(304, b"", self.freshness)
        return Reply(200, reply.body, {**reply.headers, **self.freshness})

    def _answer(self, seen: Seen) -> Reply:
        if seen.path.startswith("/t/p/"):  # pictures need no key
            body = self.pictures.get(seen.path.rpartition("/")[2])
            return _not_found() if body is None else Reply(200, body)
        if seen.headers.get("authorization") != f"Bearer {TOKEN}" and (
            seen.query.get("api_key") != API_KEY
        ):
            return failure(401, 7, "Invalid API key: You must be granted a valid key.")
        match seen.path.removeprefix("/3/").split("/"):
            case ["search", kind]:
                return self._page(seen, _search(self._titles, kind, seen.query))
            case [("movie" | "tv") as kind, "popular"]:
                return self._page(seen, _discovered(self._titles, kind, {}))
            case ["discover", ("movie" | "tv") as kind]:
                return self._page(seen, _discovered(self._titles, kind, seen.query))
            case ["genre", ("movie" | "tv") as kind, "list"]:
                known = [{"id": n, "name": g} for g, n in _genres(self._titles, kind).items()]
                return json_reply({"genres": known})
            case ["find", external]:
                return json_reply(_found(self._titles, external, seen.query["external_source"]))
            case [("movie" | "tv") as kind, number, *rest]:
                return self._title(seen, TitleKind(kind), int(number), rest)
        return _not_found()

    def _title(self, seen: Seen, kind: TitleKind, number: int, rest: list[str]) -> Reply:
        details = next(
            (t for t in self._titles if (t.title.kind, t.title.id) == (kind, number)),
            None,
        )
        if details is None:
            return _not_found()
        match rest:
            case []:
                appended = seen.query.get("append_to_response", "").split(",")
                return json_reply(_details_json(details, appended))
            case ["videos"]:
                videos = [_video_json(v) for v in reversed(VIDEOS.get((kind, number), ()))]
                return json_reply({"id": number, "results": videos})
            case ["similar"]:
                return self._page(seen, _similar(self._titles, details))
            case ["season", wanted]:
                for season in details.seasons:
                    if season.number == int(wanted):
                        return json_reply(_season_json(season, with_episodes=True))
        return _not_found()

    def _page(self, seen: Seen, results: list[Json]) -> Reply:
        page = int(seen.query.get("page", "1"))
        if not 1 <= page <= 500:
            return failure(400, 22, "Invalid page: Pages start at 1 and max at 500.")
        start = (page - 1) * self._page_size
        return json_reply(
            {
                "page": page,
                "results": results[start : start + self._page_size],
                "total_pages": -(-len(results) // self._page_size),
                "total_results": len(results),
            }
        )


def _parse_head(head: bytes) -> Seen:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    target = urlsplit(first.split(" ")[1])
    fields = (line.split(":", 1) for line in lines)
    return Seen(
        target.path,
        dict(parse_qsl(target.query, keep_blank_values=True)),
        {name.strip().lower(): value.strip() for name, value in fields},
    )


def _encode(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Whatever"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.status != 304:
        lines.append(f"content-length: {len(reply.body) + reply.lie}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + reply.body


def _not_found() -> Reply:
    return failure(404, 34, "The resource you requested could not be found.")


def _search(titles: Sequence[TitleDetails], kind: str, query: Mapping[str, str]) -> list[Json]:
    words = query["query"].lower().split()
    year = query.get("primary_release_year") or query.get("first_air_date_year")
    found = [
        _title_json(t.title, t.original_name, t.released, with_kind=kind == "multi")
        for t in titles
        if kind in ("multi", t.title.kind)
        and (kind == "multi" or year in (None, str(t.title.year)))
        and all(word in f"{t.title.name} {t.original_name}".lower() for word in words)
    ]
    if kind == "multi":
        # At the end, so that leaving people out does not change what is on a page before it.
        found.append({"id": 7, "media_type": "person", "name": f"{query['query']} the Actor"})
    return found


def _genres(titles: Sequence[TitleDetails], kind: str) -> dict[str, int]:
    names = {genre for t in titles if t.title.kind == kind for genre in t.genres}
    return {name: n for n, name in enumerate(sorted(names), 12)}


def _discovered(titles: Sequence[TitleDetails], kind: str, query: Mapping[str, str]) -> list[Json]:
    field = "primary_release_date" if kind == "movie" else "first_air_date"
    low, high = query.get(f"{field}.gte", ""), query.get(f"{field}.lte", "9999")
    numbers, genre = _genres(titles, kind), query.get("with_genres")
    found = [
        t
        for t in titles
        if t.title.kind == kind
        and low <= (t.released or "") <= high
        and (genre is None or genre in {str(numbers[name]) for name in t.genres})
        and float(query.get("vote_average.gte", 0)) <= (t.title.rating or 0)
    ]
    found.sort(key=lambda t: -t.title.votes)
    return [_title_json(t.title, t.original_name, t.released) for t in found]


def _found(titles: Sequence[TitleDetails], external: str, source: str) -> Json:
    found: Json = {"movie_results": [], "tv_results": [], "person_results": []}
    for t in titles:
        if t.external_ids.get(source.removesuffix("_id")) == external:
            entry = _title_json(t.title, t.original_name, t.released)
            found[f"{t.title.kind.value}_results"].append(entry)
    return found


def _similar(titles: Sequence[TitleDetails], details: TitleDetails) -> list[Json]:
    genres = set(details.genres)
    others = [t for t in titles if t.title.kind is details.title.kind and t is not details]
    others.sort(key=lambda t: -len(genres & set(t.genres)))
    return [
        _title_json(t.title, t.original_name, t.released) for t in others if genres & set(t.genres)
    ]


def _title_json(
    title: Title, original: str, released: str | None, *, with_kind: bool = False
) -> Json:
    film = title.kind is TitleKind.MOVIE
    data: Json = {
        "adult": False,
        "id": title.id,
        "title" if film else "name": title.name,
        "original_title" if film else "original_name": original,
        "release_date" if film else "first_air_date": released,
        "overview": title.overview,
        "original_language": title.language,
        "vote_average": title.rating,
        "vote_count": title.votes,
        "poster_path": title.poster,
        "backdrop_path": title.backdrop,
        "popularity": 1.5,
    }
    return data | ({"media_type": title.kind.value} if with_kind else {})


def _details_json(details: TitleDetails, appended: list[str]) -> Json:
    film = details.title.kind is TitleKind.MOVIE
    data = _title_json(details.title, details.original_name, details.released)
    data["tagline"] = details.tagline
    data["genres"] = [{"id": n, "name": name} for n, name in enumerate(details.genres)]
    if film:
        data["runtime"] = details.runtime
    else:
        data["episode_run_time"] = [details.runtime]
        data["seasons"] = [_season_json(s, with_episodes=False) for s in details.seasons]
    if "credits" in appended:
        crew = [{"name": "Somebody", "job": "Editor"}]
        crew += [{"name": name, "job": "Director"} for name in details.directors]
        roles = details.roles or ("",) * len(details.cast)
        pairs = zip(details.cast, roles, strict=True)
        cast = [{"name": a, "character": b, "order": n} for n, (a, b) in enumerate(pairs)]
        data["credits"] = {"cast": cast, "crew": crew}
    if "external_ids" in appended:
        ids = {f"{name}_id": value for name, value in details.external_ids.items()}
        data["external_ids"] = ids | {"facebook_id": None, "twitter_id": ""}
    return data


def _season_json(season: Season, *, with_episodes: bool) -> Json:
    data: Json = {
        "_id": "5256c89f19c2956ff6046d47",
        "id": 3624,
        "season_number": season.number,
        "name": season.name,
        "overview": season.overview,
        "air_date": season.air_date,
        "poster_path": season.poster,
    }
    if not with_episodes:
        return data | {"episode_count": season.episode_count}
    episodes = [
        {
            "id": 63000 + episode.number,
            "episode_number": episode.number,
            "season_number": season.number,
            "name": episode.name,
            "overview": episode.overview,
            "air_date": episode.air_date,
            "runtime": episode.runtime,
            "still_path": episode.still,
        }
        for episode in season.episodes
    ]
    return data | {"episodes": episodes}


def _video_json(video: Video) -> Json:
    return {
        "id": "533ec654c3a36854480003eb",
        "iso_639_1": video.language,
        "key": "",
        "name": video.name,
        "official": video.official,
        "site": video.site,
        "type": video.type,
    }

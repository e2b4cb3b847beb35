"""An Internet Archive on loopback: search, metadata, pictures, files behind redirects, torrents."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from tests.integration.file_origin import FileOrigin, Served, redirect, serving
from tests.old_films import FILMS, OldFilm

Json = dict[str, Any]
_ROWS: Final = 20


@dataclass
class ArchiveOrigin(FileOrigin):
    """What is there, by identifier; everything else is answered as the Archive does.

    Attributes:
        items: what `/metadata/` says of each.
        answers: answers in place of the usual ones, by the beginning of a path.
    """

    items: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, Served] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return self.link("")

    def found(self, path: str) -> Served | None:
        for beginning, answer in self.answers.items():
            if path.startswith(beginning):
                return answer
        if path.startswith("/advancedsearch.php?"):
            return _json(self._search(parse_qs(urlsplit(path).query)))
        if path.startswith("/metadata/"):
            return _json(self.items.get(path.removeprefix("/metadata/"), {}))
        return super().found(path)

    def add_film(self, film: OldFilm, **facts: object) -> str:
        """Adds an item without files, and returns its identifier."""
        metadata = {
            "identifier": film.identifier,
            "title": film.name,
            "mediatype": "movies",
            "collection": ["feature_films", "moviesandfilms"],
            "year": str(film.year),
            "director": film.director,
            "downloads": film.number,
            "week": film.number,
            **facts,
        }
        self.items[film.identifier] = {"metadata": metadata, "files": []}
        return film.identifier

    def add_file(self, identifier: str, name: str, body: bytes, **facts: object) -> Json:
        """Puts a file on a node, to which its own address redirects; returns what is said of it."""
        path = f"/download/{identifier}/{quote(name)}"
        node = f"/node1/items/{identifier}/{quote(name)}"
        self.serve(node, body)
        self.files[path] = redirect(self.link(node))
        said = {
            "name": name,
            "source": "original",
            "size": str(len(body)),
            "md5": hashlib.md5(body).hexdigest(),
            "sha1": hashlib.sha1(body).hexdigest(),
            **facts,
        }
        self.items[identifier]["files"].append(said)
        return said

    def asked_for(self, beginning: str) -> int:
        return len([one for one in self.asked if one.path.startswith(beginning)])

    def _search(self, query: Mapping[str, list[str]]) -> Json:
        terms, page = query["q"][0], int(query["page"][0])
        order = query["sort[]"][0].removesuffix(" desc")
        found = [item["metadata"] for item in self.items.values() if _fits(item["metadata"], terms)]
        found.sort(key=lambda facts: -int(facts.get(order, 0)))
        start = (page - 1) * _ROWS
        shown = [
            {name: facts[name] for name in query["fl[]"] if name in facts}
            for facts in found[start : start + _ROWS]
        ]
        return {"response": {"numFound": len(found), "start": start, "docs": shown}}


def _fits(facts: Json, terms: str) -> bool:
    """Whether an item fits a query, of the few forms that are asked."""

    def every(name: str) -> list[str]:
        value = facts.get(name, [])
        return [str(one).lower() for one in (value if isinstance(value, list) else [value])]

    folders = re.search(r"collection:\(([^)]*)\)", terms)
    if folders and not set(folders[1].split(" OR ")) & set(every("collection")):
        return False
    for name, words in re.findall(r'(title|subject):\(("[^)]*")\)', terms):
        wanted = [word.strip('"').lower() for word in words.split(" AND ")]
        if not any(all(word in one for word in wanted) for one in every(name)):
            return False
    for name, exact in re.findall(r'(external-identifier):"([^"]*)"', terms):
        if exact.lower() not in every(name):
            return False
    for name, low, high in re.findall(r"(year|avg_rating):\[(\S+) TO (\S+)\]", terms):
        if not any(float(low) <= float(one) <= float(high) for one in every(name)):
            return False
    return True


def _json(data: object) -> Served:
    return Served(json.dumps(data).encode(), headers={"Content-Type": "application/json"})


@asynccontextmanager
async def archive_origin(films: tuple[OldFilm, ...] = FILMS) -> AsyncIterator[ArchiveOrigin]:
    """Serves these films on loopback, until the end."""
    origin = ArchiveOrigin()
    for film in films:
        origin.add_film(film)
    async with serving(origin):
        yield origin

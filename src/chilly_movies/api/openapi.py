"""The contract: what the framework makes of the routes, completed and in a form generators take.

The generators of tests/clients are those it is tried with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from chilly_movies.api.wire.problems import MEDIA_TYPE

Tree = dict[str, Any]

_SECURITY = {
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_TAGS = {
    "downloads": "Start films, see how far they are, stop and remove them.",
    "watching": "What is inside the films, their subtitles, and playlists.",
    "streaming": "The bytes of films, while they arrive, too.",
    "torrents": "Torrents of what lies in the media folder, and what others' torrents hold.",
    "sources": "What links, paths and texts stand for, before they are downloads.",
    "links": "Links that need no key.",
    "metadata": "What film something is.",
    "catalogue": "Films of TMDB and the Internet Archive, and their pictures.",
    "library": "Films and series that the user has, and how far they were watched.",
    "webhooks": "Addresses that are told of every state change.",
    "settings": "What the server goes by, and the part of it that changes while it runs.",
    "system": "The server itself, and events.",
}
_ABOUT = """\
Every error is `application/problem+json` with a stable `code`, which docs/errors.md explains.
Events, keys, CORS and the scripts of the mock are in docs/api.md."""

DOWNLOAD_ROUTES = (
    "/download/start",
    "/download/pause",
    "/download/resume",
    "/download/cancel",
    "/download/status/{id}",
)
"""The routes that start, steer and follow a download, which have a contract of their own, too."""


def complete(contract: Tree, read_by_hand: Iterable[type[BaseModel]]) -> Tree:
    """Adds what the framework cannot know, and leaves out what it adds without need.

    Args:
        contract: as the framework makes it.
        read_by_hand: models of bodies and answers that it knows nothing of.
    """
    schemas = contract["components"]["schemas"]
    for model in read_by_hand:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    contract["info"] |= {
        "description": _ABOUT,
        "license": {"name": "MIT", "identifier": "MIT"},
    }
    # relative to where the contract was read, so that it holds on every port and below every proxy
    contract["servers"] = [{"url": ".", "description": "The server this contract was read from."}]
    contract["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    contract["security"] = [{}, *({name: []} for name in _SECURITY)]
    components = {"schemas": dict(sorted(schemas.items())), "responses": _shared_problems(contract)}
    contract["components"] = {**components, "securitySchemes": _SECURITY}
    _tidy(contract)
    return contract


def part(contract: Tree, paths: Collection[str]) -> Tree:
    """Returns the contract of these paths alone, with what they refer to."""
    routes = {path: contract["paths"][path] for path in paths}
    names = {operation["operationId"] for _, operation in operations(routes)}

    def without_others(node: Tree) -> Tree:  # links to operations that are left out
        if not isinstance(links := node.get("links"), dict):
            return node
        kept = {name: link for name, link in links.items() if link["operationId"] in names}
        return {**node, "links": kept}

    routes = _changed(routes, without_others)
    components: Tree = {}
    waiting = [*_references(routes)]
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = contract["components"][kind][name]
            waiting += _references(components[kind][name])
    in_order = {kind: dict(sorted(components.get(kind, {}).items())) for kind in sorted(components)}
    tags = {tag for _, operation in operations(routes) for tag in operation["tags"]}
    return {
        **contract,
        "paths": routes,
        "components": {**in_order, "securitySchemes": _SECURITY},
        "tags": [tag for tag in contract["tags"] if tag["name"] in tags],
    }


def operations(paths: Tree) -> Iterator[tuple[str, Tree]]:
    """Yields `METHOD /path` and the description of every operation."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _changed(node: Any, change: Callable[[Tree], Tree]) -> Any:
    """Returns a copy in which every object is what `change` makes of it."""
    if isinstance(node, list):
        return [_changed(item, change) for item in node]
    if isinstance(node, dict):
        return {key: _changed(value, change) for key, value in change(node).items()}
    return node


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)


def _shared_problems(contract: Tree) -> Tree:
    """Moves the error answers, which are the same everywhere, to one place; returns them."""
    shared: Tree = {}
    for _, operation in operations(contract["paths"]):
        for status, answer in operation["responses"].items():
            name = "".join(HTTPStatus(int(status)).phrase.title().split())
            if [*answer.get("content", ())] == [MEDIA_TYPE] and shared.get(name, answer) == answer:
                shared[name] = answer
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _tidy(contract: Tree) -> None:
    """Leaves out titles that repeat a name, and defaults of members.

    To generators a member with a default is one that is always there, which is right for no
    request, and what a member stands for that is left out is in its description.
    """
    for schema in contract["components"]["schemas"].values():
        for node in _nodes(schema):
            node.pop("title", None)
            node.pop("default", None)
    for _, operation in operations(contract["paths"]):
        operation["summary"] = operation["summary"].capitalize()
        for parameter in operation.get("parameters", ()):
            for node in _nodes(parameter["schema"]):
                node.pop("title", None)


def _nodes(schema: Tree) -> Iterator[Tree]:
    """Yields a schema and all within it; members may have any name, `title` too."""
    yield schema
    inside = [schema.get("items"), schema.get("additionalProperties")]
    inside += [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    inside += schema.get("properties", {}).values()
    for one in inside:
        if isinstance(one, dict):
            yield from _nodes(one)

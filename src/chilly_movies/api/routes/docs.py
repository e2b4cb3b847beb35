"""The contract and the page that shows it, all from our own disk: no CDN."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml
from fastapi import FastAPI, Request, Response

from chilly_movies.api.openapi import DOWNLOAD_ROUTES, part
from chilly_movies.api.policy import Policy

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Chilly Movies API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_SCRIPT = """\
// The contract needs no key; what is tried out takes the one given under "Authorize".
SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", validatorUrl: null });
"""


@lru_cache(maxsize=8)
def _asset(name: str) -> bytes:
    return (files("fastapi_swagger") / "resources" / name).read_bytes()


_DUMPER: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one in C, which PyYAML may lack, takes a fifth of the time and writes the same."""


def to_yaml(contract: dict[str, Any]) -> str:
    """Writes the contract as YAML, in a stable form."""
    text: str = yaml.dump(contract, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100)
    return text


def install(app: FastAPI) -> None:
    """Adds `/openapi.json`, `/openapi.yaml`, `/openapi.downloads.yaml` and `/docs`.

    `/` and `/docs/` lead to the docs. None of them needs a key: what they say is no secret.
    """

    @app.get("/", include_in_schema=False)
    @app.get("/docs/", include_in_schema=False)
    @Policy(scope=None)
    async def start_page(request: Request) -> Response:
        # relative: behind a proxy there may be a path before ours
        there = "docs" if request.scope["path"] == "/" else "../docs"
        return Response(status_code=307, headers={"location": there})

    # Made once: it takes as long as a thousand other answers. Not in a thread: FastAPI silences
    # warnings meanwhile, for the whole process.
    @lru_cache(maxsize=1)
    def as_json() -> bytes:
        return json.dumps(app.openapi(), separators=(",", ":"), ensure_ascii=False).encode()

    @lru_cache(maxsize=1)
    def as_yaml() -> str:
        return to_yaml(app.openapi())

    @lru_cache(maxsize=1)
    def downloads_as_yaml() -> str:
        return to_yaml(part(app.openapi(), DOWNLOAD_ROUTES))

    @app.get("/openapi.json", include_in_schema=False)
    @Policy(scope=None)
    async def contract_json() -> Response:
        return Response(as_json(), media_type="application/json")

    @app.get("/openapi.yaml", include_in_schema=False)
    @Policy(scope=None)
    async def contract_yaml() -> Response:
        return Response(as_yaml(), media_type="application/yaml")

    @app.get("/openapi.downloads.yaml", include_in_schema=False)
    @Policy(scope=None)
    async def downloads_contract_yaml() -> Response:
        return Response(downloads_as_yaml(), media_type="application/yaml")

    @app.get("/docs", include_in_schema=False)
    @Policy(scope=None)
    async def page() -> Response:
        return Response(_PAGE, media_type="text/html")

    @app.get("/docs/start.js", include_in_schema=False)
    @Policy(scope=None)
    async def script() -> Response:
        return Response(_SCRIPT, media_type="text/javascript")

    @app.get("/docs/{name}", include_in_schema=False)
    @Policy(scope=None)
    async def asset(name: str, _request: Request) -> Response:
        if name not in _ASSETS:
            return Response(status_code=404)
        return Response(_asset(name), media_type=_ASSETS[name])

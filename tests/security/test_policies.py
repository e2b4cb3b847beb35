"""What a route asks stands beside it: none is without, and no gate is looser than before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from starlette.routing import Match, Mount, compile_path
from starlette.types import Scope

import chilly_movies
from chilly_movies.api.app import documented_app
from chilly_movies.api.policy import (
    JSON,
    KeyScope,
    Limit,
    Policies,
    Policy,
    Stream,
    every_route,
    policy_found,
)
from chilly_movies.api.routers import take_over
from chilly_movies.api.routes import files
from tests.contract.web import CONTRACT_GROUP, SECRET, contract
from tests.security.asgi import ask, policies, routes, server, table, with_body

pytestmark = [pytest.mark.anyio, CONTRACT_GROUP]

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get",
           "BREW", "")  # fmt: skip


def spellings() -> Iterator[str]:
    """Every path of the route table, the odd ways of writing it, and what stands close to it."""
    known = {path for _, path in routes()}
    known |= {"/docs/swagger-ui.css", "/stream/a.m3u8", "/subtitles/a/0.vtt", "/stream/a/0/0",
              "/stream", "/subtitles", "/streamx", "/eventsx", "/healthx", "/docsx"}  # fmt: skip
    for path in sorted(known):
        yield from (
            path, path + "/", path + "//", path + "\n", path + "\n\n", path + "/\n", path + "\r",
            path + " ", path + "\0", path + "/x", path + "/..", path + "/../health", path + ";x",
            path + "?", path + "%0a", path + "\\", path + "\\x", path + "é", path.upper(),
            path.title(), "/" + path, "/." + path, "/x" + path, "/health" + path, "/docs" + path,
            "\\" + path[1:], path[1:], path.replace("/", "%2f"), path.replace("/", "//"),
            "http://localhost" + path,
        )  # fmt: skip
    yield from ("", "/", "*", "//", "/\n", "\n", "/docs/a/b", "/health/a", "/docs/../downloads")


# --- the lists as they were before the routes told it -----------------------------------------


def was_scope(method: str, path: str) -> KeyScope | None:
    """What a key had to be able to do; None = no key was asked for."""
    if path == "/":  # leads to the docs since
        return None
    if any(path == it or path.startswith(it + "/") for it in ("/health", "/docs")):
        return None
    if re.match(r"/openapi\.(json|yaml|downloads\.yaml)(/|$)", path):
        return None  # the one list that was changed: the contract is no secret
    if (path, method) in (("/settings", "GET"), ("/settings/limits", "PATCH")):
        return KeyScope.ADMIN  # came since
    if method in ("GET", "HEAD") and re.match(r"/downloads/[^/]+/(trackers|torrent|magnet)$", path):
        return KeyScope.CONTROL  # came since: there may be a passkey in them
    if method == "DELETE" and re.match(r"/downloads/[^/]+/trackers/[^/]+$", path):
        return KeyScope.CONTROL  # came since: no film goes with a tracker
    if method in ("GET", "HEAD", "OPTIONS"):
        return KeyScope.READ
    return KeyScope.CONTROL if method in ("POST", "PATCH", "PUT") else KeyScope.ADMIN


def was_limit(method: str, path: str) -> Limit | None:
    """The rate that counted."""
    starts = ("/download/start", "/torrents/create", "/torrents/inspect", "/sources/inspect")
    limits = {**dict.fromkeys(starts, Limit.START), "/download/cancel": Limit.CANCEL}
    return limits.get(path) if method == "POST" else None


def was_body(method: str, path: str) -> int | None:
    """The most bytes of JSON that were read; None = the gate let everything by."""
    if method == "PATCH" and re.match(r"^/downloads/[^/]+/files$", path):
        return 1024 * 1024
    if method == "PATCH" and re.match(r"^/downloads/[^/]+$", path):
        return 256 * 1024  # came since
    if (path, method) == ("/settings/limits", "PATCH"):
        return 256 * 1024
    small = [f"/download/{verb}" for verb in ("pause", "resume", "cancel")]
    large = ("/download/start", "/torrents/create", "/torrents/inspect", "/sources/inspect")
    if method == "POST" and (path in large or re.match(r"^/downloads/[^/]+/move$", path)):
        return 256 * 1024
    if method == "POST" and re.match(r"^/downloads/[^/]+/trackers$", path):
        return 256 * 1024  # came since
    if method == "PATCH" and re.match(r"^/downloads/[^/]+/trackers/[^/]+$", path):
        return 16 * 1024  # came since
    is_small = path in small or re.match(r"^/downloads/[^/]+/(position|peers|peers/ban)$", path)
    return 16 * 1024 if method == "POST" and is_small else None


def was_stream(path: str) -> Stream | None:
    """The kind of answer that could stay open."""
    if path.startswith("/stream"):
        return Stream.FILM
    return Stream.EVENTS if path.startswith("/events") else None


def test_no_gate_is_looser_than_its_list_was_however_an_address_is_spelt() -> None:
    tried = 0
    for path in spellings():
        for method in METHODS:
            tried += 1
            found, where = policies().find(method, path), (method, path)
            scope, limit = was_scope(method, path), was_limit(method, path)
            body = was_body(method, path)
            if path not in (
                "/health\n",
                "/docs\n",
                "/\n",
            ):  # for the router these are the open pages
                assert found.scope is not None or scope is None, where
            assert found.scope is None or scope is None or found.scope >= scope, where
            assert limit is None or found.limit is limit, where
            assert body is None or (found.body and found.body.limit == body), where
            if found.route or path.startswith(("/stream/", "/events/")):  # a 404 holds no place
                assert was_stream(path) in (None, found.stream), where
            pages = ("/stream/", "/subtitles/", "/artwork/")
            assert not found.embeddable or path.startswith(pages), where
            signable = re.match(r"(?s)/(?:(?:stream|subtitles|events|artwork)/.|events)", path)
            assert not found.signable or signable, where
    assert tried > 10_000


LATER = ("/webhooks", "/library", "/artwork")
"""What routes begin with that came after the lists."""


def test_what_a_route_answers_is_decided_as_before() -> None:
    for route in table():
        if route.path.startswith(LATER):
            continue
        path = re.sub(r"\{(\w+)[^}]*\}", "0", route.path)
        for method in route.methods or ():
            found, where = policies().find(method, path), (method, path)
            assert found.scope == was_scope(method, path), where
            assert found.limit == was_limit(method, path), where
            assert (found.body and found.body.limit) == was_body(method, path), where
            assert found.stream == was_stream(path), where
            player = path.startswith(("/stream/", "/subtitles/"))
            events = path.startswith("/events")
            assert (found.signable, found.embeddable) == (player or events, player), where


def test_the_gates_find_the_route_that_the_router_takes() -> None:
    every = list(every_route(documented_app().routes))
    answered = 0
    for path in spellings():
        for method in ("GET", "HEAD", "POST", "DELETE"):
            scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
            fits = (p for p, route in every if route.matches(scope)[0] is Match.FULL)
            taken = next(fits, None)
            if taken is not None:
                answered += 1
                assert policies().find(method, path).route == compile_path(taken)[1], (method, path)
    assert answered > 100


async def test_a_newline_behind_the_path_leads_round_no_gate() -> None:
    async with server(start_limit="2/minute") as tried:
        for path in ("/download/start", "/download/start%0A", "/download/pause%0A"):
            text = await ask(tried.app, "POST", path, [(b"content-type", b"text/plain")], b"{}")
            assert text.status == 415, path
        json = (b"content-type", b"application/json")
        answer = await ask(tried.app, "POST", "/download/start%0A", [json], b"{}")
        assert answer.status == 429  # each spelling is counted as the route it is


async def test_a_form_is_taken_by_the_routes_that_say_so_and_by_no_other() -> None:
    paths = contract()["paths"]
    form = [(b"content-type", b"multipart/form-data; boundary=x")]
    async with server() as tried:
        for method, path in with_body():
            policy = policies().find(method, path)
            kinds = paths[policy.route][method.lower()]["requestBody"]["content"]
            assert policy.body is not None
            assert policy.body.upload == ("multipart/form-data" in kinds), path
            answer = await ask(tried.app, method, path, form, b"--x--\r\n")
            assert (answer.status == 415) != policy.body.upload, (path, answer)


def test_the_routes_that_read_a_body_are_those_that_say_so() -> None:
    reading = {(method, policies().find(method, path).route) for method, path in with_body()}
    saying = {(m, policy.route) for methods, policy in policies() if policy.body for m in methods}
    assert reading == saying


def test_a_signed_link_can_be_had_for_every_route_that_one_opens_and_no_other() -> None:
    members = contract()["paths"]["/links"]["get"]["parameters"]
    pattern = next(one["schema"]["pattern"] for one in members if one["name"] == "path")
    for _, policy in policies():
        path = re.sub(r"\{(\w+)[^}]*\}", "0", policy.route)
        assert bool(re.match(pattern, path)) == policy.signable, path


async def test_what_was_found_is_known_to_the_server_behind_a_proxy_too() -> None:
    async with server(proxies=("127.0.0.1",)) as tried:
        scope: Scope = {
            "type": "http", "method": "GET", "path": "/stream/x/0", "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"x-forwarded-for", b"9.9.9.9")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 3000), "root_path": "",
        }  # fmt: skip

        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        async def send(_message: object) -> None:
            pass

        await tried.app(scope, receive, send)
        found = policy_found(scope)
        assert found is not None
        assert found.stream is Stream.FILM


async def test_below_the_path_of_another_application_the_gates_see_the_same_routes() -> None:
    found = policies().of({"type": "http", "method": "POST", "path": "/films/download/start",
                           "root_path": "/films"})  # fmt: skip
    assert found.limit is Limit.START
    assert found.body


# --- none is forgotten ------------------------------------------------------------------------


def test_every_route_of_the_application_has_a_policy() -> None:
    routes = every_route(documented_app().routes)
    every = {(m, compile_path(path)[1]) for path, route in routes for m in route.methods or ()}
    assert len(every) >= 35
    assert every <= {(m, policy.route) for methods, policy in policies() for m in methods}


async def _handler() -> Response:
    return Response()


def test_an_application_with_a_route_without_a_policy_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgotten = APIRouter(prefix="/metadata")
    forgotten.add_api_route("/forgotten", _handler, response_class=Response)
    monkeypatch.setattr(files, "router", forgotten)
    with pytest.raises(RuntimeError, match="route GET /metadata/forgotten has no Policy"):
        documented_app()


class _Text(BaseModel):
    text: str


def test_a_route_that_reads_a_body_unsaid_or_hides_from_the_gates_is_refused() -> None:
    async def reading(body: _Text) -> Response:
        return Response(body.text)

    @Policy(KeyScope.READ)
    async def looking() -> Response:
        return Response()

    def made(path: str, endpoint: object, method: str) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_api_route(path, endpoint, methods=[method], response_class=Response)  # type: ignore[arg-type]
        return app

    with pytest.raises(RuntimeError, match="POST /a reads a body, but its Policy has none"):
        Policies(made("/a", Policy(KeyScope.CONTROL)(reading), "POST").routes)
    Policies(made("/a", Policy(KeyScope.CONTROL, body=JSON)(reading), "POST").routes)
    with pytest.raises(RuntimeError, match="begins with a parameter"):
        Policies(made("/{anything}", looking, "GET").routes)
    with pytest.raises(RuntimeError, match="no plain route"):
        Policies([Mount("/else", made("/a", looking, "GET"))])


def test_a_route_of_a_router_with_a_prefix_is_found_where_it_is() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    router = APIRouter(prefix="/face")
    router.add_api_route("/a/{id}", Policy(KeyScope.ADMIN)(_other), response_class=Response)
    take_over(app, [router])
    found = Policies(app.routes)
    assert found.find("GET", "/face/a/1").scope is KeyScope.ADMIN
    assert found.find("HEAD", "/face/a/1").scope is KeyScope.ADMIN
    assert found.find("GET", "/a/1").route == ""
    app.include_router(router)
    with pytest.raises(RuntimeError, match="no plain route"):
        Policies(app.routes)


async def _other() -> Response:
    return Response()


def test_no_gate_names_a_route_of_its_own() -> None:
    source = Path(chilly_movies.__file__).parent
    gates = (source / "api/gates").glob("*.py")
    others = ("api/policy.py", "api/wire/handover.py", "server/connections.py")
    beginnings = "|".join({policy.route.split("/")[1] for _, policy in policies()} - {""})
    for path in (*gates, *(source / other for other in others)):
        tree = ast.parse(path.read_text())
        named = [text for text in _texts(tree) if re.search(rf"/(?:{beginnings})\b", text)]
        assert named == [], path.name


def _texts(tree: ast.Module) -> Iterator[str]:
    """All texts but those that stand for themselves, which say what something is."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


async def test_what_no_route_answers_still_wants_a_key() -> None:
    async with server(api_secret=SECRET) as tried:
        for path in ("/nothing", "/healthx", "/docsx", "/x", "/download", "/openapi"):
            assert (await ask(tried.app, "GET", path)).status == 401, path
        for path, status in (("/health/", 307), ("/openapi.json/", 307), ("/docs/a/b", 404)):
            assert (await ask(tried.app, "GET", path)).status == status, path
        assert (await ask(tried.app, "POST", "/health")).status == 405

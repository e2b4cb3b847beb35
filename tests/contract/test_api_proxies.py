"""Who is believed about the address of this server, and what is made of it: links and names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin

import pytest

from chilly_movies.jobs.models import Status
from chilly_movies.net.public_url import PublicUrl, parse_public_url
from tests.contract.rig import reach
from tests.contract.web import SECRET, URN, Api, api, problem

pytestmark = pytest.mark.anyio

BEHIND: dict[str, Any] = {
    "proxies": ("127.0.0.1",),
    "allowed_hosts": ("films.example", "tv.example:8443"),
}
FILMS = parse_public_url("https://films.example/chilly")
BODY = {"sourceUrn": URN, "id": "a"}


async def film(web: Api) -> None:
    web.pace.flow()
    assert (await web.start("a")).status_code == 200
    await reach(web.downloader, "a", Status.COMPLETED)


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api(**BEHIND) as made:
        await film(made)
        yield made


async def playlist(web: Api, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await web.client.get("/stream/a.m3u8", headers={"host": "films.example", **named})
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()[-1]


SAID: list[tuple[dict[str, str], str]] = [
    ({}, "http://films.example/"),
    ({"x_forwarded_proto": "https"}, "https://films.example/"),
    ({"x_forwarded_proto": "HTTPS"}, "https://films.example/"),
    ({"forwarded": "proto=https"}, "https://films.example/"),
    ({"forwarded": 'for="[2001:db8::1]:99";Proto=https;by=_x'}, "https://films.example/"),
    ({"x_forwarded_proto": "http", "forwarded": "proto=https"}, "http://films.example/"),
    ({"x_forwarded_proto": "https, http"}, "http://films.example/"),
    ({"x_forwarded_proto": "https, http", "x_forwarded_for": "9.9.9.9, 127.0.0.1"},
     "https://films.example/"),
    ({"x_forwarded_proto": "javascript"}, "http://films.example/"),
    ({"x_forwarded_proto": ""}, "http://films.example/"),
    ({"x_forwarded_host": "tv.example:8443"}, "http://tv.example:8443/"),
    ({"forwarded": 'host="tv.example:8443";proto=https'}, "https://tv.example:8443/"),
    ({"host": "127.0.0.1:3000", "x_forwarded_host": "films.example:444"},
     "http://films.example:444/"),
    ({"x_forwarded_prefix": "/chilly"}, "http://films.example/chilly/"),
    ({"x_forwarded_prefix": "/chilly/"}, "http://films.example/chilly/"),
    ({"x_forwarded_prefix": "/a/b.c"}, "http://films.example/a/b.c/"),
    *(({"x_forwarded_prefix": bad}, "http://films.example/")
      for bad in ("chilly", "//evil.example", "/a b", "/a?x", "/\r", "/%0a", "/", "http://x/")),
]  # fmt: skip


async def test_links_are_those_of_the_address_that_a_known_proxy_was_asked_for(web: Api) -> None:
    for headers, link in SAID:
        assert await playlist(web, **headers) == f"{link}stream/a/0", headers


async def test_the_docs_are_found_below_a_path_that_nobody_tells_us(web: Api) -> None:
    for typed, leads_to in (("/", "/docs"), ("/docs/", "/docs")):
        answer = await web.client.get(typed)
        assert answer.status_code == 307
        below = urljoin(f"https://films.example/films{typed}", answer.headers["location"])
        assert below == f"https://films.example/films{leads_to}"


async def test_what_a_proxy_says_is_not_believed_of_anybody_else() -> None:
    told = {"x_forwarded_proto": "https", "x_forwarded_host": "evil.example",
            "x_forwarded_prefix": "/x", "forwarded": "proto=https"}  # fmt: skip
    for proxies in ((), ("10.0.0.1",)):
        async with api(**{**BEHIND, "proxies": proxies}) as web:
            await film(web)
            assert await playlist(web, **told) == "http://films.example/stream/a/0"


async def test_a_proxy_that_was_asked_for_a_foreign_name_is_refused_and_names_it(web: Api) -> None:
    headers = {"x-forwarded-host": "evil.example"}
    problem(await web.client.get("/downloads", headers=headers), 421, "misdirected_host")


async def test_a_page_that_rebound_its_name_gains_nothing_by_what_a_proxy_would_say(
    web: Api,
) -> None:
    headers = {"host": "evil.example", "x-forwarded-host": "localhost",
               "x-forwarded-proto": "https", "forwarded": "host=localhost"}  # fmt: skip
    problem(await web.client.get("/downloads", headers=headers), 421, "misdirected_host")


async def test_a_public_address_stands_in_all_links_whoever_asks() -> None:
    async with api(public_url=FILMS, api_secret=SECRET) as web:
        key = {"x-api-key": SECRET}
        web.client.headers.update(key)
        await film(web)
        assert (await playlist(web)).startswith("https://films.example/chilly/stream/a/0?expires=")
        made = (await web.client.get("/links?path=/stream/a/0")).json()
        assert made["href"] == f"https://films.example/chilly{made['url']}"
        assert made["url"].startswith("/stream/a/0?")
        del web.client.headers["x-api-key"]
        opened = await web.client.get(made["url"], headers={"range": "bytes=0-0"})
        assert opened.status_code == 206


async def test_a_public_address_makes_its_name_and_its_pages_known() -> None:
    async with api(public_url=parse_public_url("https://NAS.example:8443/")) as web:
        at_home = {"host": "nas.example:8443"}
        assert (await web.client.get("/downloads", headers=at_home)).status_code == 200
        page = {**at_home, "origin": "https://nas.example:8443"}
        assert (await web.post("/download/start", BODY, headers=page)).status_code == 200
        near = {"host": "nas.example:9", "origin": "https://nas.example:8443"}
        problem(await web.client.get("/downloads", headers=near), 421, "misdirected_host")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://films.example", PublicUrl("https", "films.example")),
        ("HTTPS://Films.Example:443//", PublicUrl("https", "films.example")),
        ("http://nas:80/", PublicUrl("http", "nas")),
        ("http://[fd00::5]:3000/a/B", PublicUrl("http", "[fd00::5]:3000", "/a/B")),
    ],
)  # fmt: skip
def test_a_public_address_is_read(text: str, url: PublicUrl) -> None:
    assert parse_public_url(text) == url
    assert parse_public_url(str(url)) == url


@pytest.mark.parametrize(
    "text",
    ["films.example", "ftp://x", "https://", "https://u@x", "https://x?y", "https://x/#y",
     "https://x y", "https://x:0", "https://x:99999", "https://x//y", "javascript:x", "https://x/\n"],
)  # fmt: skip
def test_what_is_no_address_is_no_public_one(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address like"):
        parse_public_url(text)


# --- names and pages of a server that is reached by a name ----------------------------------


@pytest.mark.parametrize("host", ["localhost:18080", "127.0.0.1:18080", "[::1]:18080"])
async def test_a_loopback_name_with_the_port_of_a_tunnel_can_be_added(host: str) -> None:
    async with api() as web:
        headers = {"host": host}
        problem(await web.client.get("/health", headers=headers), 421, "misdirected_host")
    for listed in (host, host.upper(), host.rpartition(":")[0]):
        async with api(allowed_hosts=(listed,)) as web:
            assert (await web.client.get("/health", headers=headers)).status_code == 200
            if listed.endswith("18080"):
                other = {"host": host.replace("18080", "18081")}
                problem(await web.client.get("/health", headers=other), 421, "misdirected_host")


@pytest.mark.parametrize(
    ("listed", "asked"),
    [("::1", "[::1]:9"), ("fd00::5", "[fd00::5]"), ("nas.local.", "nas.local:3000"),
     ("nas.local:80", "nas.local.:80")],
)  # fmt: skip
async def test_a_name_may_be_listed_in_any_spelling(listed: str, asked: str) -> None:
    async with api(allowed_hosts=(listed,)) as web:
        assert (await web.client.get("/health", headers={"host": asked})).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("nas.local:3000", "http://nas.local:3000", 200),
        ("nas.local", "https://nas.local", 200),  # a proxy that does not say so
        ("nas.local:3000", "http://nas.local:8080", 403), ("nas.local", "http://evil.example", 403),
        ("evil.example", "http://evil.example", 421), ("nas.local", "ftp://nas.local", 403),
    ],
)  # fmt: skip
async def test_the_servers_own_page_may_call_it_by_the_name_it_is_reached_by(
    host: str, origin: str, status: int
) -> None:
    async with api(allowed_hosts=("nas.local",)) as web:
        headers = {"host": host, "origin": origin}
        assert (await web.post("/download/start", BODY, headers=headers)).status_code == status


async def test_a_page_without_tls_is_not_the_servers_own_behind_a_proxy_with_it(web: Api) -> None:
    headers = {
        "host": "films.example",
        "origin": "http://films.example",
        "x-forwarded-proto": "https",
    }
    problem(await web.client.get("/downloads", headers=headers), 403, "forbidden_origin")


# --- players in pages -----------------------------------------------------------------------

PLAYERS: dict[str, Any] = {
    "a Chromecast": "range,accept-encoding,content-type",
    "an event stream with headers": "cache-control, last-event-id, x-api-key",
    "a player with a cache": "if-range, if-none-match, if-modified-since, pragma, range",
}


@pytest.mark.parametrize("player", PLAYERS)
async def test_a_player_in_a_page_may_send_what_players_send_and_read_what_they_read(
    player: str, web: Api
) -> None:
    origin = {"origin": "http://localhost:5173", "host": "localhost:3000"}
    asked = {"access-control-request-method": "GET",
             "access-control-request-headers": PLAYERS[player]}  # fmt: skip
    answer = await web.client.options("/stream/a/0", headers={**origin, **asked})
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {name.strip() for name in PLAYERS[player].split(",")} <= set(allowed)
    got = await web.client.get("/downloads", headers=origin)
    exposed = got.headers["access-control-expose-headers"].split(", ")
    assert {"accept-ranges", "content-length", "content-range", "content-disposition"} <= {*exposed}

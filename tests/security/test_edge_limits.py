"""What is counted per client, who a client is, and what a page from elsewhere gets."""

from __future__ import annotations

import asyncio
import ipaddress
import tracemalloc
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from chilly_movies.api.gates import bodies
from chilly_movies.api.gates.clients import client_of
from chilly_movies.api.gates.forwarded import ForwardedGate
from chilly_movies.api.gates.limits import MAX_CLIENTS, Rate, StreamGate, Windows
from tests.contract.web import SECRET, api, problem
from tests.security.asgi import policies

pytestmark = pytest.mark.anyio


# --- rates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/minute", (60, 60)), ("1/second", (1, 1)), ("2/hour", (2, 3_600)), ("3/day", (3, 86_400))],
)
def test_a_rate_is_an_amount_and_a_unit_of_time(text: str, rate: tuple[int, int]) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["60", "0/minute", "-1/minute", "60/fortnight", "60/minute;1/day", "²/day", "/day", ""]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate like 60/minute"):
        Rate.parse(text)


def test_however_many_addresses_come_they_cost_half_a_megabyte() -> None:
    limit, paths = Rate.parse("60/minute"), ("/download/start", "/download/cancel")
    tracemalloc.start()
    try:
        windows = Windows()
        for number in range(20_000):
            windows.hit(limit, (paths[number % 2], f"2001:db8:{number:x}::/64"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 500_000
    for number in range(20_000, 150_000):
        windows.hit(limit, (paths[number % 2], f"2001:db8:{number:x}::/64"))
    assert len(windows) == MAX_CLIENTS


def test_thousands_of_addresses_are_each_counted_for_themselves() -> None:
    windows, limit = Windows(), Rate.parse("2/minute")
    clients = [("/download/start", f"10.0.{number >> 8}.{number & 255}") for number in range(2000)]
    for left in (1, 0):
        assert all(windows.hit(limit, client)[:2] == (True, left) for client in clients)
    assert not any(windows.hit(limit, client)[0] for client in clients)


def test_a_window_ends_and_begins_anew_whatever_the_wall_clock_does() -> None:
    now = 100.0
    windows, limit = Windows(lambda: now), Rate.parse("2/minute")
    hits = [windows.hit(limit, ("/", "a")) for _ in range(3)]
    assert hits == [(True, 1, 60), (True, 0, 60), (False, 0, 60)]
    assert windows.hit(limit, ("/", "b")) == (True, 1, 60)
    now += 60
    assert windows.hit(limit, ("/", "a")) == (True, 1, 60)


def test_when_there_is_no_room_the_oldest_window_is_forgotten() -> None:
    windows, limit = Windows(size=2), Rate.parse("1/minute")
    for client in ("a", "b", "c"):
        assert windows.hit(limit, ("/", client))[0]
    assert not windows.hit(limit, ("/", "b"))[0]
    assert not windows.hit(limit, ("/", "c"))[0]
    assert windows.hit(limit, ("/", "a"))[0]
    assert len(windows) == 2


# --- who asks -------------------------------------------------------------------------------

PROXY = "10.1.2.3"


async def client_behind(proxies: tuple[str, ...], peer: str, *forwarded: str) -> str:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(client_of(scope))

    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope: Scope = {"type": "http", "client": (peer, 1), "headers": headers}
    await ForwardedGate(app, proxies)(scope, _nothing, _nowhere)
    return seen[0]


async def _nothing() -> Message:
    raise AssertionError("nobody reads")


async def _nowhere(_message: Message) -> None:
    raise AssertionError("nobody writes")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (PROXY, ["9.9.9.9"], "9.9.9.9"),
        (PROXY, ["1.1.1.1, 9.9.9.9"], "9.9.9.9"),
        (PROXY, ["1.1.1.1", "9.9.9.9"], "9.9.9.9"),
        (PROXY, ["9.9.9.9, 10.1.2.4"], "9.9.9.9"),
        (PROXY, ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        (PROXY, ["[2001:db8::1]"], "2001:db8::/64"),
        (PROXY, [], PROXY), (PROXY, [""], PROXY), (PROXY, ["evil"], PROXY),
        (PROXY, ["9.9.9.9, evil"], PROXY), (PROXY, ["9.9.9.9:80"], PROXY),
        (PROXY, ["1.1.1.1\xe9"], PROXY), (PROXY, ["10.1.2.9"], "10.1.2.9"),
        ("::ffff:10.1.2.3", ["9.9.9.9"], "9.9.9.9"),
        ("127.0.0.1", ["9.9.9.9"], "127.0.0.1"), ("192.168.1.1", ["9.9.9.9"], "192.168.1.1"),
    ],
)  # fmt: skip
async def test_only_a_known_proxy_is_believed_and_only_its_own_entry(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert await client_behind(("10.1.2.0/24",), peer, *forwarded) == client


async def test_without_known_proxies_nobody_is_believed() -> None:
    assert await client_behind((), PROXY, "9.9.9.9") == PROXY


async def test_an_ipv4_address_in_ipv6_clothes_is_the_same_client() -> None:
    assert await client_behind((), "::ffff:1.2.3.4") == "1.2.3.4"


async def test_behind_a_proxy_clients_are_counted_apart_and_cannot_lie() -> None:
    settings: dict[str, Any] = {"proxies": ("127.0.0.1",), "start_limit": "1/minute"}
    async with api(**settings) as web:

        async def start(forwarded: str) -> int:
            body = {"id": "a", "sourceType": "http", "sourceUrn": "https://films.example/a"}
            headers = {"x-forwarded-for": forwarded}
            return (await web.post("/download/start", body, headers=headers)).status_code

        assert await start("1.1.1.1") == 200
        assert await start("1.1.1.1") == 429
        assert await start("8.8.8.8, 1.1.1.1") == 429  # what the client invents stands in front
        assert await start("2.2.2.2") == 200


# --- streams --------------------------------------------------------------------------------


async def test_each_client_has_a_bounded_number_of_streams_and_gets_them_back() -> None:
    leave = asyncio.Event()
    answered: list[int] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        answered.append(200)
        if scope["path"] != "/health":
            await leave.wait()

    gate = StreamGate(app, policies(), per_client=3)

    async def ask(client: str, path: str = "/events") -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        scope: Scope = {"type": "http", "method": "GET", "path": path, "client": (client, 1),
                        "headers": []}  # fmt: skip
        await gate(scope, _nothing, send)

    tasks = [asyncio.create_task(ask("1.1.1.1", path)) for path in
             ("/events", "/events/a", "/stream/a/0")]  # fmt: skip
    await asyncio.sleep(0)
    await ask("1.1.1.1")
    assert answered == [200, 200, 200, 429]
    await ask("1.1.1.1", "/health")
    tasks += [asyncio.create_task(ask(f"2.2.2.{n}")) for n in range(21)]
    await asyncio.sleep(0)
    await ask("3.3.3.3")
    assert answered.count(429) == 2  # all together have a limit, too
    leave.set()
    await asyncio.gather(*tasks)
    leave.clear()
    again = asyncio.create_task(ask("1.1.1.1"))
    await asyncio.sleep(0)
    assert answered[-1] == 200
    leave.set()
    await again


# --- bodies ---------------------------------------------------------------------------------


async def test_a_body_that_does_not_come_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "_JSON_SECONDS", 0.05)
    gave_up: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        gave_up.append(message)

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("the handler was entered")

    scope: Scope = {"type": "http", "method": "POST", "path": "/download/start",
                    "headers": [(b"content-type", b"application/json")]}  # fmt: skip
    await bodies.BodyGate(app, policies())(scope, never, send)
    assert gave_up[0]["status"] == 408
    assert (b"connection", b"close") in gave_up[0]["headers"]


async def test_a_body_is_no_larger_than_its_route_needs() -> None:
    async with api() as web:
        body = b'{"id":"a"' + b" " * 16_384 + b"}"
        headers = {"content-type": "application/json"}
        for verb in ("pause", "resume", "cancel"):
            answer = await web.client.post(f"/download/{verb}", content=body, headers=headers)
            problem(answer, 413, "body_too_large")


# --- pages from elsewhere -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["no-cors", "cors", "same-origin", "websocket"])
async def test_an_image_script_or_film_tag_of_a_foreign_page_gets_nothing(mode: str) -> None:
    async with api() as web:
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode}
        for path in ("/downloads", "/events", "/stream/a/0", "/docs", "/openapi.json", "/health"):
            problem(await web.client.get(path, headers=headers), 403, "forbidden_origin")


@pytest.mark.parametrize("into", ["iframe", "frame", "object", "embed", "fencedframe"])
async def test_a_frame_of_a_foreign_page_gets_nothing_and_takes_no_stream(into: str) -> None:
    async with api() as web:
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate",
                   "sec-fetch-dest": into}  # fmt: skip
        for path in ("/downloads", "/events", "/docs", "/health"):
            problem(await web.client.get(path, headers=headers), 403, "forbidden_origin")


async def test_a_link_that_the_user_follows_from_a_foreign_page_still_works() -> None:
    async with api() as web:
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert (await web.client.get("/docs", headers=headers)).status_code == 200
        headers["sec-fetch-dest"] = "document"
        assert (await web.client.get("/docs", headers=headers)).status_code == 200
        body = {"id": "a"}
        answer = await web.post("/download/cancel", body, headers=headers)
        problem(answer, 403, "forbidden_origin")


async def test_every_answer_says_who_may_embed_it_and_films_may_be_by_pages_of_this_machine() -> (
    None
):
    async with api(api_secret=SECRET) as web:
        for path, expected in (("/downloads", "same-origin"), ("/health", "same-origin"),
                               ("/docs", "same-origin"), ("/nothing", "same-origin"),
                               ("/stream/a/0", "same-site"),
                               ("/subtitles/a/0", "same-site")):  # fmt: skip
            answer = await web.client.get(path)
            assert answer.headers["cross-origin-resource-policy"] == expected
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-private-network" not in answer.headers


def test_an_ipv6_client_is_told_by_its_network() -> None:
    assert ipaddress.ip_network("2001:db8::/64").num_addresses == 2**64

"""The gates in front of every route there is: whatever is added to the table is tried, too."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.contract.web import CONTRACT_GROUP, SECRET
from tests.security.asgi import Answer, Server, ask, mutating, routes, server, some_pairs, with_body

pytestmark = [pytest.mark.anyio, CONTRACT_GROUP]

KEY = (b"x-api-key", SECRET.encode())
JSON = (b"content-type", b"application/json")


@pytest.fixture(autouse=True, scope="module")
def quiet_logs() -> Iterator[None]:
    """A line for each of tens of thousands of requests would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


# --- A1: hosts ------------------------------------------------------------------------------

_EVIL = (
    "evil.example", "evil.example:3000", "EVIL.EXAMPLE", "localhost.evil.example",
    "localhost.evil.example:3000", "evil.example.localhost", "127.0.0.1.evil.example",
    "127.0.0.1.nip.io", "127.0.0.1.nip.io:3000", "127-0-0-1.sslip.io", "localtest.me",
    "lvh.me:3000", "rebind.it", "7f000001.c0a80001.rbndr.us", "xlocalhost", "localhostx",
    "notlocalhost:3000", "my-localhost", "local_host", "localhost.local", "localhost.localdomain",
    "ip6-localhost", "ip6-loopback", "0.0.0.0", "0.0.0.0:3000", "0", "0:3000", "127.1", "127.0.1",
    "127.0.0.2", "127.0.0.1.", "127.0.0.01", "127.000.000.001", "2130706433", "0x7f000001",
    "0x7f.1", "0177.0.0.1", "017700000001", "[::]", "[::]:3000", "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "[::1", "::1", "::1:3000", "[localhost]", "[127.0.0.1]",
    "192.168.1.5", "10.0.0.1", "169.254.169.254", "localhost..", "localhost.:4000", "localhost:",
    "localhost:x", "localhost:-1", "localhost:4000", "localhost:80", "127.0.0.1:443",
    "[::1]:3001", "localhost:3000:3000", "localhost:003000000", "localhost@evil.example",
    "evil.example@localhost", "user:pass@localhost:3000", "evil.example#localhost",
    "evil.example/localhost", "evil.example\\localhost", "evil.example?localhost",
    "localhost/../x", "localhost evil.example", "localhost,evil.example", "localhost;evil",
    "evil.example, localhost", "http://localhost", "http://localhost:3000/", "//localhost",
    "localhost%00", "localhost%2eevil.example", "*", "*.localhost", "null", "", " ", ":", ":3000",
    "localh\u00f6st", "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1", "localhost\t", "\tlocalhost", "localhost\r", "localhost\0",
    "-localhost", "a" * 300, "localhost:" + "9" * 300,
)  # fmt: skip
HOSTS: list[list[bytes]] = [
    *[[name.encode("utf-8")] for name in _EVIL],
    [], [b"localhost:3000", b"localhost:3000"], [b"localhost:3000", b"evil.example"],
    [b"evil.example", b"localhost:3000"], [b"", b"localhost"], [b"\xff\xfelocalhost"],
]  # fmt: skip
"""Each as the Host fields of one request: none, one, or two."""


async def test_no_route_is_entered_under_a_hostile_host_not_even_with_the_key() -> None:
    assert len(HOSTS) >= 60
    async with server(api_secret=SECRET) as tried:
        before = await tried.state()
        for (method, path), values in some_pairs(routes(), HOSTS, 7):
            fields = [*[(b"host", value) for value in values], KEY, JSON]
            answer = await ask(tried.app, method, path, fields, b'{"id":"a"}', host=None)
            assert answer.status == 421, (method, path, values)
        assert await tried.state() == before


# --- A2: origins ----------------------------------------------------------------------------

_FROM = b"http://evil.example"
MIXES: list[list[tuple[bytes, bytes]]] = [
    [(b"origin", _FROM)],
    [(b"origin", b"null")],
    [(b"origin", b"http://localhost.evil.example")],
    [(b"origin", b"")],
    [(b"origin", b"http://localhost:3000"), (b"origin", _FROM)],
    [(b"origin", _FROM), (b"sec-fetch-site", b"same-origin")],
    [(b"origin", _FROM), (b"referer", b"http://localhost:3000/docs")],
    [(b"origin", b"null"), (b"sec-fetch-site", b"none"), (b"sec-fetch-mode", b"navigate")],
    [(b"sec-fetch-site", b"cross-site")],
    [(b"sec-fetch-site", b"same-site")],
    [(b"sec-fetch-site", b"Cross-Site"), (b"sec-fetch-mode", b"navigate"),
     (b"sec-fetch-dest", b"document")],
    [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"cross-site")],
    [(b"sec-fetch-site", b"cross-site"), (b"referer", b"http://localhost:3000/")],
    [(b"origin", b"http://localhost:3000@evil.example")],
    [(b"origin", b"https://evil.example"), (b"x-forwarded-host", b"localhost")],
    [(b"origin", b"http://127.0.0.1.nip.io:3000")],
]  # fmt: skip


async def test_nothing_that_changes_anything_can_be_asked_from_elsewhere() -> None:
    assert len(MIXES) >= 12
    async with server(api_secret=SECRET) as tried:
        before = await tried.state()
        for (method, path), mix in itertools.product(mutating(), MIXES):
            answer = await ask(tried.app, method, path, [*mix, KEY, JSON], b'{"id":"a"}')
            assert answer.status == 403, (method, path, mix)
            assert "access-control-allow-origin" not in answer.headers
        assert await tried.state() == before
        for method, path in mutating():  # the same without the mix gets past the gate
            answer = await ask(tried.app, method, path, [KEY, JSON], b"{}")
            assert answer.status != 403, (method, path)


# --- A3: content types ----------------------------------------------------------------------

TYPES = (None, b"text/plain", b"text/plain;charset=UTF-8", b"application/x-www-form-urlencoded",
         b"", b"text/json", b"application/octet-stream", b"application/jsonx", b"*/*",
         b"application/csp-report", b"text/ping", b"application/json, text/plain")  # fmt: skip
"""What a browser sends without asking first, and what stands close to JSON."""


async def test_every_route_with_a_body_wants_it_to_be_json() -> None:
    async with server() as tried:
        before = await tried.state()
        for (method, path), kind in itertools.product(with_body(), TYPES):
            fields = [] if kind is None else [(b"content-type", kind)]
            answer = await ask(tried.app, method, path, fields, b'{"id":"a","folder":"x"}')
            assert answer.status == 415, (method, path, kind, answer.body)
        assert await tried.state() == before


def test_the_routes_with_a_body_are_those_we_think_of() -> None:
    assert {path for _, path in with_body()} >= {
        "/download/start", "/download/cancel", "/downloads/a/files", "/downloads/a/move",
        "/torrents/create", "/torrents/inspect",
    }  # fmt: skip


# --- A5: what every answer says -------------------------------------------------------------


def assert_closed(answer: Answer, what: object) -> None:
    """The answer lets no page read or embed it."""
    assert answer.status, what
    assert not {name for name in answer.headers if name.startswith("access-control-")}, what
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy, what
    assert "default-src 'self'" in policy, what
    assert answer.headers["x-content-type-options"] == "nosniff", what
    assert answer.headers["x-frame-options"] == "DENY", what
    assert answer.headers["cross-origin-resource-policy"] in ("same-origin", "same-site"), what
    assert answer.headers["referrer-policy"] == "no-referrer", what


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "with a secret"])
async def test_every_answer_of_every_route_is_closed_to_pages_by_default(
    secret: str | None,
) -> None:
    probe = (b"access-control-request-private-network", b"true")
    async with server(api_secret=secret, start_limit="1/minute") as tried:
        for method, path in routes():
            for fields, host in (
                ([], b"localhost:3000"), ([probe], b"localhost:3000"), ([], b"evil.example"),
                ([(b"origin", _FROM), probe], b"localhost:3000"), ([KEY, JSON], b"localhost:3000"),
                ([(b"origin", _FROM), (b"access-control-request-method", b"POST"), probe],
                 b"localhost:3000"),
            ):  # fmt: skip
                answer = await ask(tried.app, method, path, fields, b"{}", host=host)
                assert_closed(answer, (method, path, fields, host))


# --- A7: keys -------------------------------------------------------------------------------

_GOOD = SECRET.encode()
_FOR_ALL = re.compile(r"/($|health|docs|openapi\.)")


def _wrong_keys() -> Iterator[tuple[list[tuple[bytes, bytes]], str]]:
    """Fields and query of requests that must not get in."""
    for key in (b"", b" ", b"wrong", _GOOD[:-1], _GOOD[1:], _GOOD + b"x", _GOOD.upper(),
                _GOOD * 2, b"x" * 10_000, "ключ".encode(), b"\xff\xfe\x00", b"\0", b"None", b"null",
                b"*", b"' OR 1=1 --", _GOOD + b"\0", b'"' + _GOOD + b'"'):  # fmt: skip
        yield [(b"x-api-key", key)], ""
        yield [(b"authorization", b"Bearer " + key)], ""
    for query in ("api_key=", "api_key=wrong", f"api_key={SECRET}x", f"apikey={SECRET}",
                  "api_key=%FF%FE", "api_key=%00", f"api_key={SECRET}&api_key=wrong",
                  f"api_key%5B%5D={SECRET}", "api_key=" + "x" * 10_000, f"api_key[]={SECRET}",
                  "expires=9999999999&sig=x", "expires=&sig=", "sig=%FF"):  # fmt: skip
        yield [], query
    yield [], ""
    yield [(b"x-api-key", _GOOD)], "api_key=wrong"
    yield [(b"x-api-key", b"wrong")], f"api_key={SECRET}"
    yield [(b"x-api-key", _GOOD), (b"x-api-key", b"wrong")], ""
    yield [(b"authorization", b"Basic " + _GOOD)], ""
    yield [(b"authorization", _GOOD)], ""
    yield [(b"cookie", b"api_key=" + _GOOD)], ""
    yield [(b"x-api-key", b"wrong"), (b"authorization", b"Bearer " + _GOOD)], ""


async def test_no_wrong_key_opens_any_route_or_breaks_it() -> None:
    wrong = list(_wrong_keys())
    async with server(api_secret=SECRET) as tried:
        before = await tried.state()
        guarded = [one for one in routes() if not _FOR_ALL.match(one[1])]
        for (method, path), (fields, query) in some_pairs(guarded, wrong, 5):
            target = f"{path}?{query}" if query else path
            answer = await ask(tried.app, method, target, [*fields, JSON], b'{"id":"a"}')
            assert answer.status == 401, (method, path, fields, query)
        assert await tried.state() == before


# --- A11: JSON ------------------------------------------------------------------------------


def _documents() -> Iterator[bytes]:
    """Hostile JSON for any body: broken, bombs, and values of every wrong kind."""
    yield from (
        b"", b" ", b"{", b"}", b"[", b"]", b'"', b"{}{}", b"{} x", b"nul", b"null", b"true", b"0",
        b'"text"', b"[]", b"[{}]", b"[[]]", b"{'id': 'a'}", b'{"id": NaN}', b'{"id": Infinity}',
        b'{"id": -Infinity}', b'{"id": 1e400}', b'{"id": -1e400}', b'{"id": 1' + b"0" * 5000 + b"}",
        b'{"id": 9007199254740993}', b'{"id": "a", "id": "b"}', b'{"id": "\\ud800"}',
        b'{"\\udfff": 1}', b'{"id": "\xff"}', b'{"id": "a\x00"}', '{"id": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf{}", b"[" * 21 + b"]" * 21, b'{"a":' * 21 + b"1" + b"}" * 21,
        b"[" * 200_000, b"[" * 5000 + b"]" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"id": "a",}', b'{"id": 01}', b'{"id": .5}', b'{"id": 0x10}', b"{/**/}", b'{"id": "\n"}',
        b'{"id": ' + b"-" * 1000 + b"1}", b'{"' + b"k" * 20_000 + b'": 1}',
    )  # fmt: skip
    wrong: tuple[Any, ...] = (
        None, True, 0, -1, 1.5, "", ".", "..", "../x", "a/b", "a\\b", "\u0000", "\u202e",
        "%2e", "x" * 129, [], [[]], {}, {"id": "a"}, ["a"], "a b", "é", "\U0001f3ac",
        "con", "a\n",
    )  # fmt: skip
    for value in wrong:
        for name in ("id", "files"):
            yield json.dumps({name: value}).encode()
    folders: tuple[Any, ...] = (None, True, 0, [], {}, "..", "../x", "/x", "a\\b", "\0", "\u202e",
                                "x" * 9999)  # fmt: skip
    for folder in folders:
        yield json.dumps({"folder": folder}).encode()
    yield json.dumps({"folder": "../../etc"}).encode()
    yield json.dumps({"files": [{"index": -1, "priority": 99}] * 1000}).encode()
    yield json.dumps({"files": [{"index": 2**53 - 1, "priority": "high"}]}).encode()


async def test_no_json_whatever_is_answered_with_5xx_or_does_harm() -> None:
    documents = [d for d in _documents() if d != b'{"id": "a"}']
    assert len(documents) >= 60
    async with server() as tried:
        for (method, path), body in some_pairs(with_body(), documents, 3):
            answer = await ask(tried.app, method, path, [JSON], body)
            if method == "PATCH" and answer.status == 200:  # nothing in it is a member
                continue
            assert 400 <= answer.status < 500, (method, path, body[:80], answer.body[:200])
            assert answer.headers["content-type"] == "application/problem+json"
            told = json.loads(answer.body)
            assert told["status"] == answer.status
        assert await _only_a(tried)


async def test_a_body_without_end_is_cut_off_on_every_route_that_reads_one() -> None:
    async with server() as tried:
        for method, path in with_body():
            answer = await ask(tried.app, method, path, [JSON], b" " * (2 << 20))
            assert answer.status == 413, (method, path)


async def _only_a(tried: Server) -> bool:
    return [job.id for job in await tried.downloader.list()] == ["a"]

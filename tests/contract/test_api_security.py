"""Who may call: host and origin, key, rate limit, body - in this order."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from chilly_movies.app import create_app
from chilly_movies.mock import MockDownloader
from tests.contract.web import SECRET, URN, Api, api, problem

pytestmark = pytest.mark.anyio

BODY = {"sourceUrn": URN, "id": "a"}


async def get(web: Api, path: str = "/downloads", **headers: str) -> httpx2.Response:
    return await web.client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


# --- the key --------------------------------------------------------------------------------


async def test_without_a_secret_everybody_may_call() -> None:
    async with api() as web:
        assert (await get(web)).status_code == 200
        assert (await get(web, x_api_key="anything")).status_code == 200


async def test_with_a_secret_a_key_is_asked_for() -> None:
    async with api(api_secret=SECRET) as web:
        answer = await get(web)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "request_of",
    [
        {"headers": {"x-api-key": SECRET}}, {"headers": {"X-API-Key": SECRET}},
        {"headers": {"authorization": f"Bearer {SECRET}"}},
        {"headers": {"authorization": f"bearer  {SECRET}"}}, {"params": {"api_key": SECRET}},
        {"headers": {"x-api-key": SECRET}, "params": {"api_key": SECRET}},
        {"headers": {"x-api-key": SECRET, "authorization": "Basic dTpw"}},
    ],
)  # fmt: skip
async def test_the_key_is_taken_wherever_the_contract_says(request_of: dict[str, Any]) -> None:
    async with api(api_secret=SECRET) as web:
        assert (await web.client.get("/downloads", **request_of)).status_code == 200


@pytest.mark.parametrize(
    "request_of",
    [
        {"headers": {"x-api-key": "wrong"}}, {"headers": {"x-api-key": ""}},
        {"headers": {"x-api-key": SECRET + "x"}}, {"headers": {"x-api-key": SECRET.upper()}},
        {"headers": {"authorization": SECRET}}, {"headers": {"authorization": f"Basic {SECRET}"}},
        {"params": {"api_key": ""}}, {"params": {"apiKey": SECRET}},
        {"headers": {"x-api-key": SECRET}, "params": {"api_key": "wrong"}},
        {"headers": {"x-api-key": "wrong"}, "params": {"api_key": SECRET}},
        {"params": [("api_key", SECRET), ("api_key", "wrong")]},
        {"headers": [("x-api-key", SECRET), ("x-api-key", "wrong")]},
        {"headers": {"cookie": f"api_key={SECRET}"}},
    ],
)  # fmt: skip
async def test_a_wrong_key_is_refused_and_so_are_two_that_differ(
    request_of: dict[str, Any],
) -> None:
    async with api(api_secret=SECRET) as web:
        answer = await web.client.get("/downloads", **request_of)
        problem(answer, 401, "unauthorized")
        assert SECRET not in answer.text


async def test_only_health_and_the_docs_need_no_key() -> None:
    async with api(api_secret=SECRET) as web:
        for path in ("/health", "/docs", "/docs/start.js", "/openapi.json", "/openapi.yaml"):
            assert (await web.client.get(path)).status_code == 200
        for path in ("/downloads", "/openapi", "/openapi.jso", "/events", "/nothing",
                     "/healthy", "/docsx", "/download/status/a"):  # fmt: skip
            problem(await web.client.get(path), 401, "unauthorized")
        for verb in ("start", "pause", "resume", "cancel"):
            problem(await web.post(f"/download/{verb}", BODY), 401, "unauthorized")
        problem(await web.client.delete("/downloads/a"), 401, "unauthorized")


# --- rate limits ----------------------------------------------------------------------------


async def test_the_fourth_of_three_starts_is_too_many_and_says_when_to_come_back() -> None:
    async with api(start_limit="3/minute") as web:
        left = []
        for _ in range(3):
            answer = await web.start("a")
            assert answer.status_code == 200
            assert "retry-after" not in answer.headers
            left.append(answer.headers["ratelimit"].split(";")[1])
        answer = await web.start("a")
        body = problem(answer, 429, "too_many_requests")
        assert body["title"] == "Too Many Requests"
        assert body["detail"].startswith("Too many requests")
        assert left == ["r=2", "r=1", "r=0"]
        assert answer.headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_start_and_cancel_are_counted_apart_and_nothing_else_is() -> None:
    async with api(start_limit="1/minute", cancel_limit="1/minute") as web:
        assert (await web.start("a")).status_code == 200
        assert (await web.post("/download/cancel", {"id": "a"})).status_code == 200
        assert (await web.start("b")).status_code == 429
        assert (await web.post("/download/cancel", {"id": "a"})).status_code == 429
        for _ in range(5):
            assert (await web.post("/download/pause", {"id": "x"})).status_code == 404
            assert (await web.client.get("/download/status/a")).status_code == 200
            assert (await web.client.get("/download/start")).status_code == 405


async def test_forwarded_addresses_are_not_believed() -> None:
    async with api(start_limit="1/minute") as web:
        assert (await web.start("a")).status_code == 200
        headers = {"x-forwarded-for": "9.9.9.9", "forwarded": "for=9.9.9.9"}
        answer = await web.post("/download/start", BODY, headers=headers)
        problem(answer, 429, "too_many_requests")


async def test_clients_are_told_apart_ipv6_ones_by_their_network() -> None:
    async with api(client_address="2001:db8::1", start_limit="1/minute") as web:
        app = web.client._transport.app  # type: ignore[attr-defined]

        async def start_from(address: str) -> int:
            transport = httpx2.ASGITransport(app, client=(address, 1))
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return (await client.post("/download/start", json=BODY)).status_code

        assert (await web.start("a")).status_code == 200
        assert await start_from("2001:db8::ffff") == 429
        assert await start_from("2001:db8:0:1::1") == 200
        assert await start_from("127.0.0.1") == 200
        assert await start_from("127.0.0.2") == 200


# --- the order ------------------------------------------------------------------------------


async def test_the_checks_come_in_the_order_of_the_contract() -> None:
    async with api(api_secret=SECRET, start_limit="2/minute") as web:
        key = {"x-api-key": SECRET}

        async def start(body: bytes, **headers: str) -> httpx2.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await web.client.post("/download/start", content=body, headers=named)

        problem(await start(b"{", host="evil.example"), 421, "misdirected_host")
        problem(await start(b"{", origin="http://evil.example"), 403, "forbidden_origin")
        problem(await start(b"{"), 401, "unauthorized")
        problem(await start(b"{", **key), 415, "unsupported_media_type")
        problem(await start(b"{", content_type="application/json", **key), 422, "invalid_request")
        problem(await start(b"{", **key), 429, "too_many_requests")
        problem(await start(b"{"), 401, "unauthorized")


async def test_the_body_is_checked_before_the_job_is_looked_for() -> None:
    async with api() as web:
        problem(await web.post("/download/pause", {"id": 5}), 422, "invalid_request")


# --- host and origin ------------------------------------------------------------------------

HOSTS = ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "localhost", "LOCALHOST:3000",
         "127.0.0.1", "localhost.", "localhost.:3000"]  # fmt: skip
FOREIGN_HOSTS = [
    "evil.example", "evil.example:3000", "localhost.evil.example", "evil.example.localhost",
    "localhost:4000", "127.0.0.1:80", "127.0.0.2", "0.0.0.0:3000", "[::]:3000", "localhost..",
    "127.0.0.1.", "localhost:", "localhost:x", "localhost:3000:3000", "localhost@evil.example",
    "192.168.1.5",
    "evil.example#localhost", "localhost/../x", "", " ", "127.1", "2130706433", "local_host",
    "localhost:003000000",
]  # fmt: skip
ORIGINS = ["http://localhost", "http://localhost:5173", "http://127.0.0.1:8080",
           "https://localhost:3000", "http://[::1]:3000", "HTTP://LOCALHOST:3000",
           "http://localhost.:3000"]  # fmt: skip
FOREIGN_ORIGINS = [
    "null", "http://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example",
    "http://evil.example:3000", "http://localhost@evil.example", "file://", "ftp://localhost",
    "chrome-extension://abc", "http://localhost:3000/path", "http://192.168.1.5", "localhost",
    "http://localhost:99999999", "http://user@localhost", "http://localhost?x", "http://localhost#x",
    "http://localhost\\.evil.example", "http://[::1].evil.example", "http://0.0.0.0:3000", "*", " ",
    "http://127.1", "http://localhost:x", "http://", "http://localhost http://evil.example",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_our_own_names_are_served(host: str) -> None:
    async with api() as web:
        assert (await get(web, host=host)).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_a_foreign_or_doubtful_host_is_refused_on_every_route(host: str) -> None:
    async with api() as web:
        for path in ("/downloads", "/health", "/docs", "/events"):
            problem(await get(web, path, host=host), 421, "misdirected_host")


async def test_two_hosts_are_one_too_many() -> None:
    async with api() as web:
        headers = [("host", "localhost:3000"), ("host", "localhost:3000")]
        answer = await web.client.get("/downloads", headers=headers)
        problem(answer, 421, "misdirected_host")


async def test_names_can_be_added_with_or_without_a_port() -> None:
    async with api(allowed_hosts=("films.example", "tv.example:8443")) as web:
        for host in ("films.example", "Films.Example:3000", "tv.example:8443"):
            assert (await get(web, host=host)).status_code == 200
        for host in ("tv.example", "tv.example:1", "a.films.example"):
            problem(await get(web, host=host), 421, "misdirected_host")


@pytest.mark.parametrize("origin", ORIGINS)
async def test_pages_of_this_machine_may_call_and_read(origin: str) -> None:
    async with api() as web:
        answer = await get(web, origin=origin)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin.lower()
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_pages_from_elsewhere_may_neither_call_nor_read(origin: str) -> None:
    async with api() as web:
        answers = [
            await get(web, origin=origin),
            await web.post("/download/start", BODY, headers={"origin": origin}),
            await get(web, host="evil.example", origin=origin),
        ]
        assert [answer.status_code for answer in answers] == [403, 403, 421]
        assert all("access-control-allow-origin" not in answer.headers for answer in answers)
        assert list(await web.downloader.list()) == []


async def test_two_origins_are_one_too_many() -> None:
    async with api() as web:
        headers = [("origin", "http://localhost"), ("origin", "http://localhost")]
        problem(await web.client.get("/downloads", headers=headers), 403, "forbidden_origin")


async def test_origins_can_be_added() -> None:
    async with api(allowed_origins=("https://Films.example",)) as web:
        assert (await get(web, origin="https://films.example")).status_code == 200
        for origin in (
            "http://films.example",
            "https://films.example:444",
            "https://a.films.example",
        ):
            problem(await get(web, origin=origin), 403, "forbidden_origin")


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ("app://chilly", "app://chilly"),
        ("App://Chilly/", "app://chilly"),
        ("tauri://localhost", "tauri://localhost"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop",) * 2,
        ("moz-extension://a7d2c1f0-0000-4000-8000-000000000000",) * 2,
        ("file://", "file://"),
        ("https://films.example/", "https://films.example"),
        ("https://films.example:443", "https://films.example"),
        ("http://films.example:80", "http://films.example"),
        ("http://[fd00::1]:8080", "http://[fd00::1]:8080"),
    ],
)
async def test_an_origin_is_let_in_as_browsers_send_it_whatever_its_scheme(
    named: str, sent: str
) -> None:
    async with api() as web:
        problem(await get(web, origin=sent), 403, "forbidden_origin")
    async with api(allowed_origins=(named,)) as web:
        answer = await get(web, origin=sent)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, sent)
        assert (await preflight(web, sent)).headers["access-control-allow-origin"] == sent
        for other in (f"{sent}x", f"x{sent}", "null", "file:///home/a.html", "app://evil"):
            problem(await get(web, origin=other), 403, "forbidden_origin")


async def test_no_setting_lets_pages_without_an_origin_in() -> None:
    for origin in ("null", "NULL", "*", "app://", "data:", "https://films.example/path"):
        with pytest.raises(ValueError, match=r"must (be origins|not hold null)"):
            create_app(MockDownloader(), allowed_origins=(origin,))
    async with api(api_secret=SECRET) as web:
        answer = await get(web, origin="null", x_api_key=SECRET)
        assert "scheme of its own" in problem(answer, 403, "forbidden_origin")["detail"]


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403),
                                              ("same-origin", 200), ("none", 200)])  # fmt: skip
async def test_a_post_without_origin_is_judged_by_where_the_browser_says_it_comes_from(
    site: str, status: int
) -> None:
    async with api() as web:
        answer = await web.post("/download/start", BODY, headers={"sec-fetch-site": site})
        assert answer.status_code == status
        assert (await get(web, sec_fetch_site=site)).status_code == 200


async def preflight(web: Api, origin: str) -> httpx2.Response:
    headers = {"origin": origin, "access-control-request-method": "POST",
               "access-control-request-headers": "x-api-key, content-type"}  # fmt: skip
    return await web.client.options("/download/start", headers=headers)


async def test_a_preflight_of_a_page_of_ours_is_answered_without_a_key() -> None:
    async with api(api_secret=SECRET) as web:
        answer = await preflight(web, "http://localhost:5173")
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
        allowed = answer.headers["access-control-allow-headers"]
        for name in ("content-type", "x-api-key", "authorization", "last-event-id", "range"):
            assert name in allowed
        for method in ("GET", "POST", "DELETE"):
            assert method in answer.headers["access-control-allow-methods"]


async def test_a_preflight_from_elsewhere_is_refused() -> None:
    async with api() as web:
        answer = await preflight(web, "http://evil.example")
        problem(answer, 403, "forbidden_origin")
        assert "access-control-allow-methods" not in answer.headers


async def test_errors_can_be_read_by_pages_that_may_call() -> None:
    async with api(api_secret=SECRET) as web:
        answer = await get(web, origin="http://localhost")
        problem(answer, 401, "unauthorized")
        assert answer.headers["access-control-allow-origin"] == "http://localhost"


async def test_every_answer_has_the_security_headers() -> None:
    async with api(api_secret=SECRET) as web:
        for answer in (await get(web), await get(web, "/health"), await get(web, host="x")):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]

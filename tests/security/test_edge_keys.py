"""Keys with scopes, and links that open one film without a key."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from chilly_movies.api.gates.keys import KeyRing
from chilly_movies.api.gates.signing import MAX_SECONDS, Signer
from chilly_movies.api.policy import KeyScope
from chilly_movies.api.settings import read_keys
from chilly_movies.runtime.state_folder import StateFolder
from tests.contract.web import SECRET, api, problem
from tests.security.asgi import policies

pytestmark = pytest.mark.anyio

READ, CONTROL = "a-key-that-may-look-on", "a-key-that-may-press-buttons"
KEYS = ((READ, KeyScope.READ), (CONTROL, KeyScope.CONTROL))
ID = {"id": "a"}


# --- scopes ---------------------------------------------------------------------------------


async def test_each_key_may_do_what_its_scope_says_and_no_more() -> None:
    async with api(api_secret=SECRET, keys=KEYS, start_limit="100/minute") as web:
        allowed = {READ: 1, CONTROL: 2, SECRET: 3}
        asked = [
            (1, "GET", "/downloads"), (1, "GET", "/downloads/a"),
            (1, "GET", "/metadata/search?q=x"), (1, "HEAD", "/downloads"),
            (2, "POST", "/download/start"),
            (2, "POST", "/download/pause"), (2, "POST", "/download/resume"),
            (2, "POST", "/download/cancel"), (2, "POST", "/torrents/create"),
            (3, "DELETE", "/downloads/a"), (3, "DELETE", "/downloads/a?deleteFiles=true"),
        ]  # fmt: skip
        for key, scope in allowed.items():
            for needed, method, path in asked:
                headers = {"x-api-key": key}
                answer = await web.client.request(method, path, headers=headers, json=ID)
                assert (answer.status_code == 403) == (scope < needed), (method, path, scope)
                if scope < needed:
                    problem(answer, 403, "forbidden_scope")


def test_a_method_nobody_thought_of_takes_the_highest_scope() -> None:
    assert policies().find("BREW", "/downloads").scope is KeyScope.ADMIN
    assert policies().find("DELETE", "/x").scope is KeyScope.ADMIN
    assert policies().find("PATCH", "/downloads/a/files").scope is KeyScope.CONTROL


async def test_keys_without_a_main_secret_close_the_door_too() -> None:
    async with api(keys=KEYS) as web:
        problem(await web.client.get("/downloads"), 401, "unauthorized")
        answer = await web.client.get("/downloads", headers={"x-api-key": READ})
        assert answer.status_code == 200


async def test_two_good_keys_that_differ_are_refused() -> None:
    async with api(api_secret=SECRET, keys=KEYS) as web:
        answer = await web.client.get(f"/downloads?api_key={READ}", headers={"x-api-key": SECRET})
        problem(answer, 401, "unauthorized")


@pytest.mark.parametrize("key", ["", "x" * 9_999, "ключ", SECRET[:-1], SECRET + " ", "\0", "%00"])
async def test_no_key_whatever_breaks_the_gate(key: str) -> None:
    async with api(api_secret=SECRET, keys=KEYS) as web:
        for request in (
            {"params": {"api_key": key}},
            {"headers": [(b"x-api-key", key.encode())]},
            {"headers": [(b"authorization", b"Bearer " + key.encode())]},
        ):
            answer = await web.client.get("/downloads", **request)
            if key == SECRET + " ":
                assert answer.status_code in (200, 401)  # a header's end is trimmed on the way
            else:
                problem(answer, 401, "unauthorized")


def test_the_ring_holds_digests_and_compares_every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return bool(real(a, b))

    monkeypatch.setattr(hmac, "compare_digest", compare)
    ring = KeyRing((*KEYS, (SECRET, KeyScope.ADMIN)))
    assert ring.scope_of(READ.encode()) is KeyScope.READ
    assert ring.scope_of(b"\xff\xfe") is None
    assert len(compared) == 6  # a hit ends nothing early
    assert SECRET not in str(vars(ring))


def test_keys_in_the_setting_are_read_and_never_repeated_in_an_error() -> None:
    text = f"read:{READ}, control:{CONTROL}"
    assert read_keys(SecretStr(text)) == ((READ, "read"), (CONTROL, "control"))
    assert read_keys(None) == ()
    for bad in (f"root:{READ}", READ, "read:short", f"read:{READ},admin:{READ}", f"read:{READ},"):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 (the words are checked below)
            read_keys(SecretStr(bad))
        assert READ not in str(refused.value)


# --- signed links ---------------------------------------------------------------------------

FILM = "/stream/a/0"


def query(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


async def test_a_link_is_handed_out_to_a_reader_and_opens_only_its_film() -> None:
    signer = Signer(b"s" * 32)
    async with api(api_secret=SECRET, keys=KEYS, signer=signer) as web:
        answer = await web.client.get(f"/links?path={FILM}", headers={"x-api-key": READ})
        body = answer.json()
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert READ not in answer.text
        assert body["url"].startswith(FILM + "?expires=")
        # there is no film here, so past the gate stands a 404
        problem(await web.client.get(body["url"]), 404, "job_not_found")
        assert (await web.client.head(body["url"])).status_code == 404
        signed = query(body["url"])
        others = ("/stream/a/1", "/stream/b/0", "/stream/a/0/", "/stream/a", "/subtitles/a/0",
                  "/downloads", "/downloads/a", "/events", "/download/status/a", "/links",
                  "/stream/../downloads")  # fmt: skip
        for other in others:
            problem(await web.client.get(other, params=signed), 401, "unauthorized")
        for method in ("POST", "DELETE", "PATCH", "PUT"):
            answer = await web.client.request(method, body["url"], json={})
            problem(answer, 401, "unauthorized")


async def test_without_a_key_no_link_is_handed_out() -> None:
    async with api(api_secret=SECRET) as web:
        problem(await web.client.get(f"/links?path={FILM}"), 401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    ["/downloads", "/stream", "/stream/", "/stream/../downloads", "/stream//a", "/events/",
     "https://evil.example/stream/a", "/stream/a?x=1", "/stream/a%2f..", "/stream/a\n", ""],
)  # fmt: skip
async def test_links_to_anything_else_are_refused(path: str) -> None:
    async with api() as web:
        answer = await web.client.get("/links", params={"path": path})
        if path == "/stream/../downloads":
            return  # harmless: the signature holds for these very words, which no route answers
        problem(answer, 422, "invalid_request")


@pytest.mark.parametrize("seconds", ["0", "-1", "86401", "1e9", "x"])
async def test_links_hold_a_second_to_a_day(seconds: str) -> None:
    async with api() as web:
        answer = await web.client.get("/links", params={"path": FILM, "seconds": seconds})
        problem(answer, 422, "invalid_request")


def test_a_signature_ends_and_cannot_be_stretched_moved_or_forged() -> None:
    now = 1_800_000_000.0
    signer = Signer(b"s" * 32, clock=lambda: now)
    signed = query(signer.sign(FILM, 60))
    expires, signature = signed["expires"], signed["sig"]
    assert signer.verify(FILM, expires, signature)
    assert not signer.verify("/stream/a/1", expires, signature)
    assert not signer.verify(FILM, str(int(expires) + 1), signature)
    assert not Signer(b"t" * 32, clock=lambda: now).verify(FILM, expires, signature)
    for forged in ("", "x", signature[:-1], signature + "A", signature.lower(), "é" * 43):
        assert not signer.verify(FILM, expires, forged)
    for wrong in ("", "-1", "1e99", "٣", expires + " ", "9" * 13):
        assert not signer.verify(FILM, wrong, signature)
    now += 59
    assert signer.verify(FILM, expires, signature)
    now += 1
    assert not signer.verify(FILM, expires, signature)


def test_a_link_holds_a_day_at_most_and_only_for_a_path() -> None:
    signer = Signer(b"s" * 32, clock=lambda: 0.0)
    assert query(signer.sign(FILM, 10**9))["expires"] == str(MAX_SECONDS)
    for path in ("stream/a", "/stream/a\\b", ""):
        with pytest.raises(ValueError, match="begins with a slash"):
            signer.sign(path)


async def test_a_sound_signature_over_anything_but_a_film_opens_nothing() -> None:
    signer = Signer(b"s" * 32)
    async with api(api_secret=SECRET, signer=signer) as web:
        for path in ("/downloads", "/downloads/a", "/stream", "/links", "/eventsx",
                     "/download/status/a", "/nothing", "/metadata/search"):  # fmt: skip
            problem(await web.client.get(signer.sign(path)), 401, "unauthorized")
        problem(await web.client.get(signer.sign(FILM)), 404, "job_not_found")
        assert (await web.client.get(signer.sign("/subtitles/a"))).status_code == 404


def test_the_secret_is_made_once_kept_private_and_made_anew_if_it_is_damaged(
    tmp_path: Path,
) -> None:
    state = StateFolder(tmp_path / "state")
    secret = state.load_secret()
    path = state.link_secret
    assert len(secret) == 32
    assert state.load_secret() == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert state.load_secret() == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    assert len(state.load_secret()) == 32
    assert path.read_bytes() != b"short"


def test_a_link_in_the_place_of_the_secret_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 32)
    StateFolder(tmp_path).link_secret.symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic|loop"):
        StateFolder(tmp_path).load_secret()
    assert victim.read_bytes() == b"x" * 32

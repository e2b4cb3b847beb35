"""Secrets stay where they belong: planted everywhere, looked for in everything that leaves."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend

pytestmark = pytest.mark.anyio

KEY = "canary-api-secret-5f3a9c"
READER = "canary-reader-key-77b1d2"
TMDB = "canary0tmdb0key0aa41"
TOKEN = "canary.tmdb.token.90fe"
PASSKEY = "canary4passkey4c0ffee4d00d4"
USER = "canary-user:canary-password"
PROXY_PASSWORD = "canary/proxy/password"
SECRETS = (
    PROXY_PASSWORD,
    "canary-proxy-user",
    KEY,
    READER,
    TMDB,
    TOKEN,
    PASSKEY,
    "canary-user",
    "canary-password",
)
SETTINGS = {
    "API_SECRET": KEY,
    "CHILLY_API_KEYS": f"read:{READER}",
    "CHILLY_TMDB_API_KEY": TMDB,
    "CHILLY_TMDB_BEARER_TOKEN": TOKEN,
    "CHILLY_TMDB_BASE_URL": "http://127.0.0.1:9/3",
    "CHILLY_LOG_LEVEL": "debug",
    "CHILLY_METADATA_TIMEOUT": "5",
    "CHILLY_INTERFACE": "",
    "CHILLY_PROXY": f"socks5://canary-proxy-user:{PROXY_PASSWORD.replace('/', '%2F')}@127.0.0.1:9",
}
MAGNET = (
    "magnet:?xt=urn:btih:" + "c" * 40 + f"&tr=http://127.0.0.1:9/{PASSKEY}/announce"
    f"&tr=http://127.0.0.1:9/announce?passkey={PASSKEY}"
)


async def _exercise(ours: Backend) -> list[str]:
    """Use everything, rightly and wrongly; every answer that is not the job's own source."""
    keyed: dict[str, Any] = {"headers": {"x-api-key": KEY}}
    said: list[str] = []
    for method, path, more in (
        ("GET", "/downloads", {"params": {"api_key": KEY + "x"}}),
        ("GET", "/downloads", {"headers": {"authorization": f"Bearer {READER}x"}}),
        ("GET", f"/nothing?api_key={KEY}", {}), ("GET", f"/nothing/{KEY}", keyed),
        ("DELETE", "/downloads/a", {"headers": {"x-api-key": READER}}),
        ("GET", "/metadata/search?query=film", keyed), ("GET", "/health", {}),
        ("GET", f"/openapi.json?api_key={KEY}", {}), ("GET", f"/openapi.yaml?api_key={KEY}", {}),
        ("POST", "/download/start", {**keyed, "json": {"id": "a", "sourceUrn": MAGNET}}),
        ("POST", "/download/start", {**keyed, "json": {"id": "b", "sourceUrn":
            f"http://{USER}@127.0.0.1:9/{PASSKEY}/film.torrent?passkey={PASSKEY}"}}),
        ("POST", "/download/start", {**keyed, "json": {"id": "c", "sourceUrn": MAGNET}}),
        ("POST", "/download/start", {**keyed, "json": {"id": "a", "sourceUrn": "d" * 40}}),
        ("POST", "/download/start", {**keyed, "content": b'{"id":' + KEY.encode()}),
        ("GET", "/download/status/a", {"params": {"api_key": READER}}),
        ("GET", "/links?path=/stream/a/0", keyed), ("GET", "/settings", keyed),
        ("PATCH", "/settings/limits", {**keyed, "json": {"alternative": {"timeZone": KEY}}}),
    ):  # fmt: skip
        answer = await ours.http.request(method, path, **more)
        assert answer.status_code < 500 or "metadata" in path, answer.text
        said += [answer.text.replace(KEY + "x", ""), str(answer.headers)]
    return said


async def test_no_secret_is_in_anything_that_leaves(tmp_path: Path) -> None:
    async with Backend(tmp_path, SETTINGS) as ours:
        said = await _exercise(ours)
        async with ours.http.stream("GET", f"/events/b?api_key={KEY}", timeout=30) as answer:
            async for line in answer.aiter_lines():
                said.append(line)
                if line.startswith("data:") and json.loads(line[5:]).get("error"):
                    break
        said.append(Path(f"/proc/{ours.pid}/cmdline").read_text())
    said.append(ours.log())
    assert "request" in ours.log()
    for secret in SECRETS:
        hits = [text for text in said if secret in text]
        assert not hits, (secret, hits[0][:600])


async def test_what_is_kept_is_closed_to_others(tmp_path: Path) -> None:
    async with Backend(tmp_path, SETTINGS, warm=True) as ours:
        await _exercise(ours)
        state = tmp_path / "state"
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        for path in state.rglob("*"):
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path.name
        for folder in (tmp_path / "media/.incomplete").iterdir():
            if folder.is_dir():
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder.name
    for path in (tmp_path / "state").rglob("*"):
        content = path.read_bytes()
        for secret in (KEY, READER, TMDB, TOKEN):
            assert secret.encode() not in content, path.name

"""`/settings`: every setting with its origin, to those who may everything, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chilly_movies.app import build_backend
from chilly_movies.mock import mock_parts
from chilly_movies.settings import SETTINGS, load_settings
from tests.contract.web import api, problem

pytestmark = pytest.mark.anyio
SECRET = "s3cret-s3cret-s3cret"
HEADERS = {"x-api-key": SECRET}


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with settings, and settings in the environment."""
    (tmp_path / "chilly.toml").write_text("upload_limit = 600\nport = 4000\nproxy_force = false\n")
    monkeypatch.setenv("CHILLY_CONFIG", str(tmp_path / "chilly.toml"))
    monkeypatch.setenv("API_SECRET", SECRET)
    monkeypatch.setenv("CHILLY_PORT", "4001")
    monkeypatch.setenv("CHILLY_DOWNLOAD_LIMIT", "5000")
    monkeypatch.setenv("CHILLY_PROXY", "socks5://user:pass-w0rd@127.0.0.1:9")


async def test_every_setting_is_shown_with_its_value_and_where_it_was_set_and_no_secret(
    tmp_path: Path,
) -> None:
    settings = load_settings(max_active=7, media_root=tmp_path / "m")
    backend = build_backend(settings, mock_parts(7, settings.network))
    transport = httpx2.ASGITransport(backend.app, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:4001") as web:
        problem(await web.get("/settings"), 401, "unauthorized")

        async def rows() -> dict[str, Any]:
            answer = await web.get("/settings", headers=HEADERS)
            assert SECRET not in answer.text
            assert "pass-w0rd" not in answer.text
            return {row["name"]: row for row in answer.json()}

        found = await rows()
        assert set(found) == set(SETTINGS)
        assert found["api_secret"] == {
            "name": "api_secret", "value": "set", "secret": True, "origin": "environment",
            "changeable": False, "meaning": SETTINGS["api_secret"][1].says,
        }  # fmt: skip
        told = {name: (row["value"], row["origin"]) for name, row in found.items()}
        assert told["max_active"] == (7, "command")
        assert told["port"] == (4001, "environment")
        assert told["proxy_force"] == (False, "file")
        assert told["api_keys"] == ("not set", "default")
        assert told["webtorrent_trackers"] == (
            [*settings.torrent.webtorrent_trackers], "default",
        )  # fmt: skip
        assert told["download_limit"] == (5000, "environment")
        changes = {"downloadLimit": 0, "alternative": {"downloadLimit": 3, "enabled": True}}
        await web.patch("/settings/limits", json=changes, headers=HEADERS)
        found = await rows()
    assert (found["download_limit"]["value"], found["download_limit"]["origin"]) == (0, "stored")
    assert (found["upload_limit"]["value"], found["upload_limit"]["origin"]) == (600, "file")
    changeable = {name for name, row in found.items() if row["changeable"]}
    assert changeable == {"download_limit", "upload_limit"}
    await backend.aclose()


async def test_an_application_without_settings_has_none_to_show() -> None:
    async with api() as web:
        answer = await web.client.get("/settings")
    assert (answer.status_code, json.loads(answer.text)) == (200, [])

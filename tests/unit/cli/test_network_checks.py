"""The doctor tells whether a proxy works, on a proxy of our own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chilly_movies.cli.network_checks import check_proxy
from chilly_movies.settings import load_settings
from tests.peers.process import free_port
from tests.peers.proxy_server import ProxyServer

pytestmark = pytest.mark.anyio


async def findings(folder: Path, url: str) -> list[tuple[str, str]]:
    settings = load_settings(state_dir=folder / "s", media_root=folder / "m", proxy=url)
    found = await asyncio.to_thread(lambda: list(check_proxy(settings)))
    return [(finding.level, finding.message) for finding in found]


async def test_the_doctor_says_what_is_wrong_with_a_proxy(tmp_path: Path) -> None:
    async with ProxyServer(user="u", password="right-one").listening("127.0.0.1") as port:
        place = f"127.0.0.1:{port}"
        http = await findings(tmp_path, f"http://{place}")
        right = await findings(tmp_path, f"socks5://u:right-one@{place}")
        wrong = await findings(tmp_path, f"socks5://u:wrong-one@{place}")
        without = await findings(tmp_path, f"socks5://{place}")
    dead = await findings(tmp_path, f"socks5://127.0.0.1:{free_port()}")
    assert right == [("ok", f"The proxy at {place} answers.")]
    assert http == right
    assert [level for level, _ in (*wrong, *without, *dead)] == ["problem"] * 3
    assert "refuses the user or the password" in wrong[0][1]
    assert "one" not in wrong[0][1]
    assert "wants" in without[0][1]
    assert "does not answer (Connection refused), so nothing is downloaded" in dead[0][1]

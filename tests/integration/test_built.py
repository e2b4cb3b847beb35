"""The engine says what it is, and what it was built with."""

from __future__ import annotations

import re
from pathlib import Path

import libtorrent as lt
import pytest
import structlog

from chilly_movies.drivers.torrent import built
from tests.integration.engine import running

pytestmark = pytest.mark.anyio


async def test_an_engine_that_opens_logs_its_version_and_its_openssl(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path) as downloader:
            await downloader.start(id="a", source_urn="magnet:?xt=urn:btih:" + "a" * 40)
            await downloader.pause("a")
    [opened] = [entry for entry in logs if entry["event"] == "the engine is open"]
    assert opened["libtorrent"] == lt.__version__
    assert re.fullmatch(r"3\.\d+\.\d+", opened["openssl"])


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 1000])
def test_a_library_that_does_not_say_so_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    library = tmp_path / "engine.so"
    library.write_bytes(content)
    monkeypatch.setattr(lt, "__file__", str(library))
    assert built.openssl_inside() is None
    monkeypatch.setattr(lt, "__file__", str(tmp_path / "away"))
    assert built.openssl_inside() is None

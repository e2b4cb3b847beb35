"""A torrent whose adding is cancelled does not stay in the session with nobody to end it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.params import AddRequest
from chilly_movies.drivers.torrent.session import TorrentSession
from chilly_movies.models import Options, Source, SourceType
from tests.integration.engine import QUIET

pytestmark = pytest.mark.anyio


async def test_adding_can_be_cancelled_at_any_moment_and_done_again(tmp_path: Path) -> None:
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    await session.open()
    source = Source(SourceType.TORRENT, f"magnet:?xt=urn:btih:{1:040x}")
    request = AddRequest(
        source=source, save_path=tmp_path, part_path=tmp_path, options=Options(),
        allow_private=True,
    )  # fmt: skip
    cancelled = 0
    for steps in range(1, 40):
        adding = asyncio.create_task(session.add(request))
        for _ in range(steps):
            await asyncio.sleep(0)
        adding.cancel()
        await asyncio.wait([adding])
        if adding.cancelled():
            cancelled += 1
        else:
            await adding.result().remove()
        await (await session.add(request)).remove()
    assert cancelled
    await session.aclose()

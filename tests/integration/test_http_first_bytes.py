"""Who watches a film from its beginning has the line, however much of it is there already."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.integration.file_origin import file_origin
from tests.integration.http_rig import fetching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
RATE = 2 * MIB
"""Bytes per second of each connection."""


async def test_the_first_mib_is_not_shared_with_other_connections_though_some_of_it_is_there(
    tmp_path: Path,
) -> None:
    film = os.urandom(32 * MIB)
    async with file_origin() as origin, fetching(tmp_path) as downloader:
        begins = asyncio.Event()
        link = origin.serve("/film.mkv", film, rate=RATE, gate=begins)
        await downloader.start({"sourceType": "http", "sourceUrn": link}, id="a")
        async with asyncio.timeout(20), downloader.listen("a") as changes:
            while not (await downloader.status("a")).progress.bytes_downloaded:
                await anext(changes)
            async with downloader.open_file("a") as reader:
                assert 0 < reader.available(0) < MIB // 2
                got = await reader.read(0, MIB)
                before = origin.sent
                begins.set()
                while len(got) < MIB:
                    got += await reader.read(len(got), MIB - len(got))
                sent = origin.sent - before
    assert got == film[: len(got)]
    assert sent < 2 * MIB  # four connections bring 4 MiB meanwhile

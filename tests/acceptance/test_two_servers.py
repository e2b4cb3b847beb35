"""Two servers on one media folder: the second is refused, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chilly_movies import WebTorrentDownloader
from tests.acceptance.backend import Backend
from tests.acceptance.test_backup import chilly
from tests.integration.engine import QUIET

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def sharing(folder: Path, media: Path) -> Backend:
    return Backend(folder, {"CHILLY_MEDIA_ROOT": str(media)}, warm=True)


async def test_a_second_server_on_a_media_folder_is_refused_as_long_as_the_first_one_runs(
    tmp_path: Path,
) -> None:
    media = tmp_path / "films"
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    async with sharing(one, media):
        code, _, said = await chilly(two, "serve", CHILLY_MEDIA_ROOT=str(media))
        assert (code, len(said.strip().splitlines())) == (2, 1)
        assert f"with the state folder {one / 'state'}, uses this media folder" in said
        assert "CHILLY_MEDIA_ROOT" in said
        code, said, _ = await chilly(two, "doctor", "--json", CHILLY_MEDIA_ROOT=str(media))
        report = json.loads(said)["findings"]
        assert any(f"{one / 'state'} uses this media folder" in f["message"] for f in report)
    async with sharing(two, media):
        pass
    assert sorted(path.name for path in (media / ".incomplete").iterdir()) == [".chilly-media"]


async def test_what_a_crash_leaves_blocks_nobody(tmp_path: Path) -> None:
    media = tmp_path / "films"
    async with sharing(tmp_path / "one", media) as crashed:
        await crashed.kill()
    assert (media / ".incomplete" / ".server.json").exists()
    async with sharing(tmp_path / "two", media):
        pass
    async with sharing(tmp_path / "one", media) as again:
        await again.kill()
    shutil.rmtree(tmp_path / "one" / "state")
    async with sharing(tmp_path / "two", media):
        pass


async def test_a_downloader_without_a_server_works_beside_one_on_the_same_media_folder(
    tmp_path: Path,
) -> None:
    media = tmp_path / "films"
    async with sharing(tmp_path / "one", media):
        for state in ("get", "another get"):  # as `chilly get` does it
            async with WebTorrentDownloader(media, state_dir=tmp_path / state, **QUIET) as ours:
                await ours.open()
        assert (media / ".incomplete" / ".server.json").exists()

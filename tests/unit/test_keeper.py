"""When a running torrent is saved, and that a save that went wrong is made up for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from chilly_movies.drivers.torrent.claims import decode
from chilly_movies.drivers.torrent.figures import TorrentState
from chilly_movies.drivers.torrent.keeper import IDLE, Keeper
from chilly_movies.drivers.torrent.torrent import Torrent
from chilly_movies.errors import DiskError, StoreError
from chilly_movies.storage.memory import MemoryResumeStore

pytestmark = pytest.mark.anyio


class Engine:
    """What a keeper asks of a torrent."""

    def __init__(self) -> None:
        self.state = TorrentState()
        self.asked: list[bool] = []

    async def save(self, *, only_if_modified: bool, closing: bool) -> bytes | None:
        """Note whether nothing was a good answer, too."""
        self.asked.append(only_if_modified)
        return None if only_if_modified and self.state.done == 0 else b"d1:ae"

    async def flush(self) -> None:
        """Nothing waits to be written."""


class Broken(MemoryResumeStore):
    """Fails once."""

    failing = True

    async def save_resume(self, key: str, data: bytes) -> None:
        if self.failing:
            self.failing = False
            raise StoreError("The database is in use by another program.")
        await super().save_resume(key, data)


def keeper_of(engine: Engine, store: MemoryResumeStore, folder: Path, **more: Any) -> Keeper:
    torrent = cast(Torrent, engine)
    return Keeper(store, "k", torrent, folder, **{"seconds": 1e9, "dirty": 1 << 60, **more})


def is_saving(keeper: Keeper) -> bool:
    return keeper._saving is not None


async def finished(keeper: Keeper) -> None:
    assert keeper._saving is not None
    await asyncio.wait([keeper._saving])


async def test_a_save_begins_after_so_many_bytes_and_only_one_at_a_time(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    keeper = keeper_of(engine, store, tmp_path, dirty=10)
    engine.state = TorrentState(done=9)
    keeper.save_if_due()
    assert not is_saving(keeper)
    engine.state = TorrentState(done=10)
    keeper.save_if_due()
    first = keeper._saving
    engine.state = TorrentState(done=30)
    keeper.save_if_due()
    assert keeper._saving is first
    await finished(keeper)
    assert await store.load_resume("k") is not None


async def test_a_torrent_that_stands_still_is_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = Engine(), MemoryResumeStore()
    keeper = keeper_of(engine, store, tmp_path, seconds=100.0)
    keeper._saved_at -= 101
    keeper.save_if_due()
    assert not is_saving(keeper)
    keeper._saved_at -= 100 * (IDLE - 1)
    keeper.save_if_due()
    await finished(keeper)
    engine.state = TorrentState(done=1)
    keeper._saved_at -= 101
    keeper.save_if_due()
    assert is_saving(keeper)
    await keeper.aclose()


async def test_what_could_not_be_stored_is_said_and_then_saved_in_full(tmp_path: Path) -> None:
    engine, store = Engine(), Broken()
    engine.state = TorrentState(done=5)
    keeper = keeper_of(engine, store, tmp_path, dirty=1)
    engine.state = TorrentState(done=6)
    keeper.save_if_due()
    await finished(keeper)
    engine.state = TorrentState(done=7)
    with pytest.raises(StoreError):
        keeper.save_if_due()
    keeper.save_if_due()
    await finished(keeper)
    assert engine.asked == [True, False]
    assert await store.load_resume("k") is not None


async def test_a_file_that_vanishes_while_it_is_written_is_a_disk_error(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    (tmp_path / "a" / "b").mkdir(parents=True)
    folder = tmp_path / "a" / "b"
    (folder / "film.mkv").write_bytes(b"film")
    keeper = keeper_of(engine, store, folder, dirty=1)
    keeper.watch({0: "film.mkv"})
    await keeper.save()
    (folder / "film.mkv").unlink()
    engine.state = TorrentState(done=1)
    keeper.save_if_due()
    await finished(keeper)
    with pytest.raises(DiskError, match=r"film\.mkv"):
        keeper.save_if_due()


async def test_only_a_closing_save_is_to_be_believed_later(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    keeper = keeper_of(engine, store, tmp_path)
    for closing in (False, True):
        await keeper.save(closing=closing)
        claim = decode(await store.load_resume("k"))
        assert claim is not None
        assert claim.closed is closing

"""When a running torrent is saved, and that a save that went wrong is made up for."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from chilly_movies.disk.file_stamps import take
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.resume_saver import IDLE, ResumeSaver
from chilly_movies.errors import DiskError, StoreError
from chilly_movies.storage.memory import MemoryResumeStore

pytestmark = pytest.mark.anyio
MIB = 1 << 20


class Engine:
    """What a saver asks of a torrent, and the time; a save takes `takes` seconds."""

    def __init__(self) -> None:
        self.state = TorrentState()
        self.asked: list[bool] = []
        self.now = 1000.0
        self.takes = 0.0
        self.begins: list[float] = []

    async def save(self, *, only_if_modified: bool, closing: bool) -> bytes | None:
        """Note whether nothing was a good answer, too."""
        self.asked.append(only_if_modified)
        self.begins.append(self.now)
        self.now += self.takes
        return None if only_if_modified and self.state.received == 0 else b"d1:ae"

    async def flush(self) -> None:
        """Nothing waits to be written."""

    def clock(self) -> float:
        """What time it is."""
        return self.now


class Broken(MemoryResumeStore):
    """Fails once."""

    failing = True

    async def save_resume(self, key: str, data: bytes) -> None:
        if self.failing:
            self.failing = False
            raise StoreError("The database is in use by another program.")
        await super().save_resume(key, data)


def saver_of(engine: Engine, store: MemoryResumeStore, folder: Path, **more: Any) -> ResumeSaver:
    torrent = cast(Torrent, engine)
    limits = {"dirty": 32 * MIB, "seconds": 2.0, "within": 30.0, "clock": engine.clock}
    return ResumeSaver(store, "k", torrent, folder, **{**limits, **more})


def is_saving(saver: ResumeSaver) -> bool:
    return saver._saving is not None


async def finished(saver: ResumeSaver) -> None:
    assert saver._saving is not None
    await asyncio.wait([saver._saving])


async def at_rate(engine: Engine, saver: ResumeSaver, rate: float, seconds: float) -> list[float]:
    """Let so many bytes a second arrive; when saves began, from the first moment on."""
    began, engine.begins = engine.now, []
    while engine.now < began + seconds:
        before = engine.now
        saver.save_if_due()
        if is_saving(saver):
            await finished(saver)
        engine.now = max(engine.now, before + 0.25)
        got = engine.state.received + int(rate * (engine.now - before))
        engine.state = TorrentState(received=got)
    return [begin - began for begin in engine.begins]


@pytest.mark.parametrize(
    ("rate", "takes", "every"),
    [
        (MIB / 1000, 0.0, 30.0), (MIB, 0.0, 30.0), (2 * MIB, 0.0, 16.0), (8 * MIB, 0.0, 4.0),
        (16 * MIB, 0.0, 2.0), (400 * MIB, 0.0, 2.0), (400 * MIB, 3.0, 5.0), (MIB, 10.0, 20.0),
        (100 * MIB, 20.0, 20.0),
    ],
)  # fmt: skip
async def test_a_save_begins_at_32_mib_or_2_s_whichever_is_later_and_ends_within_30_s(
    tmp_path: Path, rate: float, takes: float, every: float
) -> None:
    """The last: a disk too slow for all that is saved without a rest."""
    engine = Engine()
    saver = saver_of(engine, MemoryResumeStore(), tmp_path)
    engine.takes = takes
    begins = await at_rate(engine, saver, rate, 200.0)
    gaps = [after - before for before, after in pairwise(begins[1:])]
    assert gaps
    assert all(every - 0.5 <= gap <= every + 0.5 for gap in gaps), gaps


@pytest.mark.parametrize("takes", [0.0, 0.3, 5.0, 14.0])
@pytest.mark.parametrize("rate", [MIB / 4, MIB, 3 * MIB, 30 * MIB, 600 * MIB])
async def test_a_crash_costs_what_arrived_in_30_s_or_64_mib_whichever_is_more(
    tmp_path: Path, rate: float, takes: float
) -> None:
    """At the worst moment: just before a save ends, all is lost since the one before began."""
    engine = Engine()
    saver = saver_of(engine, MemoryResumeStore(), tmp_path)
    await at_rate(engine, saver, rate, 60.0)
    engine.takes = takes
    begins = await at_rate(engine, saver, rate, 300.0)
    for before, after in pairwise(begins[1:]):
        lost = rate * (after + takes - before)
        assert lost <= max(64 * MIB, rate * (30.0 + 0.5))


async def test_only_one_save_is_under_way_at_a_time(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    saver = saver_of(engine, store, tmp_path, dirty=10, seconds=0.0)
    engine.state = TorrentState(received=9)
    saver.save_if_due()
    await finished(saver)
    assert engine.asked == []
    engine.state = TorrentState(received=10)
    saver.save_if_due()
    first = saver._saving
    engine.state = TorrentState(received=30)
    saver.save_if_due()
    assert saver._saving is first
    await finished(saver)
    assert await store.load_resume("k") is not None


async def test_a_torrent_that_stands_still_is_looked_at_less_often(tmp_path: Path) -> None:
    engine = Engine()
    saver = saver_of(engine, MemoryResumeStore(), tmp_path)
    begins = await at_rate(engine, saver, 0.0, 30.0)
    assert begins == [2.0 * IDLE, 4.0 * IDLE]


async def test_what_a_failed_save_left_unsaved_counts_on(tmp_path: Path) -> None:
    """It is saved as soon as may be, not as if it had been."""
    engine, store = Engine(), Broken()
    saver = saver_of(engine, store, tmp_path)
    engine.state = TorrentState(received=32 * MIB)
    engine.now += 3
    saver.save_if_due()
    await finished(saver)
    with pytest.raises(StoreError):
        saver.save_if_due()
    saver.save_if_due()
    await finished(saver)
    assert engine.asked == [True, False]
    assert await store.load_resume("k") is not None


async def test_a_file_that_vanishes_between_two_saves_is_told_within_seconds(
    tmp_path: Path,
) -> None:
    engine = Engine()
    film = tmp_path / "film.mkv"
    saver = saver_of(engine, MemoryResumeStore(), tmp_path)
    saver.watch({0: "film.mkv"})
    film.write_bytes(b"film")
    await at_rate(engine, saver, 1000.0, 3.0)
    film.unlink()
    with pytest.raises(DiskError, match=r"film\.mkv"):
        await at_rate(engine, saver, 1000.0, 3.0)
    assert engine.asked == []


async def test_a_store_that_takes_nothing_is_told_within_seconds(tmp_path: Path) -> None:
    engine, store = Engine(), Broken()
    store.failing = False
    saver = saver_of(engine, store, tmp_path)
    await saver.save()
    store.failing = True
    with pytest.raises(StoreError):
        await at_rate(engine, saver, 1000.0, 3.0)
    assert engine.asked == [False]


async def test_a_file_that_vanishes_while_it_is_written_is_a_disk_error(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    (tmp_path / "a" / "b").mkdir(parents=True)
    folder = tmp_path / "a" / "b"
    (folder / "film.mkv").write_bytes(b"film")
    saver = saver_of(engine, store, folder, dirty=1, seconds=0.0)
    saver.watch({0: "film.mkv"})
    await saver.save()
    (folder / "film.mkv").unlink()
    engine.state = TorrentState(received=1)
    saver.save_if_due()
    await finished(saver)
    with pytest.raises(DiskError, match=r"film\.mkv"):
        saver.save_if_due()


async def test_only_a_closing_save_is_to_be_believed_later(tmp_path: Path) -> None:
    engine, store = Engine(), MemoryResumeStore()
    saver = saver_of(engine, store, tmp_path)
    for closing in (False, True):
        await saver.save(closing=closing)
        claim = decode(await store.load_resume("k"))
        assert claim is not None
        assert claim.closed is closing


async def test_what_is_only_read_is_claimed_as_its_check_found_it_whatever_happened_since(
    tmp_path: Path,
) -> None:
    film, store = tmp_path / "film.mkv", MemoryResumeStore()
    film.write_bytes(b"film")
    stamps = take(tmp_path, {0: "film.mkv"})
    saver = saver_of(Engine(), store, tmp_path, stamps=stamps)
    saver.watch({0: "film.mkv"})
    film.write_bytes(b"longer")
    for closing in (False, True):
        await saver.save(closing=closing)
        claim = decode(await store.load_resume("k"))
        assert claim is not None
        assert claim.stamps == stamps
        assert not claim.holds({0: film})


@pytest.mark.parametrize("changes", [False, True])
async def test_a_check_vouches_for_files_that_did_not_change_while_it_ran(
    tmp_path: Path, changes: bool
) -> None:
    film, store = tmp_path / "film.mkv", MemoryResumeStore()
    film.write_bytes(b"film")
    saver = saver_of(Engine(), store, tmp_path, stamps={})
    saver.watch({0: "film.mkv"})
    before = await saver.stamps()
    if changes:
        film.write_bytes(b"longer")
    await saver.vouch(before)
    await saver.save(closing=True)
    claim = decode(await store.load_resume("k"))
    assert claim is not None
    assert claim.holds({0: film}) is not changes

"""Bytes of a file on the disk: at once if the system has them, else by a thread."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.errors import DiskError
from tests.doubles import until

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 4096


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mkv"
    path.write_bytes(DATA)
    return path


async def test_what_is_read_at_once_is_what_a_thread_reads(film: Path) -> None:
    file = await DiskFile.open(film)
    for offset, length in ((0, 1), (5, 300_000), (len(DATA) - 3, 3), (len(DATA) - 3, 100)):
        at_once = file.read_at_once(offset, length)
        assert at_once in (None, DATA[offset : offset + length])
        assert await file.read(offset, length) == DATA[offset : offset + length]
    assert file.read_at_once(0, 0) is None
    assert file.read_at_once(len(DATA), 10) is None
    file.close()


async def test_what_the_system_has_not_in_memory_is_left_to_a_thread(film: Path) -> None:
    file = await DiskFile.open(film)
    with film.open("rb") as other:
        os.sync()
        os.posix_fadvise(other.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read_at_once(0, len(DATA)) in (None, DATA)  # the system may not obey
    assert await file.read(0, len(DATA)) == DATA
    file.close()


@pytest.mark.parametrize("trouble", [OSError(95, "not supported"), BlockingIOError()])
async def test_a_file_system_that_cannot_say_is_read_by_a_thread(
    film: Path, monkeypatch: pytest.MonkeyPatch, trouble: OSError
) -> None:
    def refuse(*_: object) -> int:
        raise trouble

    monkeypatch.setattr(os, "preadv", refuse)
    reader = await DiskReader.open(film.parent, film.name, len(DATA))
    assert await reader.read(7, 1000) == DATA[7:1007]
    await reader.aclose()


async def test_a_file_that_became_shorter_is_an_error_and_no_end(film: Path) -> None:
    reader = await DiskReader.open(film.parent, film.name, len(DATA))
    os.truncate(film, 1000)
    with pytest.raises(DiskError, match="shorter"):
        await reader.read(2000, 100)
    await reader.aclose()


async def test_a_file_whose_closing_is_given_up_is_closed_when_its_read_ends(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    pread = os.pread

    def slow(handle: int, length: int, offset: int) -> bytes:
        go_on.wait(20)
        return pread(handle, length, offset)

    def not_at_once(*_: object) -> None:
        return None

    monkeypatch.setattr(os, "pread", slow)
    monkeypatch.setattr(DiskFile, "read_at_once", not_at_once)
    reader = await DiskReader.open(film.parent, film.name, len(DATA))
    reading = asyncio.create_task(reader.read(0, 1000))
    await until(lambda: reader._reading is not None)
    reading.cancel()
    closing = asyncio.create_task(reader.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert reader._file._handle >= 0
    go_on.set()
    assert reader._reading is not None
    assert await reader._reading == DATA[:1000]
    await until(lambda: reader._file._handle == -1)

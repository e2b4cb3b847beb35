"""Somebody swaps folders for links while we look (A17): nothing elsewhere is touched."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chilly_movies.disk.files import delete_files
from chilly_movies.disk.plain import NotPlainError, harmless

SWAPS = int(os.environ.get("CHILLY_SWAPS", "1000"))


@contextmanager
def swapping(place: Path, outside: Path) -> Iterator[list[int]]:
    """The folder is there, then a link to another, then the folder again, as fast as can be."""
    aside, count, over = place.with_name("aside"), [0], threading.Event()

    def swap() -> None:
        while not over.is_set():
            place.rename(aside)
            place.symlink_to(outside)
            place.unlink()
            aside.rename(place)
            count[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def test_nothing_elsewhere_is_deleted_while_a_folder_is_swapped_for_a_link(tmp_path: Path) -> None:
    place, outside = tmp_path / "media/films", tmp_path / "outside"
    for folder in (place, outside):
        folder.mkdir(parents=True)
    victim, ours = outside / "film.mkv", place / "keep"
    victim.write_bytes(b"mine")
    ours.touch()  # or the folder would be taken away as empty
    with swapping(place, outside) as count:
        while count[0] < SWAPS and victim.exists():
            with suppress(OSError):
                delete_files(tmp_path / "media", ["films/film.mkv"])
    assert victim.read_bytes() == b"mine"


def test_nothing_elsewhere_is_deleted_if_a_folder_is_a_link_once_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, outside = tmp_path / "media/films", tmp_path / "outside"
    for folder in (place, outside):
        folder.mkdir(parents=True)
        (folder / "film.mkv").write_bytes(b"mine")
    usual, swaps = os.open, []

    def late(path: str | Path, *flags: int, **more: int) -> int:
        if str(path) == place.name:
            place.rename(place.with_name("aside"))
            place.symlink_to(outside)
            swaps.append(path)
        return usual(path, *flags, **more)

    monkeypatch.setattr(os, "open", late)
    with suppress(OSError):
        delete_files(tmp_path / "media", ["films/film.mkv"])
    assert swaps
    assert (outside / "film.mkv").read_bytes() == b"mine"


def test_no_rights_elsewhere_are_changed_while_a_folder_is_swapped_for_a_link(
    tmp_path: Path,
) -> None:
    place, outside = tmp_path / "media/films/inner", tmp_path / "outside"
    for folder in (place, outside):
        folder.mkdir(parents=True)
    victim = outside / "run"
    victim.touch()
    victim.chmod(0o755)
    with swapping(place, outside) as count:
        while count[0] < SWAPS:
            with suppress(NotPlainError, FileNotFoundError, NotADirectoryError):
                harmless(tmp_path / "media/films")
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755

"""Copies of the user's files: the original never changes, whatever becomes of the copy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chilly_movies.disk import copying
from chilly_movies.disk.copying import CopyStoppedError, copy, open_to_read, unshare
from chilly_movies.disk.files import flush_tree
from chilly_movies.disk.plain import NotPlainError

MIB = 1 << 20


def copied(source: Path, target: Path, *, steps: int = 99) -> int:
    """Copies a file; returns the bytes that were told. Stops after so many steps."""
    told: list[int] = []
    handle = open_to_read(source)
    try:
        with target.open("xb") as own:
            copy(handle, own.fileno(), stopped=lambda: len(told) >= steps, copied=told.append)
    finally:
        os.close(handle)
    return sum(told)


def test_a_copy_has_every_byte_and_every_hole_and_is_a_file_of_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "film", tmp_path / "copy"
    with source.open("wb") as file:
        file.write(b"begin" * 1000)
        file.seek(8 * MIB)
        file.write(b"end")
        file.truncate(9 * MIB)
    assert copied(source, target) <= 9 * MIB
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 16
    target.write_bytes(b"other")
    assert source.stat().st_size == 9 * MIB
    assert copied(tmp_path / "copy", tmp_path / "small") == 5


def test_a_copy_ends_early_when_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "clone", lambda *_: False)  # which takes no time
    (tmp_path / "film").write_bytes(os.urandom(17 * MIB))
    with pytest.raises(CopyStoppedError):
        copied(tmp_path / "film", tmp_path / "copy", steps=0)


def test_nothing_but_an_ordinary_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "film").touch()
    (tmp_path / "link").symlink_to(tmp_path / "film")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "nothing"):
        with pytest.raises(OSError):  # noqa: PT011 (each system has its own)
            open_to_read(tmp_path / name)


def test_what_is_written_to_an_unshared_file_does_not_reach_its_other_names(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine.mkv", tmp_path / "films" / "ours.mkv"
    mine.write_bytes(b"film" * 1000)
    mine.chmod(0o640)
    os.utime(mine, ns=(10**18, 10**18))
    ours.parent.mkdir()
    os.link(mine, ours)
    unshare(ours)
    assert (ours.read_bytes(), ours.stat().st_mtime_ns) == (mine.read_bytes(), 10**18)
    assert ours.stat().st_mode == mine.stat().st_mode
    assert (mine.stat().st_nlink, ours.stat().st_nlink) == (1, 1)
    with ours.open("r+b") as file:
        file.write(b"else")
    assert mine.read_bytes() == b"film" * 1000
    node = ours.stat().st_ino
    unshare(ours)
    assert ours.stat().st_ino == node
    assert [path.name for path in ours.parent.iterdir()] == ["ours.mkv"]


def test_of_the_user_s_files_no_rights_are_taken_when_they_are_published(tmp_path: Path) -> None:
    mine, staged = tmp_path / "mine.mkv", tmp_path / "staged" / "film.mkv"
    mine.touch()
    mine.chmod(0o755)
    staged.parent.mkdir()
    os.link(mine, staged)
    with pytest.raises(NotPlainError):
        flush_tree(staged.parent)
    flush_tree(staged.parent, shared=True)
    assert mine.stat().st_mode & 0o777 == 0o755
    (staged.parent / "link").symlink_to(mine)
    with pytest.raises(NotPlainError):
        flush_tree(staged.parent, shared=True)

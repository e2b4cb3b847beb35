"""The index of the user's files by size: renewed by what changed, and by nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from chilly_movies.disk.size_index import SizeIndex

LONG_AGO = 1_000_000_000 * 10**9


def put(path: Path, size: int, *, rests: bool = True) -> Path:
    """A file of a size, which was written long ago or just now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    if rests:
        for entry in (path, path.parent):
            os.utime(entry, ns=(LONG_AGO, LONG_AGO))
    return path


def names(found: Sequence[Path]) -> list[str]:
    return sorted(path.name for path in found)


def test_files_are_found_by_size_in_all_folders_but_hidden_ones_and_through_no_link(
    tmp_path: Path,
) -> None:
    root, other = tmp_path / "films", tmp_path / "other"
    put(root / "a" / "one.mkv", 7)
    put(root / ".incomplete" / "k" / "staged.mkv", 7)
    put(root / ".hidden.mkv", 7)
    put(other / "two.mkv", 7)
    (root / "link.mkv").symlink_to(other / "two.mkv")
    (root / "way").symlink_to(other)
    os.mkfifo(root / "pipe")
    index = SizeIndex([root, root / "a", tmp_path / "nowhere"])
    index.renew()
    assert names(index.of_size(7)) == ["one.mkv"]
    both = SizeIndex([root, other])
    both.renew()
    assert names(both.of_size(7)) == ["one.mkv", "two.mkv"]


def test_what_came_went_moved_or_grew_is_known_after_the_next_look(tmp_path: Path) -> None:
    gone, moved = put(tmp_path / "a" / "gone", 5), put(tmp_path / "b" / "moved", 5)
    growing = put(tmp_path / "c" / "growing", 5, rests=False)
    index = SizeIndex([tmp_path])
    index.renew()
    assert names(index.of_size(5)) == ["gone", "growing", "moved"]
    gone.unlink()
    (tmp_path / "d").mkdir()
    moved.rename(tmp_path / "d" / "elsewhere")
    with growing.open("ab") as file:
        file.write(b"more")
    put(tmp_path / "b" / "new", 5, rests=False)
    index.renew()
    assert names(index.of_size(5)) == ["elsewhere", "new"]
    assert names(index.of_size(9)) == ["growing"]


def test_folders_that_rest_are_not_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        put(tmp_path / f"{number}" / "film", 3)
    os.utime(tmp_path, ns=(LONG_AGO, LONG_AGO))
    index, listed, scandir = SizeIndex([tmp_path]), [], os.scandir

    def counted(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr("chilly_movies.disk.size_index.os.scandir", counted)
    index.renew()
    assert len(listed) == 6
    put(tmp_path / "3" / "second", 3)
    os.utime(tmp_path / "3", ns=(LONG_AGO + 1, LONG_AGO + 1))
    listed.clear()
    index.renew()
    assert listed == [str(tmp_path / "3")]
    assert len(index.of_size(3)) == 6


def test_a_look_that_is_cut_short_forgets_nothing_and_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / f"{number}" / "film", 3)
    index, turns = SizeIndex([tmp_path]), iter([False] * 4)
    index.renew(lambda: next(turns, True))
    assert 0 < len(index.of_size(3)) < 6
    index.renew()
    assert len(index.of_size(3)) == 6
    index.renew(lambda: True)
    assert len(index.of_size(3)) == 6


def test_no_more_files_are_known_than_may_be(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / f"{number}" / "film", 3)
    index = SizeIndex([tmp_path], most=4)
    index.renew()
    assert len(index.of_size(3)) == 4

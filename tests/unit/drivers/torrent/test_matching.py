"""Which of the user's files hold which of a torrent: sizes and samples say it, names do not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent.engine.piece_hashes import PieceHashes
from chilly_movies.drivers.torrent.finding import search
from chilly_movies.drivers.torrent.finding.search import DataFinder
from chilly_movies.drivers.torrent.found import files_of
from tests.peers.torrents import Version, make_film, make_films, make_torrent

KIB = 1024
PIECE = 16 * KIB
VERSIONS: tuple[Version, ...] = ("v1", "hybrid", "v2")
SIZES = {
    "one.mkv": 5 * PIECE + 77, "two.mkv": 3 * PIECE, "three.mkv": PIECE + 1, "four.srt": 900,
    "five.nfo": 31, "six.mkv": 2 * PIECE - 5, "seven.idx": PIECE, "empty.txt": 0,
}  # fmt: skip


def torrent_of(content: Path, version: Version = "v1", piece_size: int = PIECE) -> PieceHashes:
    """The hashes of a torrent that is made of a file or folder."""
    path = content.with_name(f"{content.name}.{version}.torrent")
    made = make_torrent(content, path, version=version, piece_size=piece_size)
    return files_of(made.path.read_bytes())[0]


def find(torrent: PieceHashes, *folders: Path) -> dict[str, Path]:
    """What is found of each file that holds something, by its name in the torrent."""
    names = {f.index: Path(f.path).name for f in torrent.files if not f.is_padding}
    found = DataFinder(folders).find(torrent, frozenset(names)).matches
    return {names[index]: match.path for index, match in found.items() if match.sampled}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_is_found_under_another_name_in_another_folder(
    tmp_path: Path, version: Version
) -> None:
    make_films(tmp_path / "show", SIZES)
    torrent = torrent_of(tmp_path / "show", version)
    for name in SIZES:
        (tmp_path / "mine" / name[0]).mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / "show" / name, tmp_path / "mine" / name[0] / f"x{len(name)}{name}.b")
    found = find(torrent, tmp_path / "mine")
    assert {name: path.name.endswith(f"{name}.b") for name, path in found.items()} == {
        name: True for name, size in SIZES.items() if size
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_files_of_the_same_size_are_told_apart_by_their_bytes_and_not_by_their_names(
    tmp_path: Path, version: Version
) -> None:
    sizes = {f"{number}.mkv": 3 * PIECE + 5 for number in range(4)} | {"a.srt": 500, "b.srt": 500}
    make_films(tmp_path / "show", sizes)
    torrent = torrent_of(tmp_path / "show", version)
    mine = tmp_path / "mine"
    mine.mkdir()
    for number in range(4):  # each has the name of the next
        name = f"{(number + 1) % 4}.mkv"
        (tmp_path / "show" / f"{number}.mkv").rename(mine / name)
    (tmp_path / "show" / "a.srt").rename(mine / "b.srt")
    (tmp_path / "show" / "b.srt").rename(mine / "a.srt")
    make_film(mine / "wrong" / "2.mkv", 3 * PIECE + 5, seed=77)
    found = {name: path.relative_to(mine).as_posix() for name, path in find(torrent, mine).items()}
    assert found == {
        "0.mkv": "1.mkv", "1.mkv": "2.mkv", "2.mkv": "3.mkv", "3.mkv": "0.mkv",
        "a.srt": "b.srt", "b.srt": "a.srt",
    }  # fmt: skip


def test_small_files_that_share_a_piece_are_found_among_many_of_their_sizes(tmp_path: Path) -> None:
    make_films(tmp_path / "show", {"a.srt": 500, "b.srt": 600, "c.srt": 700})
    torrent, mine = torrent_of(tmp_path / "show"), tmp_path / "mine"
    for number, name in enumerate(("a", "b", "c")):
        for other in range(12):
            make_film(mine / f"{other}" / f"{name}.srt", 500 + 100 * number, seed=100 + other)
        (mine / "x").mkdir(exist_ok=True)
        (tmp_path / "show" / f"{name}.srt").rename(mine / "x" / f"{number}.bin")
    found = {name: path.name for name, path in find(torrent, mine).items()}
    assert found == {"a.srt": "0.bin", "b.srt": "1.bin", "c.srt": "2.bin"}


@pytest.mark.parametrize("version", VERSIONS)
def test_zeros_at_both_ends_say_nothing(tmp_path: Path, version: Version) -> None:
    size = 8 * PIECE
    film = tmp_path / "film.mkv"
    middle = os.urandom(6 * PIECE)
    film.write_bytes(bytes(PIECE) + middle + bytes(PIECE))
    torrent = torrent_of(film, version)
    film.unlink()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "film.mkv").write_bytes(bytes(size))
    make_film(mine / "other.mkv", size, seed=9)
    assert find(torrent, mine) == {}
    (mine / "real.bin").write_bytes(bytes(PIECE) + middle + bytes(PIECE))
    assert find(torrent, mine) == {"film.mkv": mine / "real.bin"}


def test_a_file_of_nothing_but_zeros_is_found_among_others(tmp_path: Path) -> None:
    (tmp_path / "zeros.bin").write_bytes(bytes(8 * PIECE))
    torrent = torrent_of(tmp_path / "zeros.bin")
    make_film(tmp_path / "mine" / "other.mkv", 8 * PIECE)
    (tmp_path / "mine" / "x").write_bytes(bytes(8 * PIECE))
    assert find(torrent, tmp_path / "mine") == {"zeros.bin": tmp_path / "mine" / "x"}


def test_a_file_that_is_only_partly_right_is_taken_if_there_is_no_better_one(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "film.mkv", 8 * PIECE)
    torrent, data = torrent_of(tmp_path / "film.mkv"), (tmp_path / "film.mkv").read_bytes()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "film.mkv").write_bytes(data[: 4 * PIECE] + bytes(4 * PIECE))
    assert find(torrent, mine) == {"film.mkv": mine / "film.mkv"}
    (mine / "whole").write_bytes(data)
    assert find(torrent, mine) == {"film.mkv": mine / "whole"}


def test_no_more_is_read_than_may_be_and_a_large_file_is_taken_by_its_size_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_READ", 100 * KIB)
    sizes = {f"{number}.mkv": (1 << 20) + number for number in range(6)}
    make_films(tmp_path / "show", sizes)
    torrent = torrent_of(tmp_path / "show", "v2", 32 * KIB)
    found = DataFinder([tmp_path]).find(torrent, frozenset(f.index for f in torrent.files))
    assert found.bytes_read <= 100 * KIB
    assert [match.sampled for match in found.matches.values()] == [True] * 3 + [False] * 3
    make_film(tmp_path / "show" / "twin", (1 << 20) + 2)
    found = DataFinder([tmp_path]).find(torrent, frozenset(f.index for f in torrent.files))
    assert len(found.matches) == 5, "of two files of one size one was taken unseen"

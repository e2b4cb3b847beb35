"""Which files of an item of the Internet Archive are its films."""

from __future__ import annotations

import pytest

from chilly_movies.catalogue.archive_org.item import ArchiveFile
from chilly_movies.catalogue.archive_org.sources import pick_films
from chilly_movies.drivers.torrent.engine.gate import is_node


def up(name: str, size: int = 10) -> ArchiveFile:
    return ArchiveFile(name, size, is_original=True)


def made(name: str, of: str, size: int = 10) -> ArchiveFile:
    return ArchiveFile(name, size, made_of=of)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([up("a.mp4"), made("a.ogv", "a.mp4", 99)], ["a.mp4"]),
        ([up("a.mpeg", 99), made("a.mp4", "a.mpeg", 9), made("a_512kb.mp4", "a.mpeg")],
         ["a_512kb.mp4"]),
        ([up("a.avi"), made("a.ogv", "a.avi")], ["a.avi"]),
        ([up("a.mkv", 20), up("a.mp4", 10)], ["a.mkv"]),
        ([up("e2.mkv"), up("e1.mkv"), up("notes.txt")], ["e1.mkv", "e2.mkv"]),
        ([up("a.pdf"), made("a.mp4", "b.mpeg")], []),
    ],
)  # fmt: skip
def test_of_each_upload_the_file_is_taken_that_plays_everywhere(
    files: list[ArchiveFile], expected: list[str]
) -> None:
    assert [film.name for film in pick_films(files)] == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ia600301.us.archive.org/12/items/", True),
        ("https://IA801234.us.archive.org:443/1/items/", True),
        ("https://archive.org/download/", False),
        ("https://ia600301.us.archive.org.example/", False),
        ("https://films.example/ia600301.us.archive.org/", False),
    ],
)
def test_a_machine_of_the_archive_is_told_from_its_lasting_address(
    url: str, *, expected: bool
) -> None:
    assert is_node(url) is expected

"""Claims: when resume data may be believed, and what is flushed before it is stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chilly_movies import failpoints
from chilly_movies.drivers.torrent.claims import Claim, Look, decode, flush
from chilly_movies.errors import DiskError


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A staging folder with two files."""
    folder = tmp_path / "media" / ".incomplete" / "key"
    (folder / "show").mkdir(parents=True)
    (folder / "show" / "1.mkv").write_bytes(b"one")
    (folder / "show" / "2.mkv").write_bytes(b"second")
    return folder


NAMES = {0: "show/1.mkv", 2: "show/2.mkv"}


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is flushed, in order."""
    seen: list[str] = []

    def note(handle: int) -> None:
        seen.append(Path(f"/proc/self/fd/{handle}").readlink().name)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "fdatasync", note)
    return seen


def test_a_claim_comes_back_as_it_was(staged: Path) -> None:
    claim = Claim(b"d4:infoe\n\x00\xff", flush(staged, NAMES, {}), closed=True)
    again = decode(claim.encode())
    assert again is not None
    assert (again.data, again.closed) == (claim.data, True)
    assert again.holds(again.staged_paths(staged))


def test_resume_data_of_an_older_version_is_used_but_not_believed() -> None:
    claim = decode(b"d8:infohash1:xe")
    assert claim is not None
    assert (claim.data, claim.closed) == (b"d8:infohash1:xe", False)


@pytest.mark.parametrize("blob", [b"{", b"[]\nd", b'{"closed":true}\nd', b"\xff\xff", b""])
def test_a_damaged_blob_is_no_claim(blob: bytes) -> None:
    assert decode(blob) is None


@pytest.mark.parametrize("damage", ["bit", "hole", "short", "long", "gone", "swapped", "touched"])
def test_a_claim_does_not_hold_once_a_file_was_written_to(staged: Path, damage: str) -> None:
    claim = Claim(b"", flush(staged, NAMES, {}))
    path = staged / "show" / "2.mkv"
    if damage == "gone":
        path.unlink()
    elif damage == "touched":
        os.utime(path, ns=(1, 1))
    elif damage == "swapped":
        path.replace(staged / "x")
        (staged / "x").with_name("y").write_bytes(b"SECOND")
        (staged / "y").replace(path)
        os.utime(path, ns=(5, 5))
    else:
        content = {"bit": b"sekond", "hole": b"\0" * 6, "short": b"seco", "long": b"second!"}
        path.write_bytes(content[damage])
        os.utime(path, ns=(5, 5))  # the clock may be too coarse to tell
    assert not claim.holds(claim.staged_paths(staged))


def test_only_what_was_written_to_since_is_flushed_again(staged: Path, flushed: list[str]) -> None:
    for name in NAMES.values():
        os.utime(staged / name, ns=(10**9, 10**9))
    looks = flush(staged, NAMES, {})
    assert flushed[:2] == ["1.mkv", "2.mkv"]
    assert set(flushed[2:]) == {"show", "key", ".incomplete", "media"}
    flushed.clear()
    os.utime(staged / "show" / "2.mkv", ns=(2 * 10**9, 2 * 10**9))
    again = flush(staged, NAMES, looks)
    assert flushed == ["2.mkv"]
    flushed.clear()
    flush(staged, NAMES, again)
    assert flushed == []


def test_a_file_that_was_written_to_a_moment_ago_is_flushed_again(
    staged: Path, flushed: list[str]
) -> None:
    looks = flush(staged, NAMES, {})
    flushed.clear()
    flush(staged, NAMES, looks)  # its time of change is too fresh to tell a second write from it
    assert flushed == ["1.mkv", "2.mkv"]


@pytest.mark.parametrize("how", ["gone", "short"])
def test_a_file_that_is_taken_away_or_cut_short_is_a_disk_error(staged: Path, how: str) -> None:
    looks = flush(staged, NAMES, {})
    path = staged / "show" / "2.mkv"
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"s")
    with pytest.raises(DiskError, match=r"2\.mkv"):
        flush(staged, NAMES, looks)


def test_files_that_are_not_there_yet_are_no_problem(staged: Path) -> None:
    assert set(flush(staged, {**NAMES, 3: "show/later.mkv"}, {})) == {0, 2}


def test_a_symlink_is_not_followed(staged: Path) -> None:
    (staged / "show" / "1.mkv").unlink()
    (staged / "show" / "1.mkv").symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        flush(staged, NAMES, {})


def test_a_look_without_its_file_does_not_hold(staged: Path) -> None:
    claim = Claim(b"", {0: Look("show/1.mkv", 3, 1)})
    assert not claim.holds({})
    assert not Claim(b"").holds({})


def test_failpoints_are_read_from_one_line() -> None:
    assert failpoints.parse("") == {}
    assert failpoints.parse("a.b:exit, c@3:raise") == {"a.b": (1, "exit"), "c": (3, "raise")}
    with pytest.raises(ValueError, match="name:exit"):
        failpoints.parse("a.b")


def test_a_failpoint_fails_at_its_time_and_else_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failpoints, "_wishes", failpoints.parse("here@2:raise"))
    failpoints.reach("elsewhere")
    failpoints.reach("here")
    with pytest.raises(OSError, match="failpoint here"):
        failpoints.reach("here")
    failpoints.reach("here")

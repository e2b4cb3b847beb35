"""Claims: when resume data may be believed, and what is flushed before it is stored."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chilly_movies.disk.file_stamps import FileStamp, flush, take
from chilly_movies.drivers.torrent.resume_claim import ResumeClaim, decode
from chilly_movies.errors import DiskError
from chilly_movies.runtime import failpoints


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
    claim = ResumeClaim(b"d4:infoe\n\x00\xff", flush(staged, NAMES, {}), closed=True)
    again = decode(claim.encode())
    assert again is not None
    assert (again.data, again.closed) == (claim.data, True)
    assert again.holds(again.staged_paths(staged))


def test_older_versions_read_the_claims_of_this_one(staged: Path) -> None:
    head, _, data = (
        ResumeClaim(b"d", flush(staged, NAMES, {}), closed=True).encode().partition(b"\n")
    )
    known = json.loads(head)
    assert {i: (path, size) for i, path, size, mtime in known["looks"]} == {
        0: ("show/1.mkv", 3), 2: ("show/2.mkv", 6),
    }  # fmt: skip
    assert (known["closed"], data) == (True, b"d")


def test_a_claim_of_an_older_version_holds_but_not_exactly(staged: Path) -> None:
    """It was renewed without a check, so of a published film it is not believed."""
    stamps = flush(staged, NAMES, {})
    older = [[i, stamp.path, stamp.size, stamp.mtime_ns] for i, stamp in stamps.items()]
    claim = decode(json.dumps({"closed": True, "looks": older}).encode() + b"\nd")
    assert claim is not None
    paths = claim.staged_paths(staged)
    assert claim.holds(paths, exactly=False)
    assert not claim.holds(paths)


def test_resume_data_of_an_older_version_is_used_but_not_believed() -> None:
    claim = decode(b"d8:infohash1:xe")
    assert claim is not None
    assert (claim.data, claim.closed) == (b"d8:infohash1:xe", False)


@pytest.mark.parametrize(
    "blob",
    [
        b"{",
        b"[]\nd",
        b'{"closed":true}\nd',
        b"\xff\xff",
        b"",
        b'{"closed":true,"looks":[[0,"a",1,1]],"ctimes":[]}\nd',
        b'{"closed":true,"looks":[[0,"a",1,1]],"ctimes":7}\nd',
    ],
)
def test_a_damaged_blob_is_no_claim(blob: bytes) -> None:
    assert decode(blob) is None


@pytest.mark.parametrize(
    "damage", ["bit", "hole", "short", "long", "gone", "swapped", "touched", "set back"]
)
def test_a_claim_does_not_hold_once_a_file_was_written_to(staged: Path, damage: str) -> None:
    claim = ResumeClaim(b"", flush(staged, NAMES, {}))
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
    elif damage == "set back":
        then = path.stat()
        while path.stat().st_ctime_ns == then.st_ctime_ns:  # the clock of the system is coarse
            path.write_bytes(b"SECOND")
            os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    else:
        content = {"bit": b"sekond", "hole": b"\0" * 6, "short": b"seco", "long": b"second!"}
        path.write_bytes(content[damage])
        os.utime(path, ns=(5, 5))  # the clock may be too coarse to tell
    assert not claim.holds(claim.staged_paths(staged))


def test_only_what_was_written_to_since_is_flushed_again(staged: Path, flushed: list[str]) -> None:
    for name in NAMES.values():
        os.utime(staged / name, ns=(10**9, 10**9))
    stamps = flush(staged, NAMES, {})
    assert flushed[:2] == ["1.mkv", "2.mkv"]
    assert set(flushed[2:]) == {"show", "key", ".incomplete", "media"}
    flushed.clear()
    os.utime(staged / "show" / "2.mkv", ns=(2 * 10**9, 2 * 10**9))
    again = flush(staged, NAMES, stamps)
    assert flushed == ["2.mkv"]
    flushed.clear()
    flush(staged, NAMES, again)
    assert flushed == []


def test_a_file_that_was_written_to_a_moment_ago_is_flushed_again(
    staged: Path, flushed: list[str]
) -> None:
    stamps = flush(staged, NAMES, {})
    flushed.clear()
    flush(staged, NAMES, stamps)  # its time of change is too fresh to tell a second write from it
    assert flushed == ["1.mkv", "2.mkv"]


@pytest.mark.parametrize("how", ["gone", "short"])
def test_a_file_that_is_taken_away_or_cut_short_is_a_disk_error(staged: Path, how: str) -> None:
    stamps = flush(staged, NAMES, {})
    path = staged / "show" / "2.mkv"
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"s")
    with pytest.raises(DiskError, match=r"2\.mkv"):
        flush(staged, NAMES, stamps)


def test_files_that_are_not_there_yet_are_no_problem(staged: Path) -> None:
    assert set(flush(staged, {**NAMES, 3: "show/later.mkv"}, {})) == {0, 2}


def test_a_symlink_is_not_followed(staged: Path) -> None:
    (staged / "show" / "1.mkv").unlink()
    (staged / "show" / "1.mkv").symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        flush(staged, NAMES, {})


def test_a_claim_follows_what_we_rename_and_nothing_else(staged: Path) -> None:
    claim = ResumeClaim(b"", flush(staged, NAMES, {}))
    paths = {i: staged / f"{i}.mkv" for i in NAMES}
    for index, path in claim.staged_paths(staged).items():
        path.rename(paths[index])
    renamed = claim.renamed(paths)
    assert renamed is not None
    assert renamed.holds(paths)
    assert claim.renamed({0: paths[0]}) is None
    paths[2].write_bytes(b"second!")
    assert claim.renamed(paths) is None


def test_files_that_are_only_read_are_looked_at_through_links_and_pipes_are_left_out(
    staged: Path, flushed: list[str]
) -> None:
    (staged / "show" / "1.mkv").replace(staged / "elsewhere")
    (staged / "show" / "1.mkv").symlink_to(staged / "elsewhere")
    os.mkfifo(staged / "pipe")
    stamps = take(staged, {**NAMES, 3: "pipe", 4: "missing"})
    assert set(stamps) == {0, 2}
    assert flushed == ["elsewhere", "2.mkv"]
    assert ResumeClaim(b"", stamps).holds({i: staged / name for i, name in NAMES.items()})


def test_a_look_without_its_file_does_not_hold(staged: Path) -> None:
    claim = ResumeClaim(b"", {0: FileStamp("show/1.mkv", 3, 1)})
    assert not claim.holds({})
    assert not ResumeClaim(b"").holds({})


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

"""Names and places on the disk: hostile text becomes harmless, nothing is ever replaced."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chilly_movies import names
from chilly_movies.disk import files as disk

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(list('/\\:*?"<>|. \t\n\0aA~$%CONconprn1\u202e\u200b\u0301\ud800é')),
        st.characters(),
    ),
    max_size=300,
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Film (2020).mkv", "Film (2020).mkv"),
        ("a/b\\c:d", "a_b_c_d"),
        ("<>\"|?*", "______"),
        ("", "unnamed"), (".", "_"), ("..", "_"), ("...", "_"), ("   ", "unnamed"),
        (".bashrc", "_bashrc"), ("film. . .", "film"), (" film ", "film"),
        ("con", "_con"), ("CON.txt", "_CON.txt"), ("com1 .mkv", "_com1 .mkv"), ("conan", "conan"),
        ("a\u202egnp.exe", "agnp.exe"), ("a\x00\x1f\x7fb", "ab"), ("\ud800x", "_x"),
        ("e\u0301", "é"), ("e\u200d\u0301", "é"), ("Amélie ✓", "Amélie ✓"),
    ],
)  # fmt: skip
def test_names_become_what_we_expect(name: str, safe: str) -> None:
    assert names.safe_name(name) == safe


@given(HOSTILE)
@example("con." + "x" * 300)
@example("x" * 190 + "." + "é" * 20)
@example("." * 250)
def test_a_safe_name_is_one_harmless_component_of_at_most_200_bytes(name: str) -> None:
    safe = names.safe_name(name)
    assert 1 <= len(safe.encode()) <= 200
    assert not set(safe) & set('/\\:*?"<>|')
    assert not safe.startswith((".", " "))
    assert not safe.endswith((".", " "))
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") for c in safe)
    assert safe.split(".")[0].rstrip().lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")
    assert Path(safe).name == safe


@given(HOSTILE)
def test_a_safe_name_is_safe_already(name: str) -> None:
    safe = names.safe_name(name)
    assert names.safe_name(safe) == safe


def test_a_long_name_keeps_its_suffix() -> None:
    safe = names.safe_name("ü" * 300 + ".mkv")
    assert safe.endswith("ü.mkv")
    assert len(safe.encode()) in (199, 200)
    assert len(names.safe_name("x" * 100 + "." + "y" * 300).encode()) == 200


@given(st.lists(st.text("aAbB/.: ", max_size=12) | HOSTILE, max_size=20))
def test_safe_paths_are_relative_harmless_and_distinct_to_a_case_blind_disk(
    paths: list[str],
) -> None:
    safe = list(names.safe_paths(paths))
    assert len(safe) == len(paths)
    assert len({unicodedata.normalize("NFC", path).casefold() for path in safe}) == len(safe)
    for path in safe:
        parts = path.split("/")
        assert path
        assert not path.startswith("/")
        assert all(part not in ("", ".", "..") and len(part.encode()) < 255 for part in parts)


def test_a_file_never_has_the_name_of_a_folder_above_another_one() -> None:
    paths = ["f/a", "f/a/b/c", "f/A/B", "f/a (2)/d", "f"]
    assert list(names.safe_paths(paths)) == [
        "f/a (3)", "f/a/b/c", "f/A/B (2)", "f/a (2)/d", "f (2)",
    ]  # fmt: skip


def test_safe_paths_keep_folders_and_number_only_the_last_component() -> None:
    assert list(names.safe_paths(["F/a.mkv", "F/A.mkv", "F/../a.mkv", "/etc/passwd", ""])) == [
        "F/a.mkv", "F/A (2).mkv", "F/a (3).mkv", "etc/passwd", "unnamed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "second"),
    [
        ("film.mkv", "film (2).mkv"), ("film", "film (2)"), ("d.e/film", "d.e/film (2)"),
        ("Dr. No", "Dr. No (2)"), ("a.tar.gz", "a.tar (2).gz"),
        ("film.director cut", "film.director cut (2)"),
    ],
)  # fmt: skip
def test_numbers_go_before_the_suffix(path: str, second: str) -> None:
    assert list(itertools.islice(names.numbered(path), 2)) == [path, second]


def test_a_free_name_is_one_that_nothing_has_not_even_a_broken_link(tmp_path: Path) -> None:
    assert disk.free_name(tmp_path, "film.mkv") == "film.mkv"
    (tmp_path / "film.mkv").write_bytes(b"")
    (tmp_path / "film (2).mkv").symlink_to("nowhere")
    (tmp_path / "film (3).mkv").mkdir()
    assert disk.free_name(tmp_path, "film.mkv") == "film (4).mkv"


def test_unfinished_data_lies_under_the_media_root_in_a_folder_named_by_us() -> None:
    assert disk.staging_folder(Path("/m"), "key") == Path("/m/.incomplete/key")


class NoRename:
    """A C library without renameat2."""


def no_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoRename())


def refusing_rename(code: int) -> Callable[[pytest.MonkeyPatch], None]:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        library = NoRename()
        library.renameat2 = lambda *_: -1  # type: ignore[attr-defined]
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
        monkeypatch.setattr(ctypes, "get_errno", lambda: code)

    return patch


@pytest.fixture(params=["kernel", "old library", "old file system"])
def any_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "old library":
        no_rename(monkeypatch)
    elif request.param == "old file system":
        refusing_rename(errno.EINVAL)(monkeypatch)


@pytest.mark.usefixtures("any_way")
def test_publishing_moves_a_file_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"film")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_bytes(b"a")
    disk.publish(tmp_path / "staged", tmp_path / "film.mkv")
    disk.publish(tmp_path / "folder", tmp_path / "Film")
    assert (tmp_path / "film.mkv").read_bytes() == b"film"
    assert (tmp_path / "Film/a").read_bytes() == b"a"
    assert names_in(tmp_path) == ["Film", "film.mkv"]


@pytest.mark.usefixtures("any_way")
@pytest.mark.parametrize("there", ["file", "empty folder", "broken link"])
@pytest.mark.parametrize("staged", ["file", "folder"])
def test_publishing_replaces_nothing(tmp_path: Path, there: str, staged: str) -> None:
    source, target = tmp_path / "staged", tmp_path / "target"
    source.mkdir() if staged == "folder" else source.write_bytes(b"new")
    if there == "file":
        target.write_bytes(b"old")
    elif there == "empty folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        disk.publish(source, target)
    assert source.exists()
    assert there != "file" or target.read_bytes() == b"old"
    assert there != "empty folder" or target.is_dir()
    assert there != "broken link" or (target.is_symlink() and not target.exists())


def test_a_refused_rename_is_told_and_leaves_no_empty_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "staged").write_bytes(b"film")
    refusing_rename(errno.EACCES)(monkeypatch)
    with pytest.raises(PermissionError):
        disk.publish(tmp_path / "staged", tmp_path / "film.mkv")
    no_rename(monkeypatch)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="another disk"):
        disk.publish(tmp_path / "staged", tmp_path / "film.mkv")
    assert names_in(tmp_path) == ["staged"]


def test_flushing_reads_the_whole_tree_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/film").write_bytes(b"film")
    disk.flush_tree(tmp_path / "a")
    disk.flush_tree(tmp_path / "a/b/film")
    (tmp_path / "a/link").symlink_to("/dev/null")
    with pytest.raises(OSError, match="is a link"):
        disk.flush_tree(tmp_path / "a")


def test_deleting_a_tree_takes_what_is_there_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/film").write_bytes(b"film")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/film").write_bytes(b"film")
    (tmp_path / "mine/link").symlink_to(tmp_path / "other")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for name in ("mine", "link", "never"):
        disk.delete_tree(tmp_path / name)
    assert names_in(tmp_path) == ["other"]
    assert (tmp_path / "other/film").exists()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plant(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"film")


def test_deleting_files_takes_them_and_the_folders_left_empty(tmp_path: Path) -> None:
    plant(tmp_path, "Film/a.mkv", "Film/extra/b.srt", "Other/c.mkv")
    disk.delete_files(tmp_path, ["Film/a.mkv", "Film/extra/b.srt", "Film/never.mkv"])
    assert names_in(tmp_path) == ["Other"]


def test_files_of_others_stay_and_so_does_their_folder(tmp_path: Path) -> None:
    plant(tmp_path, "Film/a.mkv", "Film/my notes.txt")
    disk.delete_files(tmp_path, ["Film/a.mkv"])
    assert names_in(tmp_path / "Film") == ["my notes.txt"]


def test_the_media_root_itself_is_never_deleted(tmp_path: Path) -> None:
    plant(tmp_path, "media/film.mkv")
    disk.delete_files(tmp_path / "media", ["film.mkv"])
    assert (tmp_path / "media").is_dir()


@pytest.mark.parametrize("path", ["../secret", "{abs}/secret", "a/../../secret", "out/secret"])
def test_nothing_outside_of_the_media_root_is_deleted(tmp_path: Path, path: str) -> None:
    plant(tmp_path, "secret", "media/a/film.mkv")
    (tmp_path / "media/out").symlink_to(tmp_path)
    disk.delete_files(tmp_path / "media", [path.format(abs=tmp_path)])
    assert (tmp_path / "secret").exists()


def test_a_link_in_place_of_a_film_is_deleted_and_not_what_it_leads_to(tmp_path: Path) -> None:
    plant(tmp_path, "secret")
    (tmp_path / "media").mkdir()
    (tmp_path / "media/film.mkv").symlink_to(tmp_path / "secret")
    disk.delete_files(tmp_path / "media", ["film.mkv"])
    assert (tmp_path / "secret").exists()
    assert names_in(tmp_path / "media") == []


def test_thousands_of_files_that_want_one_name_cost_a_step_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = 0
    make = names._with_number

    def counting(path: str, number: int) -> str:
        nonlocal tried
        tried += 1
        return make(path, number)

    monkeypatch.setattr(names, "_with_number", counting)
    paths = list(
        names.safe_paths(f"e\u0301{'.' * (n % 3)}{chr(0x200B) * (n % 5)}" for n in range(20_000))
    )
    assert len(set(paths)) == 20_000
    assert tried < 20_000
    long = [*names.safe_paths(["x" * 200 + ".mkv", "y/" + "x" * 200] * 50)]
    assert len(set(long)) == 100
    assert all(len(part.encode()) <= 200 for path in long for part in path.split("/"))

"""Roots: what a path may name, how it is written, and that nothing leads out of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chilly_movies.disk.roots import Roots, read_roots
from chilly_movies.errors import InvalidSource, SettingsError, SourceRejected, SourceUnavailable
from chilly_movies.settings import load_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("films/old", "media/.incomplete", "state", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "films/old/a.mkv").write_bytes(b"a film")
    (tmp_path / "elsewhere/secret.mkv").write_bytes(b"not for us")
    return tmp_path


def roots_of(home: Path) -> Roots:
    folders = {"films": home / "films", "old": home / "films/old", "home": home}
    return Roots(folders, (home / "media", home / "state"))


def test_a_place_is_written_by_the_name_of_the_innermost_root(home: Path) -> None:
    roots = roots_of(home)
    for text in (f"{home}/films/old/a.mkv", "films/old/a.mkv", "home//films/./old/a.mkv"):
        place = roots.find(text)
        assert (place.urn, place.name) == ("old/a.mkv", "a.mkv")


def test_a_root_behind_a_link_is_known_by_both_of_its_paths(home: Path) -> None:
    (home / "way").symlink_to(home / "films")
    roots = Roots({"films": home / "way"})
    for text in (f"{home}/way/b.mkv", f"{home}/films/b.mkv"):
        assert roots.find(text).urn == "films/b.mkv"


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "nowhere/a.mkv", "a.mkv", "", "films/../../etc/passwd", "films/\0", "~/a"],
)
def test_what_lies_in_no_root_is_refused_without_its_path(home: Path, text: str) -> None:
    with pytest.raises(InvalidSource) as refused:
        Roots({"films": home / "films"}).find(text)
    assert str(home) not in str(refused.value)
    assert "etc" not in str(refused.value)


def test_the_refusal_says_which_setting_to_change(home: Path) -> None:
    for roots in (Roots({}), roots_of(home)):
        with pytest.raises(InvalidSource, match="CHILLY_ROOTS"):
            roots.find("/etc/passwd")


@pytest.mark.parametrize("name", ["media/film.mkv", "state/chilly.db", "media", ""])
def test_what_we_keep_ourselves_is_no_source_nor_what_holds_it(home: Path, name: str) -> None:
    with pytest.raises(InvalidSource, match="media folder or the state folder"):
        roots_of(home).find(f"{home}/{name}")


def test_no_link_below_a_root_is_followed(home: Path) -> None:
    (home / "films/out").symlink_to(home / "elsewhere")
    (home / "films/out.mkv").symlink_to(home / "elsewhere/secret.mkv")
    os.mkfifo(home / "films/pipe.mkv")
    roots = Roots({"films": home / "films"})
    for name in ("out/secret.mkv", "out.mkv", "pipe.mkv"):
        with pytest.raises(SourceRejected):
            roots.find(f"films/{name}").open_file()
    handle = roots.find("films/old/a.mkv").open_file()
    assert os.read(handle, 10) == b"a film"
    os.close(handle)


def test_a_root_that_is_away_may_come_back(home: Path) -> None:
    with pytest.raises(SourceUnavailable, match="'usb' of CHILLY_ROOTS is not there"):
        Roots({"usb": home / "usb"}).find("usb/a.mkv").open_file()


def test_roots_are_named_once_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_roots(["a = /x", "b=~/y"]) == {"a": Path("/x"), "b": tmp_path / "y"}
    for texts in (["/x"], ["a=x"], ["=/x"], ["a/b=/x"], ["a=/x", "a=/y"], ["a="]):
        with pytest.raises(ValueError, match=r"must|twice"):
            read_roots(texts)
    monkeypatch.setenv("CHILLY_ROOTS", "films:/srv")
    with pytest.raises(SettingsError, match="CHILLY_ROOTS is malformed: must look like films="):
        load_settings()

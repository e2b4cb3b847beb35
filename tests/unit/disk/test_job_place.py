"""What of a job is deleted from the disk, whichever driver ran it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.disk.job_place import Place
from chilly_movies.errors import DiskError
from chilly_movies.jobs.models import Job, MediaFile, Status
from tests.doubles import NOON, make_job

FILES = (MediaFile(0, "film.mkv", 4),)


def published(root: Path, **changes: object) -> Job:
    """A job whose film lies in the media root, although its row does not say so yet."""
    (root / "film.mkv").write_bytes(b"film")
    job = make_job("a", Status.CANCELED, path="film.mkv", files=FILES)
    return replace(job, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("ours", [True, False])
def test_what_was_published_a_moment_ago_goes_if_the_driver_says_that_it_is_ours(
    tmp_path: Path, ours: bool
) -> None:
    job = published(tmp_path)
    Place(tmp_path).delete(job, FILES, delete_files=False, ours=lambda _: ours)
    assert (tmp_path / "film.mkv").exists() is not ours


def test_while_data_is_staged_nothing_in_the_media_root_is_ours(tmp_path: Path) -> None:
    place, job = Place(tmp_path), published(tmp_path)
    place.make_staging(job.key)
    (place.staging(job.key) / "film.mkv").write_bytes(b"fi")
    place.delete(job, FILES, delete_files=False, ours=lambda _: True)
    assert (tmp_path / "film.mkv").exists()
    assert not place.staging(job.key).exists()


@pytest.mark.parametrize("delete_files", [True, False])
def test_a_finished_film_goes_only_if_that_is_wanted(tmp_path: Path, delete_files: bool) -> None:
    job = published(tmp_path, status=Status.COMPLETED, completed_at=NOON)
    Place(tmp_path).delete(job, FILES, delete_files=delete_files, ours=lambda _: True)
    assert (tmp_path / "film.mkv").exists() is not delete_files


def _link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _link_to_a_film(path: Path) -> None:
    path.with_name("other").write_bytes(b"film")
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize("name", ["Film", "Film/film.mkv"])
@pytest.mark.parametrize("put", [_link_to_nothing, _link_to_a_film, Path.mkdir, os.mkfifo])
def test_what_lies_in_a_films_place_and_is_no_file_is_named_before_anything_is_written(
    tmp_path: Path, name: str, put: Callable[[Path], object]
) -> None:
    files = (MediaFile(0, "Film/film.mkv", 4), MediaFile(1, "Film/unwanted", 4, wanted=False))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    put(tmp_path / name)
    if (name, put) == ("Film", Path.mkdir):
        Place(tmp_path).require_room(files)
        return
    with pytest.raises(DiskError, match=f"'{Path(name).name}' is .*; move it away"):
        Place(tmp_path).require_room(files)


def test_a_film_of_which_some_is_there_has_room_also_in_a_folder_that_is_a_link(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    place.require_room((MediaFile(0, "Film/film.mkv", 4),))
    (tmp_path / "other").mkdir()
    (tmp_path / "Film").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "film.mkv").write_bytes(b"f")
    place.require_room((MediaFile(0, "Film/film.mkv", 4),))

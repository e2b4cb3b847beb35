"""What of a job is deleted from the disk, whichever driver ran it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.disk.job_place import Place
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

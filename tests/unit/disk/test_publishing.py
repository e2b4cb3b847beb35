"""Publishing for every driver: the name is told before it is used, and nothing is replaced."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import move, publish
from chilly_movies.errors import DiskError
from chilly_movies.jobs.models import MediaFile, Progress, Status
from chilly_movies.runtime.stages import said_by
from tests.doubles import make_job

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A media root in which the film of the job `key` is staged."""
    place = Place(tmp_path)
    place.make_staging("key")
    (place.staging("key") / "film.mkv").write_bytes(b"film")
    return place


def nothing_changed() -> None:
    """A check that finds what was verified."""


async def test_the_name_is_told_before_the_film_is_there(place: Place) -> None:
    staged = place.staging("key") / "film.mkv"
    steps = said_by(
        lambda: publish(staged, place, Progress(), folder="Films/2030", check=nothing_changed)
    )
    seen = [(report.path, staged.exists()) async for report in steps]
    assert seen == [("Films/2030/film.mkv", True)]
    assert (place.root / "Films/2030/film.mkv").read_bytes() == b"film"
    assert not staged.exists()


async def test_a_name_that_is_taken_after_it_was_told_is_left_alone(place: Place) -> None:
    staged, told = place.staging("key") / "film.mkv", []
    steps = said_by(lambda: publish(staged, place, Progress(), folder="", check=nothing_changed))
    async for report in steps:
        told.append(report.path)
        if len(told) == 1:
            (place.root / str(report.path)).write_bytes(b"somebody else's")
    assert told[0] == "film.mkv"
    assert len(told) == 2
    assert (place.root / "film.mkv").read_bytes() == b"somebody else's"
    assert (place.root / str(told[1])).read_bytes() == b"film"


async def test_what_is_not_what_was_verified_stays_where_it_is(place: Place) -> None:
    def changed() -> None:
        raise DiskError("It was changed.")

    staged = place.staging("key") / "film.mkv"
    with pytest.raises(DiskError, match="It was changed"):
        async for _ in said_by(
            lambda: publish(staged, place, Progress(), folder="", check=changed)
        ):
            pass
    assert staged.read_bytes() == b"film"
    assert not (place.root / "film.mkv").exists()


async def test_a_publication_that_is_stopped_when_the_name_is_told_moves_nothing(
    place: Place,
) -> None:
    staged = place.staging("key") / "film.mkv"
    steps = said_by(lambda: publish(staged, place, Progress(), folder="", check=nothing_changed))
    async with aclosing(steps) as reports:
        await anext(reports)
    assert staged.exists()
    assert not (place.root / "film.mkv").exists()


async def test_the_last_report_of_a_move_says_where_the_film_is(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(b"film")
    files = (MediaFile(0, "film.mkv", 4),)
    job = make_job("a", Status.COMPLETED, path="film.mkv", moving_to="Films/film.mkv", files=files)
    *_, last = [report async for report in said_by(lambda: move(job, tmp_path))]
    assert (last.complete, last.path) == (True, "Films/film.mkv")
    assert (tmp_path / "Films/film.mkv").read_bytes() == b"film"

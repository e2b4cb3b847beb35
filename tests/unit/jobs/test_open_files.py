"""What a reader of a film is told when the disk refuses."""

from __future__ import annotations

import pytest

from chilly_movies.errors import DiskError, JobNotFound
from chilly_movies.jobs.open_files import _Watch, _Watched

pytestmark = pytest.mark.anyio


class Broken:
    """A file that vanishes while it is read."""

    size = 100
    name = "film.mkv"

    def __init__(self, watch: _Watch, *, there: bool, removed: bool) -> None:
        self._watch = watch
        self._there = there
        self._removed = removed

    def available(self, offset: int) -> int:
        return 100 - offset if self._there else 0

    async def read(self, offset: int, length: int) -> bytes:
        if self._removed:
            self._watch.end(JobNotFound("The download was removed."))
        raise DiskError("The file is not where it should be.")

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("there", [True, False])
async def test_who_reads_a_film_that_is_removed_hears_that_and_not_of_the_disk(there: bool) -> None:
    watch = _Watch(lambda: False, quiet=False)
    with pytest.raises(JobNotFound):
        await _Watched(Broken(watch, there=there, removed=True), watch).read(0, 10)


@pytest.mark.parametrize("there", [True, False])
async def test_who_reads_a_film_that_nobody_removed_hears_of_the_disk(there: bool) -> None:
    watch = _Watch(lambda: False, quiet=False)
    with pytest.raises(DiskError):
        await _Watched(Broken(watch, there=there, removed=False), watch).read(0, 10)

"""What answers say of a file, as hostile servers say it."""

from __future__ import annotations

import pytest

from chilly_movies.drivers.http.answers import part_of
from chilly_movies.errors import SourceUnavailable

LINK = "http://films.example/film.mkv"


def test_a_size_that_no_file_can_have_is_none() -> None:
    for length in (str(2**63), "9" * 5000):
        assert part_of(200, {"content-length": length}, LINK, 0).total is None
    assert part_of(200, {"content-length": "9" * 18}, LINK, 0).total == 10**18 - 1


@pytest.mark.parametrize("status", [206, 416])
def test_a_part_of_such_a_file_is_refused(status: int) -> None:
    headers = {"content-range": f"bytes 0-0/{2**63}"}
    with pytest.raises(SourceUnavailable):
        part_of(status, headers, LINK, 0)

"""What answers say of a file, as hostile servers say it."""

from __future__ import annotations

import pytest

from chilly_movies.drivers.http.answers import part_of
from chilly_movies.errors import SourceRejected, SourceUnavailable

LINK = "http://films.example/film.mkv"


@pytest.mark.parametrize("length", [str(2**63), str(10**18)])
def test_a_size_that_no_disk_has_is_refused(length: str) -> None:
    with pytest.raises(SourceRejected, match="more than any disk has"):
        part_of(200, {"content-length": length}, LINK, 0)
    for status in (206, 416):
        with pytest.raises(SourceRejected, match="more than any disk has"):
            part_of(status, {"content-range": f"bytes 0-0/{length}"}, LINK, 0)
    assert part_of(200, {"content-length": "9" * 18}, LINK, 0).total == 10**18 - 1


def test_what_is_no_number_is_no_size() -> None:
    assert part_of(200, {"content-length": "9" * 5000}, LINK, 0).total is None
    with pytest.raises(SourceUnavailable):
        part_of(206, {"content-range": f"bytes 0-0/{'9' * 5000}"}, LINK, 0)

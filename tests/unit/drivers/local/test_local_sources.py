"""Which texts are paths, and what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.disk.roots import Roots
from chilly_movies.drivers.local.inspector import LocalSources
from chilly_movies.errors import InvalidSource, SourceNotFound, SourceUnavailable
from chilly_movies.jobs.inspection import Certainty
from chilly_movies.jobs.models import Source, SourceType

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("urn", "certainty"),
    [
        ("/anywhere/a.mkv", Certainty.CERTAIN), ("films/a.mkv", Certainty.CERTAIN),
        ("others/a.mkv", Certainty.NONE), ("films", Certainty.NONE), ("ab" * 20, Certainty.NONE),
        ("https://films/a.mkv", Certainty.NONE), ("magnet:?xt=a/b", Certainty.NONE),
    ],
)  # fmt: skip
def test_a_path_is_absolute_or_begins_with_a_root(
    tmp_path: Path, urn: str, certainty: Certainty
) -> None:
    assert LocalSources(Roots({"films": tmp_path})).recognises(urn) is certainty


async def test_what_lies_at_a_path_is_told_without_saying_where_its_root_is(tmp_path: Path) -> None:
    (tmp_path / "show").mkdir()
    for name, size in (("one.mkv", 7), ("two.mkv", 5)):
        (tmp_path / "show" / name).write_bytes(b"x" * size)
    sources = LocalSources(Roots({"films": tmp_path}))

    def named(path: str) -> Source:
        return Source(SourceType.LOCAL, path)

    found = await sources.inspect(named(f"{tmp_path}/show"), resolve=False)
    assert (found.source.urn, found.name, found.size) == ("films/show", "show", 12)
    assert [(f.path, f.size) for f in found.files] == [("show/one.mkv", 7), ("show/two.mkv", 5)]
    with pytest.raises(SourceNotFound, match="Nothing lies at"):
        await sources.inspect(named("films/none.mkv"), resolve=False)
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await sources.inspect(named(f"films/{'a' * 300}.mkv"), resolve=False)
    with pytest.raises(InvalidSource, match="CHILLY_ROOTS"):
        await sources.inspect(named("/etc/passwd"), resolve=False)

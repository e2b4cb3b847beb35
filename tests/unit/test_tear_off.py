"""The rooms that come off: `lab/tear_off.py` runs all tests without one, here it only tears."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.tear_off import ROOMS, SOURCE, fresh_copy, lost, modules, tear


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_comes_off_with_one_line_of_the_composition_and_one_of_the_settings(
    name: str, tmp_path: Path
) -> None:
    room = ROOMS[name]
    tree = fresh_copy(tmp_path, SOURCE, *room.files)
    before = modules(tree).keys()
    tear(tree, room)
    left = {at: path for at, path in modules(tree).items() if at.startswith("chilly_movies")}
    gone = {f"chilly_movies.{name}" for name in room.public} | before - modules(tree).keys()
    assert lost(left, gone) == {}
    for file in ("app.py", "settings.py"):
        lines = room.lines.get(f"{SOURCE}/{file}", ())
        assert len([line for line in lines if not line.startswith("from ")]) <= 1
        assert f"{SOURCE}/{file}" not in room.swaps.keys() | room.drops.keys()

"""The canned titles: a data file that is read whole, and only when somebody wants it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter

from chilly_movies.catalogue.canned import TITLES, VIDEOS


def contains(shown: Any, written: Any) -> bool:
    """Whether all that is written is in what is shown of it."""
    if isinstance(written, dict):
        return all(name in shown and contains(shown[name], written[name]) for name in written)
    if isinstance(written, list):
        return len(shown) == len(written) and all(map(contains, shown, written))
    return bool(shown == written)


def test_nothing_that_the_data_file_says_is_lost() -> None:
    written = json.loads((files("chilly_movies.catalogue") / "canned.json").read_text())
    dump = TypeAdapter(Any).dump_python
    assert len(TITLES) == 10
    assert contains(dump(TITLES, mode="json"), written["titles"])
    for of in written["videos"]:
        assert contains(dump(VIDEOS[of["kind"], of["id"]], mode="json"), of["videos"])


def test_each_title_has_a_number_of_its_own_and_each_video_a_title() -> None:
    numbers = [(known.title.kind, known.title.id) for known in TITLES]
    assert len({*numbers}) == len(numbers)
    assert VIDEOS.keys() <= {*numbers}


def test_a_server_that_does_not_serve_them_does_not_read_them() -> None:
    script = "import sys, chilly_movies.app; print('chilly_movies.catalogue.canned' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"

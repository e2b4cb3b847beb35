"""Which files are films, by their names."""

from __future__ import annotations

import pytest

from chilly_movies.jobs.models import is_video

FILMS = "mts rmvb rm asf divx f4v ogm m2v m1v mpe 3g2 mxf wtv dvr-ms m2t trp mk3d MKV Mp4 ts vob"
OTHERS = "txt srt mp3 flac jpg exe iso idx sub nfo mka"


@pytest.mark.parametrize("ending", FILMS.split())
def test_all_usual_endings_of_films_are_films(ending: str) -> None:
    assert is_video(f"Films/Film.{ending}")


@pytest.mark.parametrize("ending", OTHERS.split())
def test_what_is_no_film_is_none(ending: str) -> None:
    assert not is_video(f"Film.{ending}")

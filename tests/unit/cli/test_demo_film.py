"""The film of the demo can be watched, with ffmpeg and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pymediainfo import MediaInfo

from chilly_movies.cli.demo_film import make_film

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


def video_of(film: Path) -> tuple[str, int, int, float]:
    """The format, width, height and length in seconds of the only video track."""
    [track] = MediaInfo.parse(film).video_tracks
    return track.format, track.width, track.height, float(track.duration) / 1000


@pytest.mark.parametrize("mib", [1, 3, 66])
async def test_without_ffmpeg_the_film_is_an_avi_of_the_size_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mib: int
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    film = await make_film(tmp_path, mib)
    assert (film.suffix, film.stat().st_size) == (".avi", mib * MIB)
    kind, width, height, seconds = video_of(film)
    assert (kind, width, height) == ("RGB", 160, 90)
    assert seconds == pytest.approx(min(mib, 64) * MIB / 43224 / 25, abs=0.1)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
async def test_with_ffmpeg_the_film_is_an_mp4_that_browsers_play(tmp_path: Path) -> None:
    film = await make_film(tmp_path, 5)
    assert (film.suffix, film.stat().st_size) == (".mp4", 5 * MIB)
    assert video_of(film) == ("AVC", 640, 360, 15.0)
    [sound] = MediaInfo.parse(film).audio_tracks
    assert sound.format == "AAC"


async def test_an_ffmpeg_that_cannot_encode_is_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    assert (await make_film(tmp_path, 4)).suffix == ".avi"

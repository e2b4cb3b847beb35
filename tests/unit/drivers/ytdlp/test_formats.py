"""Which formats are taken for which wish, by yt-dlp's own selection."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from yt_dlp import YoutubeDL  # type: ignore[import-untyped]

from chilly_movies.drivers.ytdlp.formats import selector
from chilly_movies.jobs.options import VideoQuality

_PICTURES = (360, 480, 720, 1080, 2160, 4320)


def _site(*heights: int, sound: bool = True, whole: int | None = 360) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"format_id": f"v{h}", "height": h, "vcodec": "avc1", "acodec": "none", "ext": "mp4"}
        for h in heights
    ]
    if sound:
        found.insert(0, {"format_id": "a", "vcodec": "none", "acodec": "mp4a", "ext": "m4a"})
    if whole:
        found.insert(
            0, {"format_id": "b", "height": whole, "vcodec": "avc1", "acodec": "mp4a", "ext": "mp4"}
        )
    return found


def _taken(quality: VideoQuality, formats: list[dict[str, Any]], *, joins: bool) -> str:
    with YoutubeDL({"quiet": True}, auto_init=False) as chooser:
        choose = chooser.build_format_selector(selector(quality, joins=joins))
        named = [{**one, "url": "x", "protocol": "https"} for one in formats]
        context = {"formats": named, "has_merged_format": True, "incomplete_formats": False}
        found = list(choose(context))
    return str(found[-1]["format_id"]) if found else ""


@pytest.mark.parametrize(
    ("quality", "joined", "whole"),
    [
        ("480", "v480+a", "b"), ("720", "v720+a", "b"), ("1080", "v1080+a", "b"),
        ("2160", "v2160+a", "b"), ("best", "v4320+a", "b"), ("audio", "a", "a"),
    ],
)  # fmt: skip
def test_a_wish_takes_the_best_that_is_not_larger(
    quality: VideoQuality, joined: str, whole: str
) -> None:
    site = _site(*_PICTURES)
    assert _taken(quality, site, joins=True) == joined
    assert _taken(quality, site, joins=False) == whole


def test_a_site_that_has_nothing_so_small_gives_its_smallest() -> None:
    assert _taken("480", _site(720, 1080, whole=None), joins=True) == "v720+a"
    assert _taken("480", _site(whole=1080, sound=False), joins=False) == "b"


@pytest.mark.parametrize("quality", get_args(VideoQuality)[:-1])
def test_a_film_without_sound_is_a_film(quality: VideoQuality) -> None:
    assert _taken(quality, _site(480, sound=False, whole=None), joins=True) == "v480"


def test_what_says_nothing_of_itself_is_taken_for_every_wish() -> None:
    for quality in get_args(VideoQuality):
        for joins in (True, False):
            assert _taken(quality, [{"format_id": "0", "ext": "mp4"}], joins=joins) == "0"

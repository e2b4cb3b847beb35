"""The verdict whether a film plays in browsers."""

from __future__ import annotations

import pytest

from chilly_movies.watching.browsers import plays_in_browsers
from chilly_movies.watching.tracks import AudioTrack, MediaFacts, VideoTrack


def film(container: str, video: str | None, *audio: str, bits: int = 8) -> MediaFacts:
    picture = VideoTrack(video, bit_depth=bits) if video else None
    return MediaFacts(container, video=picture, audio=tuple(AudioTrack(name) for name in audio))


@pytest.mark.parametrize(
    "facts",
    [
        film("MP4", "H.264", "AAC"), film("MP4", "AV1", "Opus"), film("WebM", "VP9", "Opus"),
        film("WebM", "VP8", "Vorbis"), film("MP4", "H.264"), film("MP4", None, "AAC"),
        film("MP3", None, "MP3"), film("MP4", "H.264", "AAC", "DTS"),
    ],
)  # fmt: skip
def test_what_all_browsers_know_plays(facts: MediaFacts) -> None:
    plays, why = plays_in_browsers(facts)
    assert plays
    assert why.startswith("Plays in browsers: ")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (film("Matroska", "H.264", "AAC"),
         "Does not play in every browser: not all know the container Matroska."),
        (film("MP4", "H.265", "AAC"),
         "Does not play in every browser: not all know its picture H.265."),
        (film("MP4", "H.264", "DTS", "AAC"),
         "Does not play in every browser: not all know its sound DTS."),
        (film("MP4", "H.264", "AAC", bits=10),
         "Does not play in every browser: few know H.264 of 10 bits."),
        (film("Matroska", "H.265", "AC-3"),
         ("Does not play in every browser: not all know the container Matroska and not all know "
          "its picture H.265 and not all know its sound AC-3.")),
        (film("AVI", "MPEG-4 Part 2", "MP3"),
         ("Does not play in every browser: not all know the container AVI and not all know its "
          "picture MPEG-4 Part 2.")),
        (film("MP4", None), "Does not play in browsers: it has neither picture nor sound."),
    ],
)  # fmt: skip
def test_what_some_browser_does_not_know_is_named(facts: MediaFacts, why: str) -> None:
    assert plays_in_browsers(facts) == (False, why)

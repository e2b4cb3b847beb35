"""Whether a film plays in today's browsers, all of them: Chromium, Firefox and Safari."""

from __future__ import annotations

from chilly_movies.watching.tracks import MediaFacts

_VIDEO = {"MP4": {"H.264", "VP9", "AV1"}, "WebM": {"VP8", "VP9", "AV1"}}
_AUDIO = {"MP4": {"AAC", "MP3", "Opus", "FLAC"}, "WebM": {"Vorbis", "Opus"}}
_SOUND_ONLY = {"MP3", "WAV", "FLAC", "AAC"}
"""Containers of sound alone that play by themselves."""


def plays_in_browsers(facts: MediaFacts) -> tuple[bool, str]:
    """The verdict, and one sentence for people that says why.

    It judges the file as it is: what browsers play after remuxing or transcoding is no matter.
    """
    if facts.video is None and not facts.audio:
        return False, "Does not play in browsers: it has neither picture nor sound."
    flaws = _flaws(facts)
    if flaws:
        return False, f"Does not play in every browser: {' and '.join(flaws)}."
    codecs = [facts.video.codec] if facts.video else []
    codecs += [facts.audio[0].codec] if facts.audio else []
    return True, f"Plays in browsers: {facts.container} with {' and '.join(codecs)}."


def _flaws(facts: MediaFacts) -> list[str]:
    """What is in the way, each as half a sentence."""
    container = facts.container
    if facts.video is None and container in _SOUND_ONLY:
        return []
    known = container in _VIDEO
    flaws = [] if known else [f"not all know the container {container}"]
    # in a foreign container the codecs matter, too: remuxing it may help, or not
    pictures = _VIDEO.get(container, set().union(*_VIDEO.values()))
    sounds = _AUDIO.get(container, set().union(*_AUDIO.values()))
    if (video := facts.video) is not None:
        if video.codec not in pictures:
            flaws.append(f"not all know its picture {video.codec}")
        elif video.codec == "H.264" and (video.bit_depth or 8) > 8:
            flaws.append(f"few know H.264 of {video.bit_depth} bits")
    if facts.audio and facts.audio[0].codec not in sounds:
        flaws.append(f"not all know its sound {facts.audio[0].codec}")
    return flaws

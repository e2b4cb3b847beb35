"""What is inside a film file: frozen values, as a media probe finds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The picture.

    Attributes:
        codec: as people call it, `H.264` say.
        bit_depth: bits per colour, None if unknown.
        frame_rate: pictures a second, None if unknown or changing.
        hdr: `HDR10`, `HDR10+`, `HLG` or `Dolby Vision`; None for ordinary pictures.
    """

    codec: str
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    bit_depth: int | None = None
    hdr: str | None = None


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track. `language` is a BCP 47 tag, None if the file does not say."""

    codec: str
    language: str | None = None
    channels: int | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class TextTrack:
    """One embedded subtitle track.

    Attributes:
        number: the container's own number of the track.
        codec: `SRT`, `ASS`, `WebVTT`, `Timed Text`; pictures are `PGS` or `VobSub`.
        forced: only for what is foreign in the film.
    """

    number: int
    codec: str
    language: str | None = None
    title: str | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a film file says of itself.

    Attributes:
        container: as people call it, `MP4` or `Matroska` say.
        duration: seconds, None if unknown.
        bitrate: bits a second of everything together, None if unknown.
        audio: the sound tracks; the first is what plays unless one chooses.
        chapters: how many the file names.
    """

    container: str
    duration: float | None = None
    bitrate: int | None = None
    video: VideoTrack | None = None
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[TextTrack, ...] = ()
    chapters: int = 0


@dataclass(frozen=True, slots=True)
class Probed:
    """What a look into a file gave.

    Attributes:
        facts: None if there is nothing a player could use, so far at least.
        missing: where a byte lies that was wanted and has not arrived; None if nothing was.
    """

    facts: MediaFacts | None
    missing: int | None = None


@dataclass(frozen=True, slots=True)
class Cues:
    """Subtitles, ready for a player.

    Attributes:
        vtt: WebVTT whose text is escaped.
        complete: False if a part has not arrived yet.
    """

    vtt: str
    complete: bool = True

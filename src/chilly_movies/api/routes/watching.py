"""What players ask besides the film itself: media facts and playlists."""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import Field

from chilly_movies.api.gates.forwarded import base_url
from chilly_movies.api.gates.signing import DEFAULT_SECONDS, Signer
from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.routes import stream
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import JobId, Shown, answer
from chilly_movies.errors import JobNotFound
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.requests import check_id
from chilly_movies.watching.browsers import plays_in_browsers
from chilly_movies.watching.facts import FactsState, FileFacts, MediaFactsCache
from chilly_movies.watching.playlist import MEDIA_TYPE, playlist

router = part_of_contract("watching")

_UNKNOWN = {
    FactsState.WAITING: "Not known yet: what it takes to tell has not arrived.",
    FactsState.UNREADABLE: "Does not play: there is nothing in it that we know.",
}


class VideoTrackOut(Shown):
    """The picture."""

    codec: str
    width: int | None
    height: int | None
    frame_rate: float | None
    bit_depth: int | None
    hdr: str | None = Field(description="HDR10, HDR10+, HLG or Dolby Vision; null: ordinary.")


class AudioTrackOut(Shown):
    """One sound track; the first is what plays unless one chooses."""

    codec: str
    language: str | None = Field(description="BCP 47, null if the file does not say.")
    channels: int | None
    title: str | None


class TextTrackOut(Shown):
    """One subtitle track inside the film."""

    codec: str
    language: str | None
    title: str | None
    forced: bool


class MediaOut(Shown):
    """What a film says of itself."""

    container: str
    duration: float | None = Field(description="Seconds.")
    bitrate: int | None = Field(description="Bits per second of everything together.")
    video: VideoTrackOut | None
    audio: list[AudioTrackOut]
    subtitles: list[TextTrackOut]
    chapters: int


class FileMediaOut(Shown):
    """A film or music file and what is inside."""

    index: int
    path: str
    size: int
    state: FactsState = Field(description="waiting: ask again when more of it has arrived.")
    plays_in_browsers: bool | None = Field(description="null: not known yet.")
    verdict: str = Field(description="Whether it plays in browsers, in one sentence.")
    media: MediaOut | None


class MediaPage(Shown):
    """The films and music of a job."""

    files: list[FileMediaOut]


def _facts(request: Request) -> MediaFactsCache:
    found: MediaFactsCache = request.app.state.facts
    return found


@router.get("/downloads/{id}/media", response_model=MediaPage, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_media(request: Request, id: JobId) -> Response:  # noqa: A002 (the contract's name)
    """What is inside the films: length, codecs, languages, and whether browsers play them.

    Read as soon as their heads have arrived; answered within about a second.
    """
    told = await _facts(request).of_job(check_id(id))
    return answer(MediaPage(files=[_file_out(one) for one in told]))


@router.get(
    "/stream/{id}.m3u8",
    responses={
        **documented(404, 422, 503),
        200: {
            "description": "Extended M3U with absolute links.",
            "content": {"audio/x-mpegurl": {"schema": {"type": "string"}}},
        },
    },
    response_class=Response,
    name="get_playlist",
)
@router.head(
    "/stream/{id}.m3u8",
    response_class=Response,
    name="head_playlist",
    responses=documented(404, 422, 503),
)
@stream.FILM
async def get_playlist(request: Request, id: JobId) -> Response:  # noqa: A002
    """All films of a job in order, for VLC, mpv and their kin. Its links need no key.

    If there is a job called `<id>.m3u8`, this is its film.
    """
    whole = f"{id}.m3u8"
    if await _is_known(request, whole):
        return await stream.stream_film(request, whole)
    job = await _downloader(request).status(check_id(id))
    base = base_url(request.scope, request.app.state.public_url)
    seconds = _seconds_left(request)

    def link(index: int) -> str:
        return base + link_to(request, f"/stream/{job.id}/{index}", seconds)

    text = playlist(job, _facts(request), link)
    return Response(text.encode(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def _is_known(request: Request, job_id: str) -> bool:
    try:
        await _downloader(request).status(job_id)
    except JobNotFound:
        return False
    return True


def _downloader(request: Request) -> Downloader:
    found: Downloader = request.app.state.downloader
    return found


def _seconds_left(request: Request) -> int:
    """Returns how long links may hold: not longer than the signed one that led here."""
    expires = request.query_params.get("expires", "")
    if "sig" in request.query_params and expires.isdecimal():
        signer: Signer = request.app.state.signer
        return signer.seconds_left(expires)
    return DEFAULT_SECONDS


def link_to(request: Request, path: str, seconds: int = DEFAULT_SECONDS) -> str:
    """Returns the path, signed if there are keys."""
    signer: Signer = request.app.state.signer
    return signer.sign(path, seconds) if request.app.state.wants_keys else path


def _file_out(one: FileFacts) -> FileMediaOut:
    plays, verdict = plays_in_browsers(one.facts) if one.facts else (None, _UNKNOWN[one.state])
    return FileMediaOut(
        index=one.file.index,
        path=one.file.path,
        size=one.file.size,
        state=one.state,
        plays_in_browsers=False if one.state is FactsState.UNREADABLE else plays,
        verdict=verdict,
        media=None if one.facts is None else MediaOut.model_validate(one.facts),
    )

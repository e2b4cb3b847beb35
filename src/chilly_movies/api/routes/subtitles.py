"""The subtitles of a job: which there are, and each as WebVTT."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import Field

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.routes.watching import link_to
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import JobId, Shown, answer
from chilly_movies.jobs.requests import check_id
from chilly_movies.watching.subtitles import Subtitle, Subtitles, SubtitleSource

router = part_of_contract("watching")

_VTT = "text/vtt; charset=utf-8"


class SubtitleOut(Shown):
    """One choice in a subtitle menu."""

    n: str = Field(description="Its name in the URL.")
    label: str = Field(description="For people.")
    language: str | None = Field(description="BCP 47, null if unknown.")
    source: SubtitleSource
    file: int = Field(description="Index of the file it is read from.")
    film: int | None = Field(description="Index of its film, null if that is not clear.")
    format: str = Field(description="What it is made from; what you get is WebVTT.")
    forced: bool = Field(description="Only for what is foreign in the film.")
    sdh: bool = Field(description="For people who hear badly.")
    url: str = Field(description="Path and query; signed if the server wants keys.")


class SubtitlesOut(Shown):
    """The subtitles of a job that are known so far."""

    subtitles: list[SubtitleOut]


def _subtitles(request: Request) -> Subtitles:
    found: Subtitles = request.app.state.converter
    return found


@router.get("/subtitles/{id}", response_model=SubtitlesOut, responses=documented(404, 422))
@Policy(KeyScope.READ, signable=True, embeddable=True)
async def list_subtitles(request: Request, id: JobId) -> Response:  # noqa: A002
    """Subtitle files beside the films, and text tracks inside them."""
    job_id = check_id(id)
    found = await _subtitles(request).of_job(job_id)
    return answer(SubtitlesOut(subtitles=[_subtitle_out(request, job_id, one) for one in found]))


@router.get(
    "/subtitles/{id}/{n}.vtt",
    responses={
        **documented(404, 409, 422, 503),
        200: {"description": "WebVTT.", "content": {"text/vtt": {"schema": {"type": "string"}}}},
    },
    response_class=Response,
)
@Policy(KeyScope.READ, signable=True, embeddable=True)
async def get_subtitle(
    request: Request,
    id: JobId,  # noqa: A002 (the contract's name)
    n: Annotated[str, Path(pattern=r"^[0-9]{1,9}(-[0-9]{1,9})?$", examples=["1", "0-3"])],
) -> Response:
    """Subtitles as WebVTT: text, times and italics, nothing that a page could mistake for HTML."""
    cues = await _subtitles(request).cues(check_id(id), n)
    kept = "private, max-age=3600" if cues.complete else "no-store"
    return Response(cues.vtt.encode(), media_type=_VTT, headers={"Cache-Control": kept})


def _subtitle_out(request: Request, job_id: str, one: Subtitle) -> SubtitleOut:
    url = link_to(request, f"/subtitles/{job_id}/{one.n}.vtt")
    return SubtitleOut(**asdict(one), url=url)


TOPIC = Topic("converter", router, lambda converter, jobs, facts: Subtitles(jobs, facts, converter))

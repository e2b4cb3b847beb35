"""The files of a download: how far each is, and which to have first."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated

from fastapi import Request, Response
from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from chilly_movies.api.policy import Body, KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire.headers import media_type
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import JobId, JsonBody, Shown, answer, example
from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import FileStanding, Job
from chilly_movies.jobs.options import MAX_FILES, TOP_PRIORITY
from chilly_movies.jobs.requests import check_id

router = part_of_contract("downloads")

_Index = Annotated[int, Field(ge=0, lt=MAX_FILES)]
_Priority = Annotated[
    int,
    Field(ge=0, le=TOP_PRIORITY, description="0 = not wanted, 1 to 7 = the higher the earlier."),
]


class FileState(Shown):
    """One file of a download."""

    index: int
    path: str = Field(description="Relative to the media folder.")
    size: int
    percent: float = Field(ge=0, le=100, description="How much of it has arrived.")
    priority: _Priority
    media_type: str
    stream_url: str = Field(description="Where it can be played, while it arrives, too.")


class FilesOut(Shown):
    """The files of a download; none before its metadata is known."""

    files: list[FileState]


class FileChoice(TypedDict):
    """What one file is worth."""

    # a plain dictionary, because a body may hold 20,000 of them
    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    index: _Index
    priority: _Priority


_Choice = Annotated[FileChoice, AfterValidator(itemgetter("index", "priority"))]
"""A pair in the end, which takes a third of the memory of a dictionary."""


class ChoiceBody(JsonBody):
    """Files and what they are worth; those that are not named stay as they are."""

    model_config = example(files=[{"index": 0, "priority": 7}])

    files: Annotated[list[_Choice], Field(fail_fast=True)] = Field(
        min_length=1, max_length=MAX_FILES
    )


@router.get("/downloads/{id}/files", response_model=FilesOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_files(request: Request, id: JobId) -> Response:  # noqa: A002
    """Every file of a download, and how far it is."""
    downloader: Downloader = request.app.state.downloader
    job = await downloader.status(check_id(id))
    return _answer(job, await downloader.files(job.id))


@router.patch(
    "/downloads/{id}/files",
    response_model=FilesOut,
    responses=documented(404, 408, 409, 413, 415, 422),
)
@Policy(KeyScope.CONTROL, body=Body(1024 * 1024))
async def choose_files(request: Request, id: JobId, body: ChoiceBody) -> Response:  # noqa: A002
    """Choose which files to have and which first, before the download, while it runs or paused.

    A completed download cannot be changed any more: start it again for other files.
    """
    downloader: Downloader = request.app.state.downloader
    chosen: dict[int, int] = dict(body.files)  # type: ignore[arg-type]
    if len(chosen) != len(body.files):
        raise InvalidRequest("A file is named twice.", field="files")
    job = await downloader.choose_files(check_id(id), chosen)
    return _answer(job, await downloader.files(job.id))


def _answer(job: Job, standings: Sequence[FileStanding]) -> Response:
    known = {standing.index: standing for standing in standings}
    files = [_file(job, number, known) for number in range(len(job.files))]
    return answer(FilesOut(files=files))


def _file(job: Job, number: int, known: dict[int, FileStanding]) -> FileState:
    file = job.files[number]
    standing = known.get(file.index, FileStanding(file.index, 0, 0))
    percent = 100 * standing.done / file.size if file.size else 100.0 * file.wanted
    if standing.done < file.size:
        percent = min(99.99, percent)
    return FileState(
        index=file.index,
        path=file.path,
        size=file.size,
        percent=round(percent, 2),
        priority=standing.priority,
        media_type=media_type(file.path),
        stream_url=f"/stream/{job.id}/{file.index}",
    )

"""The `/download/*` routes of the seed, and `/downloads`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response

from chilly_movies.api.policy import (
    JSON,
    JSON_OR_UPLOAD,
    SMALL_JSON,
    KeyScope,
    Limit,
    Policy,
    hot,
)
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire import paging
from chilly_movies.api.wire.details import Details
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import (
    IdBody,
    JobDetail,
    JobId,
    JobOut,
    JobPage,
    MoveBody,
    PeerOut,
    PeersOut,
    PositionBody,
    answer,
    job_out,
    to_json,
)
from chilly_movies.api.wire.uploads import is_json, read_json, read_upload
from chilly_movies.jobs.adjustments import AdjustRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.labels import read_label
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.requests import check_id
from chilly_movies.jobs.start_request import StartRequest, checked, parse_form

router = part_of_contract("downloads")
_details = Details()


def _links() -> dict[str, Any]:
    """OpenAPI links: the answer, or the id in it, is what these operations want."""
    verbs = ("pauseJob", "resumeJob", "cancelJob")
    others = (
        "getJobStatus",
        "getJob",
        "adjustJob",
        "removeJob",
        "recheckJob",
        "moveJob",
        "placeJob",
    )
    return {
        **{verb: {"operationId": verb, "requestBody": "$response.body"} for verb in verbs},
        **{it: {"operationId": it, "parameters": {"id": "$response.body#/id"}} for it in others},
    }


def _downloader(request: Request) -> Downloader:
    found: Downloader = request.app.state.downloader
    return found


def _short(job: Job) -> Response:
    return Response(to_json(job_out(job)), media_type="application/json")


@router.post(
    "/download/start",
    response_model=JobOut,
    responses=documented(404, 408, 409, 413, 415, 422, 429, 502),
    summary="Start a download",
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/StartRequest"}},
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/StartUpload"}},
            },
            "required": True,
        },
        "responses": {"200": {"links": _links()}},
    },
)
@Policy(KeyScope.CONTROL, limit=Limit.START, body=JSON_OR_UPLOAD)
async def start_job(request: Request) -> Response:
    """Accept a download and answer at once.

    The same id and source again give the job as it stands. The id alone starts a job again that
    is paused or failed. A `.torrent` file is sent as multipart with the part `torrent`.
    """
    if is_json(request):
        wanted = checked(StartRequest, await read_json(request))
    else:
        wanted = parse_form(*await read_upload(request))
    return _short(await _downloader(request).start(wanted))


_VERB_ERRORS = documented(404, 408, 409, 413, 415, 422)


@router.post("/download/pause", response_model=JobOut, responses=_VERB_ERRORS)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def pause_job(body: IdBody, request: Request) -> Response:
    """Stop all traffic of a job, in both directions, before answering."""
    return _short(await _downloader(request).pause(check_id(body.id)))


@router.post("/download/resume", response_model=JobOut, responses=_VERB_ERRORS)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def resume_job(body: IdBody, request: Request) -> Response:
    """Let a paused or failed job go on from what is there."""
    return _short(await _downloader(request).resume(check_id(body.id)))


@router.post(
    "/download/cancel",
    response_model=JobOut,
    responses=documented(404, 408, 409, 413, 415, 422, 429),
)
@Policy(KeyScope.CONTROL, limit=Limit.CANCEL, body=SMALL_JSON)
async def cancel_job(body: IdBody, request: Request) -> Response:
    """Give a job up and delete its unfinished data; a finished film stays."""
    return _short(await _downloader(request).cancel(check_id(body.id)))


async def hot_status(request: Request) -> Response:
    """The same as `get_job_status`, past the framework: it is polled most."""
    return await get_job_status(request, request.path_params["id"])


@router.get("/download/status/{id}", response_model=JobOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
@hot(hot_status)
async def get_job_status(request: Request, id: JobId) -> Response:  # noqa: A002 (the contract's name)
    """How far a job is."""
    return _short(await _downloader(request).status(check_id(id)))


@router.get("/downloads", response_model=JobPage, responses=documented(422))
@Policy(KeyScope.READ)
async def list_jobs(
    request: Request,
    status: Annotated[list[Status] | None, Query(description="Only these; repeatable.")] = None,
    label: Annotated[
        list[str] | None,
        Query(description="Only jobs with this label, as `key=value`; repeatable: all of them."),
    ] = None,
    sort: Annotated[
        Literal[
            "position",
            "-position",
            "created",
            "-created",
            "updated",
            "-updated",
            "name",
            "-name",
            "percent",
            "-percent",
        ],
        Query(description="A leading - turns the order round."),
    ] = "position",
    limit: Annotated[int, Query(ge=1, le=500, description="Jobs per page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=8192, description="`nextCursor` of the page before.")
    ] = None,
) -> Response:
    """Jobs with all that is known of them, page by page."""
    jobs = await _downloader(request).list()
    labels = [read_label(text) for text in label or ()]
    page = paging.page(jobs, statuses=status, labels=labels, sort=sort, limit=limit, cursor=cursor)
    items = b",".join(await _shown(request, page.jobs))
    rest = to_json({"nextCursor": page.next_cursor, "total": page.total})
    return Response(b'{"items":[%b],%b' % (items, rest[1:]), media_type="application/json")


@router.get("/downloads/{id}", response_model=JobDetail, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_job(request: Request, id: JobId) -> Response:  # noqa: A002 (the contract's name)
    """All that is known of a job."""
    job = await _downloader(request).status(check_id(id))
    return await _detail(request, job)


async def _shown(request: Request, jobs: Sequence[Job]) -> list[bytes]:
    downloader = _downloader(request)
    missing, positions = await downloader.missing(jobs), await downloader.positions()
    return [
        _details.of(job, missing=job.id in missing, position=positions.get(job.id)) for job in jobs
    ]


async def _detail(request: Request, job: Job) -> Response:
    [shown] = await _shown(request, [job])
    return Response(shown, media_type="application/json")


@router.patch(
    "/downloads/{id}",
    response_model=JobDetail,
    responses=documented(404, 408, 409, 413, 415, 422),
)
@Policy(KeyScope.CONTROL, body=JSON)
async def adjust_job(request: Request, id: JobId, body: AdjustRequest) -> Response:  # noqa: A002
    """Change limits, goals, files, folder, order and labels of a job, whether or not it runs.

    Only members that are given change, all of them or none; null = the server's default. Labels are
    merged, and one that is null is removed. What is so already changes nothing and tells nothing.
    """
    job = await _downloader(request).adjust(check_id(id), body)
    return await _detail(request, job)


@router.get("/downloads/{id}/peers", response_model=PeersOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_peers(request: Request, id: JobId) -> Response:  # noqa: A002 (the contract's name)
    """The peers a job is connected to right now, by transport."""
    found = await _downloader(request).peers(check_id(id))
    return answer(PeersOut(peers=[PeerOut.model_validate(peer) for peer in found]))


@router.post("/downloads/{id}/recheck", response_model=JobOut, responses=documented(404, 409, 422))
@Policy(KeyScope.CONTROL)
async def recheck_job(request: Request, id: JobId) -> Response:  # noqa: A002 (the contract's name)
    """Compare every byte of a job on the disk with its hash; nothing is written meanwhile.

    Answers at once; the phase is `checking` until it is done. A finished film that is not what it
    was, or is gone, becomes failed with the code `damaged`, and `resume` mends it where it lies.
    """
    return _short(await _downloader(request).recheck(check_id(id)))


@router.post(
    "/downloads/{id}/move",
    response_model=JobOut,
    responses=documented(404, 408, 409, 413, 415, 422),
)
@Policy(KeyScope.CONTROL, body=JSON)
async def move_job(request: Request, id: JobId, body: MoveBody) -> Response:  # noqa: A002
    """Put a film into another folder of the media folder; one that still arrives gets there later.

    Answers at once: `movingTo` says where a finished film is on its way to, and the event `moved`
    that it is there. Nothing is replaced: if the name is taken it gets a number.
    """
    return _short(await _downloader(request).move(check_id(id), body.folder))


@router.post(
    "/downloads/{id}/position",
    response_model=JobDetail,
    responses=documented(404, 408, 409, 413, 415, 422),
)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def place_job(request: Request, id: JobId, body: PositionBody) -> Response:  # noqa: A002
    """Put a job elsewhere in the queue: queued jobs start in its order, and lists have it.

    What is active stays active. A job has a position while it is queued, active or paused; it
    keeps its place when it fails and is resumed. The event `placed` tells listeners.
    """
    before = None if body.before is None else check_id(body.before)
    job = await _downloader(request).place(check_id(id), body.to, before=before)
    return await _detail(request, job)


@router.delete(
    "/downloads/{id}", status_code=204, response_class=Response, responses=documented(404, 409, 422)
)
@Policy(KeyScope.ADMIN)
async def remove_job(
    request: Request,
    id: JobId,  # noqa: A002 (the contract's name)
    delete_files: Annotated[
        bool, Query(alias="deleteFiles", description="Delete the finished film, too.")
    ] = False,
) -> Response:
    """Take a job from the list. Unfinished data is deleted, a finished film only on request."""
    await _downloader(request).remove(check_id(id), delete_files=delete_files)
    return Response(status_code=204)

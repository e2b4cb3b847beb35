"""Routes of the films and series that the user has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.convertors import StringConvertor, register_url_convertor

from chilly_movies.api.policy import JSON, SMALL_JSON, KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.library import (
    EXAMPLE_ID,
    ITEM_ID,
    DuplicatesOut,
    ImportBody,
    ImportedOut,
    ItemOut,
    ItemPatch,
    LibraryPageOut,
    MatchPut,
    PlanBody,
    PlanOut,
    PositionOut,
    PositionPut,
    PositionsOut,
    RelinkBody,
    ScanBody,
    ScannedOut,
    WatchedOut,
    WatchingOut,
    copies_out,
    short,
)
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import answer
from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.errors import EngineError, InvalidRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.library.library import MAX_VIEWER, Leave, Library
from chilly_movies.library.models import ItemState
from chilly_movies.library.ports import LibraryQuery, Sorting


class _ItemIds(StringConvertor):
    """The part of a path that is an item's id, as no word such as `export` is."""

    regex = "lib-[^/]+"


register_url_convertor("item", _ItemIds())
router = part_of_contract("library", "/library")

_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON lines; the first says what they are.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}
ItemId = Annotated[str, Path(pattern=ITEM_ID, examples=[EXAMPLE_ID])]
Viewer = Annotated[
    str,
    Path(min_length=1, max_length=MAX_VIEWER, description="Any name.", examples=["default"]),
]
Limit = Annotated[int, Query(ge=1, le=500)]
_SORTS = "|".join(Sorting)


def library_of(request: Request) -> Library:
    """The library of the application.

    Raises:
        EngineError: it has none.
    """
    found: Library | None = request.app.state.library
    if found is None:
        raise EngineError("This server has no library.")
    return found


@router.get("", response_model=LibraryPageOut, responses=documented(422))
@Policy(KeyScope.READ)
async def list_library(
    request: Request,
    q: Annotated[
        str | None,
        Query(max_length=200, description="Words of title or cast, whole or begun; typos pass."),
    ] = None,
    kind: TitleKind | None = None,
    state: Annotated[list[ItemState] | None, Query(description="One of these.")] = None,
    genre: Annotated[str | None, Query(max_length=100)] = None,
    year: Annotated[int | None, Query(ge=1870, le=2200)] = None,
    favourite: bool | None = None,
    seen: Annotated[bool | None, Query(description="By the viewer, all of it or not.")] = None,
    viewer: Annotated[str, Query(min_length=1, max_length=MAX_VIEWER)] = "default",
    ref: Annotated[str | None, Query(max_length=300, examples=["tmdb:movie:603"])] = None,
    job: Annotated[str | None, Query(max_length=128, description="Brought by this job.")] = None,
    sort: Annotated[
        str | None,
        Query(
            pattern=f"^-?({_SORTS})$",
            description="`-` before it: the other way round. Absent: the best first with words, "
            "and by title without.",
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """What the user has: searched, filtered, sorted, page after page."""
    query = LibraryQuery(
        text=q or None,
        kind=kind,
        states=tuple(state or ()),
        genre=genre,
        year=year,
        favourite=favourite,
        seen=seen,
        viewer=viewer,
        ref=None if ref is None else read_ref(ref),
        job_id=job,
        sort=None if sort is None else Sorting(sort.lstrip("-")),
        descending=sort is not None and sort.startswith("-"),
        after=cursor,
        limit=limit,
    )
    return await _page(request, query)


async def _page(request: Request, query: LibraryQuery) -> Response:
    page = await library_of(request).page(query)
    shown = LibraryPageOut(
        items=[short(item) for item in page.items], total=page.total, next_cursor=page.next
    )
    return answer(shown)


def read_ref(text: str) -> TitleRef:
    """A title's ref.

    Raises:
        InvalidRequest: it has another form.
    """
    try:
        return TitleRef.read(text)
    except ValueError as error:
        raise InvalidRequest(f"The ref {error}.", field="ref") from None


@router.get("/missing", response_model=LibraryPageOut, responses=documented(422))
@Policy(KeyScope.READ)
async def list_missing(
    request: Request,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """What was not where it was when it was looked for last."""
    query = LibraryQuery(states=(ItemState.MISSING,), after=cursor, limit=limit)
    return await _page(request, query)


@router.get("/watching", response_model=WatchingOut, responses=documented(422))
@Policy(KeyScope.READ)
async def list_watching(
    request: Request,
    viewer: Annotated[str, Query(min_length=1, max_length=MAX_VIEWER)] = "default",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """What a viewer began and did not end, newest first."""
    found = await library_of(request).watching(viewer, limit)
    shown = [
        WatchedOut(item=short(item), position=PositionOut.model_validate(position))
        for item, position in found
    ]
    return answer(WatchingOut(watching=shown))


@router.get("/duplicates", response_model=DuplicatesOut, responses=documented())
@Policy(KeyScope.READ)
async def list_duplicates(request: Request) -> Response:
    """Films that are there more than once. Those that have one size are read in part."""
    found = await library_of(request).duplicates()
    return answer(DuplicatesOut(duplicates=[copies_out(copies) for copies in found]))


@router.post("/scan", response_model=ScannedOut, responses=documented(404, 408, 413, 415, 422))
@Policy(KeyScope.CONTROL, body=JSON)
async def scan_library(request: Request, body: ScanBody) -> Response:
    """Look whether all files are where they were, and take in what is new in some folders."""
    return answer(ScannedOut.model_validate(await library_of(request).scan(body.folders)))


@router.get("/export", responses={**documented(), **_LINES}, response_class=Response)
@Policy(KeyScope.READ)
async def get_library_export(request: Request) -> Response:
    """The whole library as JSON lines: items, then positions."""
    chunks = library_of(request).export()
    return StreamingResponse(chunks, media_type="application/x-ndjson")


@router.get("/{id:item}", response_model=ItemOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_item(request: Request, id: ItemId) -> Response:  # noqa: A002
    """One film or series, with all that is known of it."""
    return answer(ItemOut.model_validate(await library_of(request).get(id)))


@router.patch("/{id:item}", response_model=ItemOut, responses=documented(404, 408, 413, 415, 422))
@Policy(KeyScope.CONTROL, body=JSON)
async def change_item(request: Request, id: ItemId, body: ItemPatch) -> Response:  # noqa: A002
    """Change what is kept of it; what is left out stays."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name in body.model_fields_set
        if (value := getattr(body, name)) is not None
    }
    return answer(ItemOut.model_validate(await library_of(request).edit(id, given)))


@router.put(
    "/{id:item}/match", response_model=ItemOut, responses=documented(404, 408, 413, 415, 422)
)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def choose_title(request: Request, id: ItemId, body: MatchPut) -> Response:  # noqa: A002
    """Say what it is: nothing overrules that. Its facts are fetched and it is filed soon."""
    item = await library_of(request).match(
        id,
        ref=None if body.ref is None else read_ref(body.ref),
        kind=None if body.media_type is None else TitleKind(body.media_type),
        title=body.title,
        year=body.year,
    )
    return answer(ItemOut.model_validate(item))


@router.post("/plan", response_model=PlanOut, responses=documented(404, 408, 413, 415, 422))
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def get_filing_plan(request: Request, body: PlanBody) -> Response:
    """What filing an item would do; nothing is changed."""
    return answer(PlanOut.model_validate(await library_of(request).plan(body.id)))


@router.post("/import", response_model=ImportedOut, responses=documented(404, 408, 413, 415, 422))
@Policy(KeyScope.ADMIN, body=SMALL_JSON)
async def add_library_export(request: Request, body: ImportBody) -> Response:
    """Take over an export that lies in CHILLY_ROOTS; items with the same ids are replaced."""
    return answer(ImportedOut.model_validate(await library_of(request).bring(body.path)))


@router.post("/{id:item}/file", response_model=ItemOut, responses=documented(404, 422))
@Policy(KeyScope.CONTROL)
async def place_item(request: Request, id: ItemId) -> Response:  # noqa: A002
    """File it, also after it was taken out of the tree. It is done soon afterwards."""
    return answer(ItemOut.model_validate(await library_of(request).file(id)))


@router.post("/{id:item}/undo", response_model=ItemOut, responses=documented(404, 422))
@Policy(KeyScope.CONTROL)
async def remove_filing(request: Request, id: ItemId) -> Response:  # noqa: A002
    """Take out of the tree all that filing put there; it stays out until it is filed again."""
    return answer(ItemOut.model_validate(await library_of(request).undo(id)))


@router.post(
    "/{id:item}/relink", response_model=ItemOut, responses=documented(404, 408, 413, 415, 422)
)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def relink_item(request: Request, id: ItemId, body: RelinkBody) -> Response:  # noqa: A002
    """Say where a file of it lies now: in a folder of CHILLY_ROOTS."""
    item = await library_of(request).relink(id, body.file_index, body.path)
    return answer(ItemOut.model_validate(item))


@router.delete(
    "/{id:item}", status_code=204, response_class=Response, responses=documented(404, 409, 422)
)
@Policy(KeyScope.ADMIN)
async def remove_item(
    request: Request,
    id: ItemId,  # noqa: A002 (the contract's name)
    files: Annotated[
        Leave,
        Query(
            description="What becomes of its files. `bin`: they are moved to the folder `.bin` of "
            "the media folder or root that they lie in; with `bin` and `delete` its jobs are "
            "removed, too, and what was filed of it."
        ),
    ] = "keep",
) -> Response:
    """Take it from the library; its files stay unless it is said what becomes of them."""
    await library_of(request).remove(id, files=files)
    return Response(status_code=204)


@router.get(
    "/{id:item}/positions/{viewer}", response_model=PositionsOut, responses=documented(404, 422)
)
@Policy(KeyScope.READ)
async def list_positions(request: Request, id: ItemId, viewer: Viewer) -> Response:  # noqa: A002
    """How far a viewer watched each file of it."""
    found = await library_of(request).positions(id, viewer)
    return answer(PositionsOut(positions=[PositionOut.model_validate(one) for one in found]))


@router.put(
    "/{id:item}/positions/{viewer}",
    response_model=PositionOut,
    responses=documented(404, 408, 413, 415, 422),
)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def put_position(
    request: Request,
    id: ItemId,  # noqa: A002 (the contract's name)
    viewer: Viewer,
    body: PositionPut,
) -> Response:
    """Keep how far a viewer watched a file of it."""
    kept = await library_of(request).put_position(
        id, viewer, body.file_index, body.seconds, seen=body.seen
    )
    return answer(PositionOut.model_validate(kept))


def _make(given: Library | None, _downloader: Downloader, _facts: object) -> Library | None:
    return given


async def _close(library: Library) -> None:
    await library.close_store()


TOPIC = Topic("library", router, _make, _close, is_companion=True)

"""What the library looks like on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from chilly_movies.api.wire.schemas import JsonBody, Moment, Shown, example
from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.library.copies import Copies
from chilly_movies.library.models import FileRole, How, Item, ItemFile, ItemState

ITEM_ID = r"^lib-[a-z2-7]{26}$"
EXAMPLE_ID = "lib-" + "a" * 26
_REF = "Such as `tmdb:movie:603` or `archive:night_of_the_living_dead`."
Ref = Annotated[str, BeforeValidator(lambda ref: str(ref) if isinstance(ref, TitleRef) else ref)]


class ItemFileOut(Shown):
    """A file of an item."""

    index: int = Field(description="Its number in the item; it stays.")
    path: str = Field(
        description="Relative to the media folder; of a film that no job brought `<root>/<path>`."
    )
    size: int = Field(description="Bytes.")
    job_id: str | None = Field(description="The job that brought it; null if none did.")
    job_file: int | None = Field(description="Its index in that job; null if the job is gone.")
    role: FileRole
    season: int | None = Field(description="Of an episode; 0 holds the specials.")
    episodes: list[int]
    quality: str | None
    edition: str | None
    part: int | None
    language: str | None = Field(description="Of a subtitle, a BCP 47 tag.")
    flags: list[str]
    duration: float | None = Field(description="Seconds.")
    filed: str | None = Field(description="Where it stands in the tree that media servers read.")
    how: How | None
    missing: bool = Field(description="It is not where it was.")


class ItemEpisodeOut(Shown):
    """What is known of an episode."""

    season: int
    number: int
    title: str
    overview: str
    air_date: str | None
    runtime: int | None = Field(description="Minutes.")


class MatchOut(Shown):
    """What an item might be."""

    ref: Ref = Field(description=_REF)
    title: str
    year: int | None
    score: float = Field(ge=0, le=1)
    reasons: list[str] = Field(description="Sentences that say what speaks for and against it.")


class ItemFactsOut(Shown):
    """What a catalogue, an NFO file or the user says of an item."""

    original_title: str
    tagline: str
    overview: str
    released: str | None = Field(description="YYYY-MM-DD.")
    runtime: int | None = Field(description="Minutes.")
    rating: float | None = Field(description="0-10.")
    votes: int
    language: str | None
    genres: list[str]
    cast: list[str]
    roles: list[str] = Field(description="The part of each of the cast; empty if unknown.")
    directors: list[str]
    external_ids: dict[str, str]


class ItemShortOut(Shown):
    """A film or a series as lists show it."""

    id: str
    kind: TitleKind
    title: str
    year: int | None
    ref: Ref | None = Field(description=_REF)
    state: ItemState
    reason: str | None = Field(description="Why it waits or is missing.")
    favourite: bool
    added_at: Moment
    changed_at: Moment
    rating: float | None
    genres: list[str]
    overview: str
    size: int = Field(description="Bytes of all its files.")
    file_count: int


class ItemOut(Shown):
    """A film or a series that the user has."""

    id: str
    kind: TitleKind
    title: str
    year: int | None
    ref: Ref | None = Field(description=_REF)
    state: ItemState
    reason: str | None = Field(description="Why it waits or is missing.")
    chosen: bool = Field(description="The user said what it is.")
    favourite: bool
    added_at: Moment
    changed_at: Moment
    facts: ItemFactsOut
    files: list[ItemFileOut]
    episodes: list[ItemEpisodeOut]
    matches: list[MatchOut] = Field(description="What it might be, best first, while it waits.")


class LibraryPageOut(Shown):
    """Some of the items."""

    items: list[ItemShortOut]
    total: int = Field(description="How many there are in all.")
    next_cursor: str | None = Field(description="Where the next page begins, null = nowhere.")


class PositionOut(Shown):
    """How far a viewer watched a file."""

    item_id: str
    viewer: str
    file_index: int
    seconds: float = Field(description="From the beginning of the file.")
    seen: bool
    at: Moment


class PositionsOut(Shown):
    """How far a viewer watched the files of an item."""

    positions: list[PositionOut]


class WatchedOut(Shown):
    """What a viewer began and did not end."""

    item: ItemShortOut
    position: PositionOut


class WatchingOut(Shown):
    """What a viewer began and did not end, newest first."""

    watching: list[WatchedOut]


class PositionPut(JsonBody):
    """How far a file was watched."""

    model_config = example(fileIndex=0, seconds=1312.5, seen=False)

    file_index: int = Field(ge=0, le=1_000_000, description="The file's number in the item.")
    seconds: float = Field(ge=0, le=10_000_000, description="From the beginning of the file.")
    seen: bool = Field(False, description="It was watched to the end, or is marked so.")


_Text = Annotated[str, Field(max_length=500)]
_Long = Annotated[str, Field(max_length=10_000)]


class ItemPatch(JsonBody):
    """What is to change of an item; members that are left out stay."""

    model_config = example(favourite=True)

    title: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    year: Annotated[int, Field(ge=1870, le=2200)] | None = None
    favourite: bool | None = None
    original_title: _Text | None = None
    tagline: _Text | None = None
    overview: _Long | None = None
    genres: Annotated[list[_Text], Field(max_length=50)] | None = None


class MatchPut(JsonBody):
    """What an item is: a ref, or a title where no catalogue knows it."""

    model_config = example(title="Night of the Living Dead", year=1968, mediaType="movie")

    ref: Annotated[str, Field(max_length=300)] | None = Field(None, description=_REF)
    media_type: Literal["movie", "tv"] | None = Field(
        None, description="Without a ref; absent: as it was."
    )
    title: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    year: Annotated[int, Field(ge=1870, le=2200)] | None = None


class ScanBody(JsonBody):
    """Where is to be looked, beside the files that are known."""

    model_config = example(folders=[])

    folders: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=50)] = Field(
        description="`<root>` or `<root>/<path>`, of CHILLY_ROOTS: what is new there is taken in; "
        "empty = only what is known is looked for."
    )


class ScannedOut(Shown):
    """What a scan found."""

    found: int = Field(description="Items that are new.")
    missing: int = Field(description="Items of which no film is there any more.")
    returned: int = Field(description="Items that are there again.")


class RelinkBody(JsonBody):
    """Where a file lies now."""

    model_config = example(fileIndex=0, path="films/night.mkv")

    file_index: int = Field(ge=0, le=1_000_000, description="The file's number in the item.")
    path: str = Field(
        min_length=1, max_length=4096, description="`<root>/<path>`, of CHILLY_ROOTS."
    )


class PlanBody(JsonBody):
    """Which item."""

    model_config = example(id=EXAMPLE_ID)

    id: str = Field(pattern=ITEM_ID)


class PlannedFileOut(Shown):
    """A file that filing would put into the tree."""

    place: str = Field(description="Where, relative to the tree.")
    size: int = Field(description="Bytes.")
    index: int | None = Field(description="The item's file; null = an NFO file or a picture.")
    how: How | None = Field(description="How it would come; null = it is there already.")


class PlanOut(Shown):
    """What filing an item would do."""

    files: list[PlannedFileOut]
    removed: list[str] = Field(description="What stands there of an earlier filing, and would go.")
    collisions: list[str] = Field(description="Names that others have; other names were found.")
    left_out: list[int] = Field(description="The item's files that do not come into the tree.")


class ImportBody(JsonBody):
    """An export of a library."""

    model_config = example(path="backup/library.jsonl")

    path: str = Field(
        min_length=1, max_length=4096, description="`<root>/<path>`, of CHILLY_ROOTS."
    )


class RefusalOut(Shown):
    """A line that was not taken."""

    line: int
    why: str


class ImportedOut(Shown):
    """What came of an import."""

    items: int
    positions: int
    refused: int = Field(description="How many lines were not taken.")
    refusals: list[RefusalOut] = Field(description="The first hundred of them.")


class CopyOut(Shown):
    """A film that is there more than once."""

    item_id: str
    title: str
    file_index: int
    path: str
    size: int = Field(description="Bytes.")
    quality: str | None


class CopiesOut(Shown):
    """Files that are the same film."""

    same: Literal["bytes", "title"] = Field(
        description="`bytes`: byte for byte, as far as their beginning, middle and end tell; "
        "`title`: several versions of one film or episode."
    )
    files: list[CopyOut]


class DuplicatesOut(Shown):
    """Films that are there more than once."""

    duplicates: list[CopiesOut]


def copies_out(copies: Copies) -> CopiesOut:
    """Files that are the same film, as they are shown."""
    files = [
        CopyOut(
            item_id=item.id,
            title=item.title,
            file_index=file.index,
            path=file.path,
            size=file.size,
            quality=file.quality,
        )
        for item, file in copies.members
    ]
    return CopiesOut(same=copies.same, files=files)


def short(item: Item) -> ItemShortOut:
    """An item as lists show it."""
    facts = item.facts
    return ItemShortOut(
        id=item.id,
        kind=item.kind,
        title=item.title,
        year=item.year,
        ref=None if item.ref is None else str(item.ref),
        state=item.state,
        reason=item.reason,
        favourite=item.favourite,
        added_at=item.added_at,
        changed_at=item.changed_at,
        rating=facts.rating,
        genres=[*facts.genres],
        overview=facts.overview,
        size=_size(item.files),
        file_count=len(item.files),
    )


def _size(files: tuple[ItemFile, ...]) -> int:
    return sum(file.size for file in files)

"""What the library holds. All values are frozen.

An item is a film or a series; its files are films, episodes and what lies beside them. A file is
known by its job and its number there, or, where no job brought it, by its place in a root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chilly_movies.catalogue.titles import TitleKind, TitleRef


class ItemState(StrEnum):
    """How far the library is with an item.

    `new`: nothing looked at it yet. `waiting`: what it is was not sure, and the user has to choose.
    `matched`: it is known what it is. `filed`: it stands in the tree, too. `missing`: no file of it
    is where it was.
    """

    NEW = "new"
    WAITING = "waiting"
    MATCHED = "matched"
    FILED = "filed"
    MISSING = "missing"


class FileRole(StrEnum):
    """What a file is to its item."""

    MAIN = "main"
    SAMPLE = "sample"
    EXTRA = "extra"
    SUBTITLE = "subtitle"


class How(StrEnum):
    """How a file came into the tree."""

    HARDLINK = "hardlink"
    REFLINK = "reflink"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file of an item.

    Attributes:
        index: its number in the item, from 0; it stays.
        path: where it lies: relative to the media root, or `<root>/<path>` where no job has it.
        size: bytes.
        job_id: the job that brought it, None = it was there before.
        job_file: its number in the job.
        role: what it is to the item.
        season: of an episode; 0 holds the specials.
        episodes: the numbers of the episodes in it, ascending; empty for a film.
        quality: such as `1080p`, None if unknown.
        edition: such as `Director's Cut`, None if there is none.
        part: the number of a film that lies in several files, from 1.
        language: of a subtitle, a BCP 47 tag.
        flags: of a subtitle: `forced`, `sdh`, `default`.
        duration: seconds, None if unknown.
        digest: names the bytes (`size:hex`), None = nothing read them yet.
        filed: where it stands in the tree, relative to the tree; None = it does not.
        how: how it came there.
        missing: whether it is not where it was.
    """

    index: int
    path: str
    size: int
    job_id: str | None = None
    job_file: int | None = None
    role: FileRole = FileRole.MAIN
    season: int | None = None
    episodes: tuple[int, ...] = ()
    quality: str | None = None
    edition: str | None = None
    part: int | None = None
    language: str | None = None
    flags: tuple[str, ...] = ()
    duration: float | None = None
    digest: str | None = None
    filed: str | None = None
    how: How | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class ItemEpisode:
    """What is known of one episode of a series that the user has."""

    season: int
    number: int
    title: str = ""
    overview: str = ""
    air_date: str | None = None
    runtime: int | None = None


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What a catalogue, an NFO file or the user says of an item.

    Attributes:
        released: `YYYY-MM-DD`.
        runtime: minutes.
        rating: 0-10.
        cast: names, in the order of the credits; `roles` has the part of each, "" = unknown.
        external_ids: `imdb`, `tvdb` and so on, to the other catalogue's id.
    """

    original_title: str = ""
    tagline: str = ""
    overview: str = ""
    released: str | None = None
    runtime: int | None = None
    rating: float | None = None
    votes: int = 0
    language: str | None = None
    genres: tuple[str, ...] = ()
    cast: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    directors: tuple[str, ...] = ()
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """What an item might be.

    Attributes:
        score: 0-1.
        reasons: sentences that say what speaks for it and against it.
    """

    ref: TitleRef
    title: str
    year: int | None
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A film or a series that the user has.

    Attributes:
        id: `lib-` and 26 letters and digits of base32, lower case.
        reason: a sentence for why it waits or is missing.
        matches: what it might be, best first, while it waits.
        chosen: the user said what it is; nothing overrules that.
        episodes: of a series, in their order.
        added_at: when it came into the library.
        changed_at: when anything of it changed last.
        kept_out: the user took it out of the tree; it is filed again on request alone.
    """

    id: str
    kind: TitleKind
    title: str
    added_at: datetime
    changed_at: datetime
    year: int | None = None
    ref: TitleRef | None = None
    state: ItemState = ItemState.NEW
    reason: str | None = None
    chosen: bool = False
    favourite: bool = False
    facts: ItemFacts = field(default_factory=ItemFacts)
    files: tuple[ItemFile, ...] = ()
    episodes: tuple[ItemEpisode, ...] = ()
    matches: tuple[Match, ...] = ()
    kept_out: bool = False


class FilingState(StrEnum):
    """How far filing is with an item.

    `filing`: files are being put into the tree. `filed`: all of them stand there. `undoing`: they
    are being taken out again.
    """

    FILING = "filing"
    FILED = "filed"
    UNDOING = "undoing"


@dataclass(frozen=True, slots=True)
class FiledFile:
    """A file that filing put into the tree, or is about to put there.

    Attributes:
        place: where, relative to the tree.
        index: the number of the item's file that stands there; None = a file that we write, an
            NFO file or a picture say.
        how: how it came there.
        mark: tells our file from one that somebody else put there; None = it is not made yet.
    """

    place: str
    index: int | None = None
    how: How | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Filing:
    """What filing did, or is about to do, for one item; kept before it is done, to be undone.

    Attributes:
        item_id: whose files these are. An item has one filing at most.
        round: rises each time the item is filed; names the folder in which files are made ready.
        files: those that stand in the tree when it is filed.
        replaced: those that go then, of an earlier round.
        folders: the folders that were made for them, relative to the tree, outer ones first.
    """

    item_id: str
    state: FilingState
    round: int = 1
    files: tuple[FiledFile, ...] = ()
    replaced: tuple[FiledFile, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """How far one viewer watched one file of an item.

    Attributes:
        seconds: from the beginning of the file.
        seen: whether it was watched to the end, or marked as seen.
    """

    item_id: str
    viewer: str
    file_index: int
    seconds: float
    seen: bool
    at: datetime

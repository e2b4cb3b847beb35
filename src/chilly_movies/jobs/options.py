"""The options of a start, each described once: type, default, range, and a sentence for people.

From a described field of `Options` come the member of a request (`jobs/start_request.py`) and of
an answer (`api/wire/schemas.py`), the field of the upload form, the keyword of the client, and the
flag of `chilly add`. Loads nothing heavy: the command line reads it before it knows the command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from chilly_movies.errors import InvalidRequest
from chilly_movies.names import safe_name

T = TypeVar("T")

FetchOrder = Literal["usual", "sequential", "ends-first"]
ImportMode = Literal["hardlink", "reflink", "copy"]
VideoQuality = Literal["480", "720", "1080", "2160", "best", "audio"]

NORMAL_PRIORITY = 4
TOP_PRIORITY = 7
MAX_FILES = 20_000
"""Files a torrent may have; a file index is below that."""
MAX_FOLDER = 1000
CHECKSUMS: Final = {"sha256": 64, "sha1": 40, "md5": 32}
"""How many hexadecimal digits each kind of checksum has."""
MAX_NUMBER = 2**53 - 1
"""The largest whole number that JavaScript reads as it is."""


def check_folder(folder: object) -> str:
    """The folder of the media root if it is one a film may be put into; "" = the media root.

    Raises:
        InvalidRequest: it is no text, it leads out, or a name in it would not work everywhere.
    """
    if not isinstance(folder, str) or len(folder) > MAX_FOLDER:
        raise InvalidRequest(
            f"The folder must be text of at most {MAX_FOLDER} characters.", field="folder"
        )
    safe = "/".join(safe_name(part) for part in folder.split("/")) if folder else ""
    if safe != folder:
        raise InvalidRequest(
            "The folder must be plain names within the media folder with '/' between them, without "
            "'..', leading dots, and signs that some disks refuse.",
            field="folder",
        )
    return folder


def check_checksum(text: str) -> str:
    """The checksum in lower case.

    Raises:
        InvalidRequest: it is none.
    """
    kind, _, digits = text.partition(":")
    if not re.fullmatch("[0-9A-Fa-f]+", digits) or len(digits) != CHECKSUMS.get(kind):
        raise InvalidRequest(
            "A checksum is sha256:, sha1: or md5: and its hexadecimal digits.", field="checksum"
        )
    return text.lower()


_LANGUAGE = "[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}"
_LANGUAGES = re.compile(f"{_LANGUAGE}(,{_LANGUAGE})*")


def check_languages(text: str) -> str:
    """Languages with commas between them, if they are tags of BCP 47; "" = none.

    Raises:
        InvalidRequest: one is none.
    """
    if text and not _LANGUAGES.fullmatch(text):
        raise InvalidRequest(
            "The subtitles must be languages like 'en' or 'pt-BR' with ',' between them.",
            field="subtitles",
        )
    return text


def in_order(indices: Iterable[int]) -> tuple[int, ...]:
    """File indices in ascending order, each once."""
    return tuple(sorted(set(indices)))


def _option(default: T, says: str, **more: Any) -> T:
    """A field of `Options` that a start may give; `more` are the attributes of `Option`."""
    made: T = field(default=default, metadata={"option": {"says": says, **more}})
    return made


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller may ask of one job. None = the server's setting.

    Attributes:
        files: file indices to download; None = all.
        priorities: file index and priority (1-7) of those that do not have the usual 4.
        download_limit: bytes per second, 0 = unlimited.
        upload_limit: bytes per second, 0 = unlimited.
        seed_ratio: stop seeding at this ratio, 0 = do not seed.
        seed_time: stop seeding after so many seconds, 0 = do not seed.
        allow_executables: download programs like other files.
        folder: of the media root, where the film is to lie; "" = in the media root itself.
        forced: it needs no slot to start, and takes none.
        order: in which the pieces are fetched while nobody watches. `usual`: rare ones first, and
            before them the ends of films, which players look at early; `sequential`: from the
            first to the last, after these ends; `ends-first`: the ends of every file, then rare
            ones.
        checksum: `sha256:`, `sha1:` or `md5:` and the hexadecimal digits of the file behind the
            source's link; a torrent has hashes of its own.
        mode: how a file of this machine comes to the media folder: as a second name of the same
            file, as one that shares its blocks until one of both is changed, or as a copy; None =
            the first of these that the disks allow.
        video_quality: of a film on a web page, the most lines its picture may have; `audio` = the
            sound alone.
        subtitles: of a film on a web page, languages with commas between them.
    """

    files: tuple[int, ...] | None = _option(
        None,
        "File indices to download, all if not given.",
        example="0,2",
        check=in_order,
        bounds={"ge": 0, "lt": MAX_FILES},
        length={"min_length": 1, "max_length": MAX_FILES},
    )
    download_limit: int | None = _option(
        None, "Bytes per second, 0 = unlimited.", bounds={"ge": 0, "le": MAX_NUMBER}
    )
    upload_limit: int | None = _option(
        None, "Bytes per second, 0 = unlimited.", bounds={"ge": 0, "le": MAX_NUMBER}
    )
    seed_ratio: float | None = _option(
        None, "Stop seeding at this ratio, 0 = never seed.", bounds={"ge": 0, "le": 1000}
    )
    seed_time: int | None = _option(
        None, "Seconds of seeding, 0 = never seed.", bounds={"ge": 0, "le": MAX_NUMBER}
    )
    priorities: tuple[tuple[int, int], ...] = ()
    allow_executables: bool = _option(
        False,
        "Download programs (.exe, .lnk and so on), too; they are left out otherwise.",
        fixed=True,
    )
    folder: str = _option(
        "",
        "Folder of the media folder the film is to lie in: plain names with '/' between them; "
        "'' = the media folder itself.",
        example="Films/2024",
        check=check_folder,
        length={"max_length": MAX_FOLDER},
    )
    forced: bool = _option(
        False, "Start at once; it takes no slot, so others need not wait for it."
    )
    order: FetchOrder = _option(  # noqa: RUF009 (as for the others, whose types ruff knows)
        "usual",
        "In which order the data is fetched while nobody watches: usual = what few peers have "
        "first; sequential = from the beginning; ends-first = both ends of every file first.",
        example="sequential",
    )
    mode: ImportMode | None = _option(  # noqa: RUF009 (as above)
        None,
        "How a file of the server's disks (sourceType local) comes to the media folder: hardlink = "
        "a second name of the same file; reflink = its blocks are shared; copy. If not given: the "
        "first of these that goes.",
        example="copy",
        fixed=True,
    )
    checksum: str | None = _option(
        None,
        "Of the file behind a link: sha256:, sha1: or md5: and hexadecimal digits. What arrives is "
        "compared with it before it is published; torrents do not need it.",
        example="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        check=check_checksum,
        length={"max_length": 71},
        fixed=True,
    )
    video_quality: VideoQuality = _option(  # noqa: RUF009 (see above)
        "best",
        "Of films on web pages: the most lines the picture may have, or audio = the sound alone.",
        example="1080",
        fixed=True,
    )
    subtitles: str = _option(
        "",
        "Of films on web pages: languages whose subtitles are wanted, too, with ',' between them.",
        example="en,pt-BR",
        check=check_languages,
        length={"max_length": 200},
        fixed=True,
    )

    def priorities_of(self, indices: Iterable[int]) -> dict[int, int]:
        """The priority of each of these files: 0 = not wanted, `NORMAL_PRIORITY`, up to 7."""
        given, wanted = dict(self.priorities), None if self.files is None else set(self.files)
        return {
            i: given.get(i, NORMAL_PRIORITY) if wanted is None or i in wanted else 0
            for i in indices
        }

    def with_priorities(self, priorities: Mapping[int, int]) -> Options:
        """The same with these priorities, which name every file of the job."""
        wanted = tuple(sorted(i for i, priority in priorities.items() if priority))
        special = {i: p for i, p in priorities.items() if p not in (0, NORMAL_PRIORITY)}
        return replace(
            self,
            files=None if len(wanted) == len(priorities) else wanted,
            priorities=tuple(sorted(special.items())),
        )


# --- the description ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """How an option of a start is described.

    Attributes:
        name: the field of `Options`.
        type: the field's type.
        says: one sentence for people.
        example: a value as it is typed, None if the sentence is enough.
        bounds: of a number, or of each number of a list; by pydantic's names (`ge`, `le`, `lt`).
        length: of a text or list (`min_length`, `max_length`).
        check: gives the value in its usual form, or raises `InvalidRequest`.
        fixed: only a start may give it; others can be changed later.
    """

    name: str
    type: Any
    says: str
    example: str | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)
    length: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Any], object] | None = None
    fixed: bool = False

    @property
    def wire(self) -> str:
        """Its name in JSON: camelCase."""
        first, *rest = self.name.split("_")
        return first + "".join(map(str.capitalize, rest))

    @property
    def given(self) -> Any:
        """The type of a value that is given: without None."""
        if get_origin(self.type) not in (Union, UnionType):  # the first with a Literal in it
            return self.type
        return next(kind for kind in get_args(self.type) if kind is not NoneType)

    @property
    def is_list(self) -> bool:
        """Whether it is a list of numbers."""
        return get_origin(self.given) is tuple

    @property
    def pattern(self) -> str | None:
        """What its text in a form looks like, None if any text may be."""
        if get_origin(self.given) is Literal:
            return f"^({'|'.join(get_args(self.given))})$"
        looks = {int: r"^\d+$", float: r"^\d+(\.\d+)?$", bool: "^(true|false)$"}
        return r"^\d+(,\d+)*$" if self.is_list else looks.get(self.given)

    def from_text(self, text: str) -> Any:
        """The value that a form field or flag of text stands for; its range is not checked.

        Raises:
            InvalidRequest: it stands for none.
        """
        try:
            if self.is_list:
                return [int(part) for part in text.split(",")]
            if get_origin(self.given) is Literal:
                return text
            return {"true": True, "false": False}[text] if self.given is bool else self.given(text)
        except (ValueError, KeyError):
            raise InvalidRequest(f"The {self.wire} is malformed.", field=self.wire) from None


def to_text(value: object) -> str:
    """The text that `Option.from_text` reads as this value; of what has members its JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(each, dict) for each in value)
    ):
        return json.dumps(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_TYPES = get_type_hints(Options)
OPTIONS: Final[Mapping[str, Option]] = {
    known.name: Option(known.name, _TYPES[known.name], **known.metadata["option"])
    for known in fields(Options)
    if "option" in known.metadata
}
"""What a job is asked, by name, in the order of the fields."""

HELD: Final = Option("held", bool, "Paused from the beginning: nothing of it runs before a resume.")
"""Is asked of a start and not kept: it says how a job is born, not how it goes on."""

START_OPTIONS: Final[Mapping[str, Option]] = {**OPTIONS, HELD.name: HELD}
"""What a start may give, by name."""

CHANGEABLE: Final = tuple(name for name, option in OPTIONS.items() if not option.fixed)
"""The options that can be changed after the start."""
DEFAULTS: Final = Options()
"""What is asked of a job of which nothing is asked."""


def chosen(values: object) -> Options:
    """Options made of the attributes of those names; one that is absent or None is not given."""
    given = {name: getattr(values, name, None) for name in OPTIONS}
    return Options(**{name: value for name, value in given.items() if value is not None})

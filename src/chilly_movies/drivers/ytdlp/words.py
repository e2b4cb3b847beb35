"""What a child process says, a line of JSON each. It works for strangers, so all is checked."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

_LONGEST = 4096
Bytes = Annotated[int, Field(ge=0, le=2**53 - 1)]
Text = Annotated[str, Field(max_length=_LONGEST)]
StagedName = Annotated[str, Field(pattern=r"^film-[0-9a-f]{12}[A-Za-z0-9._-]{0,80}$")]
"""A file in the folder of a job; no text of a page is in it but its suffix."""


class Word(BaseModel):
    """Something that was said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Alive(Word):
    """It works on."""

    what: Literal["alive"] = Field(alias="is")


class Found(Word):
    """What the page shows, and what is taken of it.

    Attributes:
        title: the film's name, hostile text.
        identity: what the site calls it, None where that says nothing outside its page.
        suffix: of the film's file, without a dot.
        size: bytes of all parts together, None if the page does not say.
        joins: it comes in parts that are joined afterwards.
        entries: how many films the page shows.
    """

    what: Literal["found"] = Field(alias="is")
    title: Text
    identity: Text | None = None
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,20}$")]
    size: Bytes | None = None
    joins: bool = False
    entries: Annotated[int, Field(ge=1)] = 1


class Moved(Word):
    """How far it is.

    Attributes:
        done: bytes of all parts that are on the disk.
        total: bytes of all parts, None if that cannot even be guessed.
        exact: the total is known and no guess.
        readable: the name of the only part, which is the film itself, None if there are more, or if
            what arrives is no film before its end.
    """

    what: Literal["moved"] = Field(alias="is")
    done: Bytes
    total: Bytes | None = None
    exact: bool = False
    readable: StagedName | None = None


class Anew(Word):
    """What was there is thrown away: the source has other bytes now."""

    what: Literal["anew"] = Field(alias="is")


class Joining(Word):
    """All parts are there, and are made one film of."""

    what: Literal["joining"] = Field(alias="is")


class Done(Word):
    """The film is there.

    Attributes:
        film: its file.
        subtitles: files of subtitles by language.
    """

    what: Literal["done"] = Field(alias="is")
    film: StagedName
    subtitles: dict[Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,35}$")], StagedName] = {}


class Trouble(Word):
    """It could not be done.

    Attributes:
        kinds: the classes of the error and of what it was made of.
        status: of the answer of a server, None if that was not it.
        errno: the system's number, None if the disk was not it.
        says: what yt-dlp says, hostile text.
        warned: what it warned of before.
    """

    what: Literal["trouble"] = Field(alias="is")
    kinds: tuple[str, ...] = ()
    status: int | None = None
    errno: int | None = None
    says: Text = ""
    warned: tuple[Text, ...] = ()


AnyWord = Alive | Found | Moved | Anew | Joining | Done | Trouble
_READ: Final[TypeAdapter[AnyWord]] = TypeAdapter(Annotated[AnyWord, Field(discriminator="what")])


def read(line: bytes) -> AnyWord:
    """The word of a line.

    Raises:
        ValueError: it is none.
    """
    return _READ.validate_json(line)

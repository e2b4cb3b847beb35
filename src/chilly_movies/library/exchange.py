"""The library as JSON lines: to take it elsewhere, and to bring it from there.

The first line says what the file is. Each further one has an item or a position, the items first:

    {"format": "chilly-library", "version": 1}
    {"item": {"id": "lib-...", "kind": "movie", "title": "Metropolis", ...}}
    {"position": {"itemId": "lib-...", "viewer": "ann", "fileIndex": 0, "seconds": 61.5, ...}}

Members that have their default value are left out, and unknown ones are passed over. Nothing in
such a file is believed further than its form: paths in it lead nowhere outside the folders that
they are relative to.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from chilly_movies.errors import InvalidRequest, ItemNotFound
from chilly_movies.library.models import Item, Position
from chilly_movies.library.ports import LibraryStore, PositionStore

_FORMAT: Final = "chilly-library"
_VERSION: Final = 1
_CHUNK: Final = 64 * 1024
_LONGEST: Final = 4 * 1024 * 1024
"""Bytes of a line; a series of a thousand episodes has a fifth of it."""
_BATCH: Final = 100
"""So many lines are stored at once. More would hold others up, fewer wait for the disk often."""
_REFUSALS: Final = 100
_LARGEST: Final = 2**31
_ID: Final = re.compile(r"lib-[a-z2-7]{26}")


class LibraryStores(LibraryStore, PositionStore, Protocol):
    """What is exported and imported."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line may have; one of all."""

    format: str | None = None
    version: int | None = None
    item: Item | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that was not taken.

    Attributes:
        line: its number, from 1.
        why: a sentence.
    """

    line: int
    why: str


@dataclass(slots=True)
class Imported:
    """What came of an import.

    Attributes:
        items: how many are in the library now that were in the file.
        positions: how many of those.
        refused: how many lines were not taken.
        refusals: the first hundred of them.
    """

    items: int = 0
    positions: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, line: int, why: str) -> None:
        """Counts a line that is not taken."""
        self.refused += 1
        if len(self.refusals) < _REFUSALS:
            self.refusals.append(Refusal(line, why))


@cache
def _lines() -> TypeAdapter[Line | None]:
    # A dataclass alone would have a configuration of its own; one of several is given ours.
    return TypeAdapter(Line | None, config=ConfigDict(alias_generator=to_camel))


def _written(line: Line) -> bytes:
    return _lines().dump_json(line, by_alias=True, exclude_defaults=True) + b"\n"


async def export(store: LibraryStores) -> AsyncIterator[bytes]:
    """Yields the whole library, some lines at a time.

    Raises:
        StoreError: it cannot be read further.
    """
    chunk = bytearray(_written(Line(_FORMAT, _VERSION)))
    async for item in store.all():
        chunk += _written(Line(item=item))
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    async for position in store.all_positions():
        chunk += _written(Line(position=position))
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


async def bring(store: LibraryStores, chunks: AsyncIterable[bytes]) -> Imported:
    """Takes items and positions over; those with the same ids are replaced, others stay.

    What was taken before an error stays, and taking the same file again changes nothing.

    Args:
        store: where they go.
        chunks: the file, cut anywhere.

    Raises:
        InvalidRequest: it is no export of a library.
        StoreError: they cannot be stored.
    """
    done = Imported()
    batch: list[tuple[int, Line]] = []
    number = 0
    async for raw in _split(chunks):
        number += 1
        if number == 1:
            _check_first(raw)
        elif raw is None:
            done.refuse(number, f"It is longer than {_LONGEST} bytes.")
        elif raw.strip():
            _take(raw, number, batch, done)
        if len(batch) >= _BATCH:
            await _store(store, batch, done)
            batch = []
    if number == 0:
        _check_first(b"")
    await _store(store, batch, done)
    return done


def _take(raw: bytes, number: int, batch: list[tuple[int, Line]], done: Imported) -> None:
    """Reads a line."""
    try:
        line = _lines().validate_json(raw) or Line()
        _check(line)
    except ValueError as error:
        done.refuse(number, _sentence(error))
    else:
        batch.append((number, line))


def _check_first(raw: bytes | None) -> None:
    try:
        found = _lines().validate_json(raw or b"null")
    except ValueError:
        found = None
    if found is None or found.format != _FORMAT:
        raise InvalidRequest("This is no export of a library.")
    if found.version != _VERSION:
        raise InvalidRequest("The export was written by a newer version of Chilly Movies.")


async def _split(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes | None]:
    """The lines; None in the place of one that is too long."""
    rest, skipping = b"", False
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield None if skipping or len(line) > _LONGEST else line
            skipping = False
        if len(rest) > _LONGEST:
            rest, skipping = b"", True
        await asyncio.sleep(0)  # others have their turn however fast the file comes
    if rest or skipping:
        yield None if skipping else rest


async def _store(store: LibraryStores, batch: list[tuple[int, Line]], done: Imported) -> None:
    items = [line.item for _, line in batch if line.item is not None]
    if items:
        await store.put(items)
        done.items += len(items)
    positions = [(number, line.position) for number, line in batch if line.position is not None]
    results = await asyncio.gather(
        *(store.put_position(position) for _, position in positions), return_exceptions=True
    )
    for (number, _), result in zip(positions, results, strict=True):
        if isinstance(result, ItemNotFound):
            done.refuse(number, str(result))
        elif result is not None:
            raise result
        else:
            done.positions += 1


def _check(line: Line) -> None:
    """Checks what the form of a line does not say.

    Raises:
        ValueError: it has neither item nor position, or no library could have it.
    """
    if line.item is None and line.position is None:
        raise ValueError("it has neither an item nor a position")
    if line.item is not None:
        check_item(line.item)
    if (position := line.position) is not None:
        if not 0 <= position.file_index < _LARGEST or not 0 <= position.seconds < math.inf:
            raise ValueError("the file and the seconds must count from 0")
        if position.at.tzinfo is None:
            raise ValueError("the time needs a time zone")


def check_item(item: Item) -> None:
    """Checks an item from outside.

    Raises:
        ValueError: no library could have it, or a path of it leads out of its folder.
    """
    if not _ID.fullmatch(item.id):
        raise ValueError("the id must be lib- and 26 letters and digits of base32")
    if item.year is not None and not 0 < item.year < _LARGEST:
        raise ValueError("the year is none")
    indexes = [file.index for file in item.files]
    if len({*indexes}) < len(indexes) or any(not 0 <= index < _LARGEST for index in indexes):
        raise ValueError("the numbers of the files must differ, and count from 0")
    for file in item.files:
        if leads_out(file.path) or (file.filed is not None and leads_out(file.filed)):
            raise ValueError("a path leads out of its folder")
    if item.added_at.tzinfo is None or item.changed_at.tzinfo is None:
        raise ValueError("a time needs a time zone")


def leads_out(path: str) -> bool:
    """Whether a path is not one within a folder."""
    return "\0" in path or bool({"", ".", ".."} & {*path.split("/")})


def _sentence(error: ValueError) -> str:
    """What is wrong with a line, without the line."""
    errors: Any = getattr(error, "errors", None)
    if errors is None:
        return f"The line cannot be taken: {error}."
    [first, *_] = errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part) for part in first["loc"])
    return f"The line cannot be taken: {where or 'it'}: {first['msg']}."

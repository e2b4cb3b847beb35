"""The user's block list and allow list, as they are on the disk at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from chilly_movies.errors import EngineError
from chilly_movies.net.address_lists import MAX_LINES, Ranges, read_list

log = structlog.get_logger(__name__)

_Seen = tuple[int, int, int]
EVERYBODY = (("0.0.0.0", "255.255.255.255"), ("::", ":".join(["ffff"] * 8)))  # noqa: S104


@dataclass(slots=True)
class _File:
    """One list: what was read of it, and how the file looked then."""

    name: str
    path: Path
    ranges: Ranges | None = None
    seen: _Seen | None = None
    problem: str = ""


class ListedAddresses:
    """Whom the user's lists let us talk to.

    Who is on the block list is not talked to; if there is an allow list, nobody else is than who is
    on it. A list that cannot be read any more counts as it was.

    Args:
        block: the block list, None = there is none.
        allow: the allow list, None = there is none.
    """

    def __init__(self, block: Path | None, allow: Path | None) -> None:
        self._block = None if block is None else _File("block list", block)
        self._allow = None if allow is None else _File("allow list", allow)

    @property
    def _files(self) -> list[_File]:
        return [file for file in (self._block, self._allow) if file is not None]

    async def require(self) -> None:
        """Read what was not read yet.

        Raises:
            EngineError: a list cannot be read, so nobody can be talked to.
        """
        if any(file.ranges is None for file in self._files):
            await self.renew()
        for file in self._files:
            if file.ranges is None:
                raise EngineError(f"The {file.name} cannot be read: {file.problem}.")

    async def renew(self, *, always: bool = False) -> bool:
        """Read the lists whose files changed; whether any did.

        Args:
            always: read them all.
        """
        changed = False
        for file in self._files:
            changed |= await asyncio.to_thread(_renew, file, always=always)
        return changed

    def lets(self, address: str) -> bool:
        """Whether an address may be talked to."""
        block, allow = self._block, self._allow
        if block is not None and (block.ranges is None or address in block.ranges):
            return False
        return allow is None or (allow.ranges is not None and address in allow.ranges)

    def rules(self) -> Iterator[tuple[str, str, bool]]:
        """First and last address, and whether they are shut out; later rules win."""
        if self._allow is not None and self._allow.ranges is not None:
            for first, last in EVERYBODY:
                yield first, last, True
            for first, last in self._allow.ranges.pairs():
                yield first, last, False
        if self._block is not None and self._block.ranges is not None:
            for first, last in self._block.ranges.pairs():
                yield first, last, True


def _renew(file: _File, *, always: bool) -> bool:
    try:
        found = file.path.stat()
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == file.seen and not always:
            return False
        read = read_list(file.path)
    except OSError as error:
        problem = error.strerror or "it is no file"
        if problem != file.problem:
            log.warning("a list cannot be read and counts as it was", list=file.name, why=problem)
        file.problem, file.seen = problem, None
        return False
    file.ranges, file.seen, file.problem = read.ranges, seen, ""
    more = {"not_read_after_line": MAX_LINES} if read.cut else {}
    if read.malformed:
        more |= {"malformed_lines": read.malformed, "first_of_them": read.first_malformed}
    tell = log.warning if more or not len(read.ranges) else log.info
    tell("a list of addresses was read", list=file.name, ranges=len(read.ranges), **more)
    return True

"""Which of the user's files hold which of a torrent: by size, then by hashes of samples. Pure.

Names play no part, but of several candidates those with a like name are looked at first. What is
found is no claim: every byte is compared with its hash before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, product
from pathlib import Path, PurePosixPath

from chilly_movies.drivers.torrent.engine.piece_hashes import Check, HashedFile, PieceHashes

Read = Callable[[Path, int, int], bytes | None]
"""Reads bytes of a file: path, offset, length. None = they cannot be read.

Raises `EnoughReadError`.
"""
OfSize = Callable[[int], Sequence[Path]]
"""The user's files that have a size."""

_TRIED = 64
"""So many files of one size are looked at for one file of a torrent."""
_COMPARED = 16
"""The names of so many are compared letter by letter."""
_TRIED_TOGETHER, _COMBINED, _HASHED = 16, 64, 64 * 1024 * 1024
"""For a piece that several files share: files of one size for each, choices of them that are always
tried, and bytes that are hashed in trying more."""
_ENDS = 2
"""So many checks say enough, unless what they saw is the same byte again and again."""
_BY_SIZE_ALONE = 1024 * 1024
"""From here on two files of one size are hardly ever different ones."""


class EnoughReadError(Exception):
    """No more may be read for this torrent."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a file of a torrent seems to lie.

    Attributes:
        path: the user's file.
        sampled: hashes of some of its bytes were right; else it has the size, and no more was read.
    """

    path: Path
    sampled: bool = True


def find(
    torrent: PieceHashes, wanted: frozenset[int], of_size: OfSize, read: Read
) -> dict[int, Match]:
    """Where the files of a torrent seem to lie, by file index; large ones are looked at first.

    Args:
        torrent: its files and hashes.
        wanted: the indices of the files that are looked for.
        of_size: the user's files of a size.
        read: reads bytes of one.
    """
    sought = [f for f in torrent.files if f.index in wanted and f.size and not f.is_padding]
    sought.sort(key=lambda file: -file.size)
    found: dict[int, Match] = {}
    sharing: list[HashedFile] = []
    for file in sought:
        if not (paths := in_likely_order(file, of_size(file.size))):
            continue
        if not (checks := torrent.checks(file)) and torrent.digests:
            sharing.append(file)
        elif (match := _best(checks, paths, read, file.size)) is not None:
            found[file.index] = match
    numbers = {number for file in sharing for number in torrent.pieces_of(file)}
    for number in sorted(numbers):
        try:
            _solve(torrent, number, found, of_size, read)
        except EnoughReadError:
            break
    return {index: match for index, match in found.items() if index in wanted}


def in_likely_order(file: HashedFile, paths: Sequence[Path]) -> list[Path]:
    """The files whose names are most like a torrent's file first."""
    if len(paths) < 2:
        return list(paths)
    wanted = PurePosixPath(file.path)
    name, suffix = wanted.name.casefold(), wanted.suffix.casefold()

    def roughly(path: Path) -> tuple[bool, bool]:
        return path.name.casefold() == name, path.suffix.casefold() == suffix

    def closely(path: Path) -> tuple[bool, bool, float]:
        return *roughly(path), SequenceMatcher(None, name, path.name.casefold()).ratio()

    ranked = sorted(paths, key=roughly, reverse=True)
    return sorted(ranked[:_COMPARED], key=closely, reverse=True) + ranked[_COMPARED:_TRIED]


def _best(checks: Sequence[Check], paths: Sequence[Path], read: Read, size: int) -> Match | None:
    """The first file of which all checks are right, else one of which some are.

    Without checks, or once no more may be read, the only file of a large size is taken.
    """
    partly = None
    if checks:
        try:
            for path in paths:
                right, wrong = _judge(checks, path, read)
                if right and not wrong:
                    return Match(path)
                if right and partly is None:
                    partly = Match(path)
        except EnoughReadError:
            checks = ()
    if partly is None and not checks and len(paths) == 1 and size >= _BY_SIZE_ALONE:
        return Match(paths[0], sampled=False)
    return partly


def _judge(checks: Sequence[Check], path: Path, read: Read) -> tuple[int, int]:
    """How many checks are right and tell something, and how many are wrong.

    Bytes that are all the same are in many files: then more checks are made, and if all bytes that
    are looked at are such, the file is as good as any.
    """
    right = wrong = same = 0
    for number, check in enumerate(checks):
        if number >= _ENDS and (right or wrong):
            break
        data = read(path, check.offset, check.length)
        if data is None:
            return 0, 1
        if not check.fits(data):
            wrong += 1
        elif data.count(data[:1]) == len(data):
            same += 1
        else:
            right += 1
    return right or (same if not wrong else 0), wrong


def _solve(
    torrent: PieceHashes, number: int, found: dict[int, Match], of_size: OfSize, read: Read
) -> None:
    """Find the files that a piece is made of together, as none of them can be told alone."""
    parts = list(torrent.parts(number))
    choices = [list(_choices(file, at, length, found, of_size, read)) for file, at, length in parts]
    if not all(choices):
        return
    length = sum(length for _, _, length in parts)
    check = Check(0, length, torrent.digest(number))
    for choice in islice(product(*choices), max(_COMBINED, _HASHED // length)):
        if check.fits(b"".join(data for _, data in choice)):
            for (file, _, _), (path, _) in zip(parts, choice, strict=True):
                if path is not None:
                    found.setdefault(file.index, Match(path))
            return


def _choices(
    file: HashedFile,
    at: int,
    length: int,
    found: Mapping[int, Match],
    of_size: OfSize,
    read: Read,
) -> Iterator[tuple[Path | None, bytes]]:
    """Yields what may stand for a part of a piece: a file and its bytes there."""
    if file.is_padding:
        yield None, bytes(length)
        return
    if file.index in found:
        paths = [found[file.index].path]
    else:
        paths = in_likely_order(file, of_size(file.size))[:_TRIED_TOGETHER]
    for path in paths:
        if (data := read(path, at, length)) is not None:
            yield path, data

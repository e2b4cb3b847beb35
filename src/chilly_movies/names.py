"""Names that are harmless on every file system. Those of torrents and callers are hostile text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

INCOMPLETE = ".incomplete"
"""The folder in the media root that unfinished data lies in."""
_MAX_BYTES = 200
"""Longest name we make, in bytes of UTF-8: 255 is the usual limit, players add suffixes."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}
_FORBIDDEN = str.maketrans(dict.fromkeys('<>:"/\\|?*', "_"))


def safe_name(name: str, most: int = _MAX_BYTES) -> str:
    """One path component that is harmless on every file system.

    Control and bidi characters go, separators and Windows' special characters become `_`, reserved
    device names get a `_`, no leading dot, no trailing dot or space.

    Args:
        name: any text.
        most: bytes of UTF-8 at most.
    """
    text = name.encode("utf-8", "replace").decode()
    if not (text.isascii() and text.isprintable()):  # most names are, and there may be thousands
        kept = (c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
        text = unicodedata.normalize("NFC", "".join(kept))
    text = text.translate(_FORBIDDEN).strip()
    if text.startswith("."):
        text = "_" + text[1:]
    if text.split(".")[0].rstrip().lower() in _RESERVED:
        text = "_" + text
    text = _shorten(text, most).rstrip(". ")
    return text or "unnamed"


def _shorten(name: str, most: int) -> str:
    if len(name.encode()) <= most:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > 16:
        stem, dot, suffix = name, "", ""
    room = most - len((dot + suffix).encode())
    return cut(stem, room) + dot + suffix


def cut(text: str, room: int) -> str:
    """As much of it as there is room for, in bytes."""
    data = text.encode("utf-8", "surrogateescape")
    return text if len(data) <= room else data[:room].decode("utf-8", "ignore").rstrip()


def safe_paths(paths: Iterable[str]) -> Iterator[str]:
    """Harmless and distinct relative paths, in order; `/` separates components.

    Two names that a case-blind or normalising file system would take for one are told apart by
    a number. So is a file from a folder: the folder keeps the name.
    """
    safe = [
        tuple(safe_name(part) for part in path.split("/") if part not in ("", ".", ".."))
        or ("unnamed",)
        for path in paths
    ]
    nearest = {parts[:-1] for parts in safe}
    folders = {folder[:depth] for folder in nearest for depth in range(1, len(folder) + 1)}
    taken = {folded("/".join(folder)) for folder in folders}
    next_numbers: dict[str, int] = {}  # thousands may want one name: none starts to count anew
    for parts in safe:
        candidate = wanted = "/".join(parts)
        key = wanted_key = folded(wanted)
        number = next_numbers.get(wanted_key, 2)
        while key in taken:
            candidate = _with_number(wanted, number)
            key, number = folded(candidate), number + 1
        if candidate != wanted:
            next_numbers[wanted_key] = number
        taken.add(key)
        yield candidate


def folded(path: str) -> str:
    """What is the same for paths that a case-blind or normalising file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFKC", path).casefold()


def numbered(path: str) -> Iterator[str]:
    """The path, then the same with ` (2)`, ` (3)` and so on before its suffix, never too long."""
    yield path
    for number in range(2, 100_000):
        yield _with_number(path, number)


def _with_number(path: str, number: int) -> str:
    folder, slash, name = path.rpartition("/")
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix) <= 6 and " " not in suffix else ""
    stem = name.removesuffix(suffix) if suffix else name
    end = f" ({number}){suffix}"
    return folder + slash + cut(stem, _MAX_BYTES - len(end.encode())) + end

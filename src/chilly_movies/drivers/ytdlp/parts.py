"""The parts that a film comes in, as they lie in the folder of a job; in the child process only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

_FINGERPRINT = ("format_id", "ext", "vcodec", "acodec", "width", "height", "filesize", "protocol")
"""What tells one format from another; addresses are others at each look."""
PREFIX = "film-"


class Parts:
    """How far each part is.

    Attributes:
        present: which one is downloaded now, None if it is none of them.
        is_film: the only part is the film itself, from its first byte on.
    """

    def __init__(self) -> None:
        self.present: str | None = None
        self.is_film = False
        self._name: str | None = None
        self._done: dict[str, int] = {}
        self._total: dict[str, int | None] = {}
        self._exact: set[str] = set()

    def choose(self, info: MutableMapping[str, Any]) -> str:
        """Give the formats that were chosen names of ours; what all files are to begin with.

        The same formats have the same names at the next run, and others have others.
        """
        formats = info.get("requested_formats") or [info]
        marks = [_mark(info, one) for one in formats]
        stem = PREFIX + hashlib.sha256("".join(marks).encode()).hexdigest()[:12]
        for one, mark in zip(formats, marks, strict=True):
            one["format_id"] = mark
            begin = f"{stem}.f{mark}." if len(marks) > 1 else f"{stem}."
            self._done[mark] = _on_disk(begin)
            self._total[mark] = size_of(one)
        plain = info.get("protocol") in ("http", "https") and info.get("container") != "m4a_dash"
        self.is_film = len(marks) == 1 and plain and info.get("stretched_ratio") in (1, None)
        return stem

    def note(self, status: Mapping[str, Any]) -> bool:
        """Take over what a progress hook is told; whether the part's size is known only now."""
        part = str(self.present)
        exact, guess = status.get("total_bytes"), status.get("total_bytes_estimate")
        total = exact or guess or self._total.get(part)
        done = status.get("downloaded_bytes") or (exact if status["status"] == "finished" else 0)
        self._done[part] = int(done or 0)
        self._total[part] = None if total is None else max(int(total), self._done[part])
        self._name = Path(status["filename"]).name
        is_first = exact is not None and part not in self._exact
        if exact is not None:
            self._exact.add(part)
        return is_first

    def figures(self) -> dict[str, Any]:
        """The members of `words.Moved`."""
        totals = list(self._total.values())
        return {
            "done": sum(self._done.values()),
            "total": None if None in totals else sum(filter(None, totals)),
            "exact": self._exact >= set(self._total),
            "readable": self._name if self.is_film else None,
        }


def size_of(form: Mapping[str, Any]) -> int | None:
    """How large a format says it is, None if it does not."""
    size = form.get("filesize") or form.get("filesize_approx")
    return int(size) if isinstance(size, int | float) and 0 < size < 2**53 else None


def clear_others(stem: str) -> bool:
    """Delete what belongs to other formats; whether there was any."""
    others = [
        path for path in Path().iterdir() if path.name.startswith(PREFIX) and not _is_of(path, stem)
    ]
    for path in others:
        path.unlink()
    return bool(others)


def _is_of(path: Path, stem: str) -> bool:
    return path.name.startswith(f"{stem}.")


def _mark(info: Mapping[str, Any], form: Mapping[str, Any]) -> str:
    known = [info.get("extractor_key"), info.get("id"), *map(form.get, _FINGERPRINT)]
    return hashlib.sha256(json.dumps(known, default=str).encode()).hexdigest()[:8]


def _on_disk(begin: str) -> int:
    """Bytes of a part that are there; beside it may lie pieces that do not belong to it yet."""
    return max((path.stat().st_size for path in _files(begin)), default=0)


def _files(begin: str) -> Iterable[Path]:
    return (
        path
        for path in Path().iterdir()
        if path.name.startswith(begin) and "-Frag" not in path.name and path.suffix != ".ytdl"
    )

"""Lets what yt-dlp keeps of an unfinished film hold after a crash; in the child process only.

It renames files whose data may not be on the disk yet, and counts the fragments that it appended in
another file than the one it appends to: after a crash in between one would be there twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yt_dlp.downloader.fragment import FragmentFD  # type: ignore[import-untyped]

_NOTES = Path(".fragments.json")


def make_durable() -> None:
    """Change what yt-dlp calls, for the rest of this process."""
    os.rename, os.replace = _flushed(os.rename), _flushed(os.replace)
    FragmentFD._write_ytdl_file = _noted(FragmentFD._write_ytdl_file)  # noqa: SLF001 (no public way)


def _flushed(rename: Callable[..., None]) -> Callable[..., None]:
    """The same for files, whose data is on the disk before."""

    def renamed(source: Any, target: Any, **more: Any) -> None:
        handle = os.open(source, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        rename(source, target, **more)

    return renamed


def _noted(write: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """The same with a note of how long the part is with so many fragments."""

    def written(downloader: Any, about: Any) -> None:
        if (stream := about.get("dest_stream")) is not None:
            os.fdatasync(stream.fileno())
            state = {"current_fragment": {"index": about["fragment_index"]}}
            if "extra_state" in about:
                state["extra_state"] = about["extra_state"]
            size = os.fstat(stream.fileno()).st_size
            _keep({**_notes(), Path(about["filename"]).name: {"size": size, "state": state}})
        write(downloader, about)

    return written


def put_in_step(name: str) -> None:
    """Cut a part of fragments to what is noted of it; what nothing is noted of begins anew."""
    part, state = Path(f"{name}.part"), Path(f"{name}.ytdl")
    note = _notes().get(name)
    if note is None or not part.exists() or part.stat().st_size < note["size"]:
        part.unlink(missing_ok=True)
        state.unlink(missing_ok=True)
        return
    os.truncate(part, note["size"])
    state.write_text(json.dumps({"downloader": note["state"]}))


def _notes() -> dict[str, Any]:
    try:
        return dict(json.loads(_NOTES.read_text()))
    except (OSError, ValueError):
        return {}


def _keep(notes: dict[str, Any]) -> None:
    fresh = _NOTES.with_suffix(".new")
    fresh.write_text(json.dumps(notes))
    fresh.replace(_NOTES)

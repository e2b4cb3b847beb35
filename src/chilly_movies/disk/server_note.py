"""Which server uses a media folder: a note in it names that server's state folder.

Two servers on one media folder know nothing of each other's films. The note is only believed
while the lock of the state folder it names is held, so a crash leaves nothing behind that blocks.
No file in the media folder is held open for it: its disk can still be unmounted.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from chilly_movies.disk.volume import MARK
from chilly_movies.names import INCOMPLETE
from chilly_movies.runtime.state_folder import StateFolder

NOTE = ".server.json"


class ServerNote:
    """The note of one server in one media folder.

    Args:
        media_root: the media folder.
        state: the server's state folder, whose lock it holds.
    """

    def __init__(self, media_root: Path, state: StateFolder) -> None:
        self._folder = media_root / INCOMPLETE
        self._note = self._folder / NOTE
        self._state = state.path

    def other(self) -> Path | None:
        """The state folder of another server that runs on this media folder, None if none does."""
        found = self._read()
        if found is None or found[0] != socket.gethostname() or _same(found[1], self._state):
            return None
        return found[1] if StateFolder(found[1]).is_locked() else None

    def leave(self) -> None:
        """Leaves the note; a media folder that is away or cannot be written stays without."""
        text = json.dumps({"host": socket.gethostname(), "stateDir": str(self._state)})
        fresh = self._note.with_name(f"{NOTE}.{os.getpid()}")
        with suppress(OSError):
            if (self._folder / MARK).exists():  # or it may be the bare mount point of a disk
                fresh.write_text(text)
                fresh.replace(self._note)

    def withdraw(self) -> None:
        """Takes the note away if it is ours."""
        found = self._read()
        if found is not None and _same(found[1], self._state):
            with suppress(OSError):
                self._note.unlink()

    def _read(self) -> tuple[str, Path] | None:
        try:
            known = json.loads(self._note.read_bytes()[:10_000])
            return str(known["host"]), Path(str(known["stateDir"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one == other

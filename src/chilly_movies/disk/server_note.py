"""Which server uses a media folder: a note in it names that server's state folder.

Two servers on one media folder know nothing of each other's films. The note is only believed
while the lock of the state folder it names is held, so a crash leaves nothing behind that blocks.
No file in the media folder is held open for it: its disk can still be unmounted.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from chilly_movies.disk.volume import MARK, MediaVolume
from chilly_movies.errors import SettingsError
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


_LOCK_WITHIN = 1.0
"""Seconds in which the lock of a process that was killed becomes free at the latest."""


class SoleUse:
    """Keeps other instances out of the state folder, and other servers out of the media folder.

    Args:
        state: the state folder.
        volume: the media folder.
        note: this server's note in it.
        whole: keep others out of the media folder, too.
    """

    def __init__(
        self, state: StateFolder, volume: MediaVolume, note: ServerNote, *, whole: bool
    ) -> None:
        self._state = state
        self._volume = volume
        self._note = note if whole else None

    async def begin(self) -> None:
        """Take both. Idempotent.

        Raises:
            SettingsError: another server uses the media folder.
            StoreError: another instance uses the state folder.
        """
        note = self._note
        if not await self._state.lock_within(_LOCK_WITHIN) or note is None:
            return
        await self._volume.measure()  # it makes and marks a media folder that is new
        other = await asyncio.to_thread(note.other)
        if other is None:
            await asyncio.to_thread(note.leave)
            other = await asyncio.to_thread(note.other)  # two may have begun at once
        if other is not None:
            self._state.release()
            raise SettingsError(
                f"Another server, with the state folder {other}, uses this media folder: stop it, "
                "or set CHILLY_MEDIA_ROOT to another folder."
            )

    async def end(self) -> None:
        """Give both back. Idempotent."""
        if self._note is not None:
            await asyncio.to_thread(self._note.withdraw)
        self._state.release()


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one == other

"""The state folder of an installation: where its files lie, its lock and its secret."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from pathlib import Path

import platformdirs

from chilly_movies.errors import StoreError

DATABASE = "chilly.db"
LIBRARY = "library.db"
LOCK = "lock"
MEDIA_ROOT = "media-root.json"
LINK_SECRET = "link-secret"  # noqa: S105 (the name of the file)
METADATA_CACHE = "metadata-cache.db"
ARTWORK_CACHE = "artwork-cache.db"
_COMMANDS = "get"
_SECRET_BYTES = 32
_ASK_AGAIN = 0.05
"""Seconds until a lock that is held is asked for again."""


class StateFolder:
    """A state folder. Nothing is made in it before it is asked for.

    Args:
        path: the folder; None = the user's own, `default_path()`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or default_path()).absolute()
        self._handle: int | None = None

    @property
    def database(self) -> Path:
        """The database with jobs, events and resume data (SQLite)."""
        return self.path / DATABASE

    @property
    def library(self) -> Path:
        """The database with the library (SQLite)."""
        return self.path / LIBRARY

    @property
    def media_root(self) -> Path:
        """The file that remembers which disk the media folder was on (JSON)."""
        return self.path / MEDIA_ROOT

    @property
    def link_secret(self) -> Path:
        """The file with the secret that signs links."""
        return self.path / LINK_SECRET

    @property
    def metadata_cache(self) -> Path:
        """The cache of the film catalogue's answers (SQLite)."""
        return self.path / METADATA_CACHE

    @property
    def artwork_cache(self) -> Path:
        """The pictures of the film catalogues (SQLite)."""
        return self.path / ARTWORK_CACHE

    def is_locked(self) -> bool:
        """Whether a process, this one included, holds the lock."""
        try:
            handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def of_command(self, digest: str) -> Path:
        """The state folder of one command with this digest, within this one."""
        return self.path / _COMMANDS / digest

    def make(self) -> None:
        """Make the folder if it is not there, for its owner alone.

        Raises:
            OSError: it cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def lock(self) -> bool:
        """Take the lock, which keeps a second instance out; taking it again changes nothing.

        Returns:
            Whether it is taken only now.

        Raises:
            StoreError: another process has it, or the folder cannot be used.
        """
        if self._handle is not None:
            return False
        try:
            self.make()
            handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"The state folder cannot be used: {error.strerror}.") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise StoreError(
                "Another instance uses this state folder; stop it or set CHILLY_STATE_DIR."
            ) from None
        self._handle = handle
        return True

    async def lock_within(self, seconds: float) -> bool:
        """Takes the lock as `lock` does, and asks again for one that is held.

        What a killed process had forked may hold it for a moment longer, and so does whoever looks
        whether it is held: a service that is started again at once must not fail for that.

        Args:
            seconds: how long it asks.

        Raises:
            StoreError: another process still has it then, or the folder cannot be used.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while True:
            try:
                return self.lock()
            except StoreError:
                if clock() >= end or not (self.path / LOCK).exists():
                    raise
            await asyncio.sleep(_ASK_AGAIN)

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def load_secret(self) -> bytes:
        """The secret of 32 bytes; made at the first time, readable by its owner alone.

        Raises:
            OSError: the folder cannot be used.
        """
        path = self.link_secret
        self.make()
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb") as file:
                os.fchmod(handle, 0o600)
                found = file.read(_SECRET_BYTES + 1)
            if len(found) == _SECRET_BYTES:
                return found
            path.unlink()  # cut short by a crash: links signed with it are lost anyway
            return self.load_secret()
        with os.fdopen(handle, "wb") as file:
            made = secrets.token_bytes(_SECRET_BYTES)
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        return made


def default_path() -> Path:
    """The user's state folder, as the XDG Base Directory Specification places it."""
    return platformdirs.user_state_path("chilly-movies")

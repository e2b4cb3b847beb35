"""A lock that keeps a second instance out of a state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from chilly_movies.errors import StoreError

LOCK = "lock"


def is_held(state_dir: Path) -> bool:
    """Whether a process holds the state folder's lock."""
    try:
        handle = os.open(state_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


class StateLock:
    """Keeps a second instance out of a state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir
        self._handle: int | None = None

    def take(self) -> bool:
        """Take it; taking it again changes nothing.

        Returns:
            Whether it is taken only now.

        Raises:
            StoreError: another process has it, or the folder cannot be used.
        """
        if self._handle is not None:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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

    def release(self) -> None:
        """Let it go. Idempotent."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

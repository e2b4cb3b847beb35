"""How the program ends: exit codes, and which error means which."""

from __future__ import annotations

from enum import IntEnum

from chilly_movies.errors import (
    ChillyError,
    InvalidRequest,
    JobNotFound,
    PathNotFound,
    SettingsError,
    StoreError,
)


class Exit(IntEnum):
    """The exit codes and what each means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_SERVER = 4
    INTERRUPTED = 130


EXIT_CODES = (
    (Exit.DONE, "done"),
    (Exit.FAILED, "a download failed or was canceled, or the server refused"),
    (Exit.USAGE, "wrong usage, or a setting or folder that cannot be used"),
    (Exit.NOT_FOUND, "no such job"),
    (Exit.NO_SERVER, "no server answers"),
    (Exit.INTERRUPTED, "interrupted"),
)


class CommandFailed(Exception):
    """An error that ends a command; the message is one sentence for people.

    Args:
        message: the sentence.
        code: how the program ends.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def exit_of_error(error: ChillyError) -> Exit:
    """Returns the exit code for one of our own errors."""
    if isinstance(error, JobNotFound):
        return Exit.NOT_FOUND
    if isinstance(error, SettingsError | StoreError | InvalidRequest | PathNotFound):
        return Exit.USAGE
    return Exit.FAILED


def exit_of_answer(code: str) -> Exit:
    """Returns the exit code for the stable name of a refusal, or `no_server`."""
    if code == "no_server":
        return Exit.NO_SERVER
    if code == "job_not_found":
        return Exit.NOT_FOUND
    return Exit.USAGE if code == "invalid_address" else Exit.FAILED


def exit_of_status(status: str) -> Exit:
    """Returns the exit code for the status in which a job ended."""
    return Exit.FAILED if status in ("failed", "canceled") else Exit.DONE

"""What the outside throws at a store, and the sentence people get for it."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from sqlalchemy.exc import InvalidRequestError, OperationalError, StatementError

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.storage.sqlite.faults import translate

IN_USE = "The database is in use by another program."
FULL = "The disk that holds the database is full."
READ_ONLY = "The database cannot be opened for writing."
DISK = "The disk that holds the database does not work."
DAMAGED = "The database file is damaged or not a database."
OTHER = "The database could not do it."
INCOMPLETE = "The database is damaged: a table or column of it is missing."
BAD_VALUE = "The database cannot keep a value of this form."


def of_sqlite(code: int | None) -> sqlite3.Error:
    """An error as SQLite's module raises it; without a code if the module itself is at fault."""
    error = sqlite3.OperationalError("no such table: jobs in /home/me/chilly.db")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped by SQLAlchemy"])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (sqlite3.SQLITE_BUSY, IN_USE),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, IN_USE),
        (sqlite3.SQLITE_FULL, FULL),
        (sqlite3.SQLITE_READONLY_DIRECTORY, READ_ONLY),
        (sqlite3.SQLITE_IOERR_WRITE, DISK),
        (sqlite3.SQLITE_CORRUPT_INDEX, DAMAGED),
        (sqlite3.SQLITE_NOTADB, DAMAGED),
        (sqlite3.SQLITE_ERROR, INCOMPLETE),
        (sqlite3.SQLITE_MISUSE, OTHER),
        (None, OTHER),
    ],
)
def test_what_sqlite_says_becomes_a_sentence_by_its_kind(
    code: int | None, sentence: str, wrapped: bool
) -> None:
    error: Exception = of_sqlite(code)
    if wrapped:
        error = OperationalError("SELECT secret FROM jobs", {}, error)
    ours = translate(error)
    assert (type(ours), str(ours)) == (StoreError, sentence)
    assert ours.__cause__ is error, "the log must be able to tell what really happened"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "no space"), FULL),
        (OSError(errno.EDQUOT, "quota"), FULL),
        (OSError(errno.EIO, "input/output"), DISK),
        (PermissionError(errno.EACCES, "denied"), READ_ONLY),
        (OSError("no number"), READ_ONLY),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate"), BAD_VALUE),
        (OverflowError("too large"), BAD_VALUE),
        (StatementError("bad value", "INSERT", {}, ValueError("a time needs a zone")), BAD_VALUE),
        (InvalidRequestError("the connection is closed"), OTHER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_system_or_a_library_says_becomes_a_sentence(
    error: Exception, sentence: str
) -> None:
    ours = translate(error)
    assert (type(ours), str(ours)) == (StoreError, sentence)


@pytest.mark.parametrize(
    "error", [StoreFromTheFuture("Newer."), StoreError("Ours."), KeyError("a mistake")]
)
def test_our_own_errors_and_plain_mistakes_stay_what_they_are(error: Exception) -> None:
    assert translate(error) is error

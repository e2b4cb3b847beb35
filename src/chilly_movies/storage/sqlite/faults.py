"""The one place where foreign errors become ours."""

from __future__ import annotations

import errno
import re
import sqlite3
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from chilly_movies.errors import ChillyError, StoreError
from chilly_movies.runtime.descriptors import shortage, shortage_now

_IN_USE: Final = "The database is in use by another program."
_FULL: Final = "The disk that holds the database is full."
_READ_ONLY: Final = "The database cannot be opened for writing."
_DISK: Final = "The disk that holds the database does not work."
_DAMAGED: Final = "The database file is damaged or not a database."
_INCOMPLETE: Final = "The database is damaged: a table or column of it is missing."
_NO_SUCH: Final = re.compile(r"no such (table|column)|table \w+ has no column")
_OTHER: Final = "The database could not do it."
_BAD_VALUE: Final = "The database cannot keep a value of this form."

_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_AUTH: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}

_OPENS: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
"""What SQLite says where a file could not be opened; not why."""

_SYSTEM_SENTENCES: Final = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EIO: _DISK}

FOREIGN: Final = (SQLAlchemyError, sqlite3.Error, OSError, UnicodeDecodeError)
"""Everything that the libraries under a store raise when the outside is at fault."""


def lenient(text: bytes) -> str:
    """A stored text; bytes that are no UTF-8 stay in it as lone surrogates (PEP 383).

    SQLite's own reader would end the whole result at such a row. Here the row is read, and whoever
    takes its text for UTF-8 finds the damage.
    """
    return text.decode("utf-8", "surrogateescape")


def translate(error: Exception) -> Exception:
    """The error to raise instead.

    Args:
        error: what was raised on the way to, in, or on the way from the database.

    Returns:
        A `StoreError` without SQL and without a path; the error itself if it is already one of
        ours or a plain programming mistake.
    """
    sentence = _sentence(error)
    if isinstance(error, ChillyError) or sentence is None:
        return error
    ours = StoreError(sentence)
    ours.__cause__ = error
    return ours


def _sentence(error: Exception) -> str | None:
    origin = getattr(error, "orig", None) or error
    if isinstance(origin, sqlite3.Error):
        # The low byte is the kind of error, the rest only details it.
        kind = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        if kind == sqlite3.SQLITE_ERROR and _NO_SUCH.match(str(origin)):
            return _INCOMPLETE
        short = shortage_now() if kind in _OPENS else None
        return short or _SENTENCES.get(kind, _OTHER)
    if isinstance(origin, UnicodeDecodeError):  # the name of a column
        return _DAMAGED
    # Text that is not Unicode, a time without zone, a number of more than 64 bits; SQLAlchemy
    # wraps them if they appear before the statement runs.
    if isinstance(origin, ValueError | OverflowError):
        return _BAD_VALUE
    if isinstance(origin, OSError):
        return shortage(origin.errno) or _SYSTEM_SENTENCES.get(origin.errno or 0, _READ_ONLY)
    return _OTHER if isinstance(origin, SQLAlchemyError) else None

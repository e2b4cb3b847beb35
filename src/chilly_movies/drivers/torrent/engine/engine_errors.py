"""What the engine says went wrong, as errors of ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import libtorrent as lt

from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.torrent.engine.params import plain
from chilly_movies.errors import (
    ChillyError,
    DiskError,
    DriverCrashed,
    OutOfDescriptors,
    SourceRejected,
)
from chilly_movies.runtime.descriptors import shortage, shortage_now

_SYSTEM = ("system", "generic")
_REFUSED = "it has a private address, which CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets in"
_OUR_RULES = {
    "banned by IP filter": f"{_REFUSED}, or one of your lists shuts it out",
    "blocked by SSRF mitigation": _REFUSED,
}
_ERRNO = re.compile(r"\[(?:system|generic):(\d+)")
"""How the text of an exception of the engine ends if the system is at fault."""


def why(error: lt.error_code) -> str:
    """What went wrong, in the engine's words. Its code 0 reads 'Success', which is no reason."""
    return error.message() if error.value() else "it does not say why"


def why_tracker(error: lt.error_code) -> str:
    """Why a tracker could not be asked, with what helps if it is one of our own rules."""
    said = why(error)
    if error.category().name() == "libtorrent":
        return _OUR_RULES.get(error.message(), said)
    return "no answer in time" if error.value() == errno.ECANCELED else said


def disk_said(what: str, error: lt.error_code) -> DiskError:
    """The error for what the disk refused the engine."""
    return disk_error(error.value(), f"{what}: {why(error)}.")


def why_stopped(error: lt.error_code) -> ChillyError:
    """The error for a torrent that the engine stopped by itself."""
    sentence = f"The engine stopped the torrent: {why(error)}."
    if error.value() and error.category().name() in _SYSTEM:
        return disk_error(error.value(), sentence)
    if error.value():
        return SourceRejected(sentence)
    short = shortage_now()
    return OutOfDescriptors(short) if short else DriverCrashed(sentence)


def refused(error: RuntimeError) -> ChillyError:
    """The error for a torrent that the engine does not take."""
    short = _shortage(error)
    if short is not None:
        return OutOfDescriptors(short)
    return SourceRejected(f"The engine refused the torrent: {plain(error)}.")


@contextmanager
def short_of_descriptors() -> Iterator[None]:
    """Tell of a shortage of descriptors as such.

    Raises:
        OutOfDescriptors: the body failed as none was left.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if (short := _shortage(error)) is None:
            raise
        raise OutOfDescriptors(short) from None


def _shortage(error: OSError | RuntimeError) -> str | None:
    if isinstance(error, OSError):
        return shortage(error.errno)
    code = _ERRNO.search(str(error))
    return None if code is None else shortage(int(code[1]))

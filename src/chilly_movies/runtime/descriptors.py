"""File descriptors, of which each open file and each connection takes one.

How many there are is limited for the process (`ulimit -n`, EMFILE) and for the machine (ENFILE).
"""

from __future__ import annotations

import errno
import os
import resource

_ADVICE = {
    errno.EMFILE: "The server has no file descriptors left; raise the limit (ulimit -n) or close "
    "listeners, and it goes on.",
    errno.ENFILE: "This machine has no file descriptors left; raise the limit (fs.file-max) or end "
    "other programs, and it goes on.",
}
_FEW = 4


def shortage(code: int | None) -> str | None:
    """The sentence for people if this `errno` says that no descriptor is left, else None."""
    return _ADVICE.get(code or 0)


def shortage_now() -> str | None:
    """The same sentence if this process can open next to nothing at this moment.

    For errors that do not say why they came.
    """
    try:
        handle = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return shortage(error.errno)
    os.close(handle)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # the system gives the lowest free number
    is_last = limit != resource.RLIM_INFINITY and handle >= limit - _FEW
    return shortage(errno.EMFILE) if is_last else None

"""What an error of yt-dlp was made of, in members of `words.Trouble`; in the child process only."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

_DISK = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOENT, errno.EMFILE, errno.ENFILE)
)
_LONGEST = 2000


def causes(error: BaseException) -> dict[str, Any]:
    """The members of a `Trouble`."""
    chain = list(_chain(error))
    statuses = (getattr(one, "status", None) for one in chain)
    numbers = (one.errno for one in chain if isinstance(one, OSError))
    return {
        "kinds": list(dict.fromkeys(type(one).__name__ for one in chain)),
        "status": next((s for s in statuses if isinstance(s, int)), None),
        "errno": next((n for n in numbers if n in _DISK), None),
        "says": str(error)[:_LONGEST],
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it was made of: yt-dlp keeps them in places of its own."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = getattr(one, "exc_info", None) or (None, None)
        waiting += [getattr(one, "cause", None), kept[1], one.__cause__, one.__context__]

"""Places where a test stops the program on purpose: between two steps that a crash may part.

Off unless `CHILLY_FAILPOINT` is set when the program starts: `publish.renamed:exit` ends the
process there like `kill -9`, `publish.renamed:raise` fails there like a broken disk, and
`publish.renamed@3:exit` does so at the third time. Commas separate several.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections import Counter

VARIABLE = "CHILLY_FAILPOINT"
_WISH = re.compile(r"([\w.]+)(?:@(\d+))?:(exit|raise)")


def parse(text: str) -> dict[str, tuple[int, str]]:
    """What is to happen where, and at which time.

    Raises:
        ValueError: the text is malformed.
    """
    wishes = {}
    for part in filter(None, text.split(",")):
        match = _WISH.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{VARIABLE}: '{part}' does not look like name:exit or name@2:raise")
        wishes[match[1]] = (int(match[2] or 1), match[3])
    return wishes


_wishes = parse(os.environ.get(VARIABLE, ""))
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Say that a step is done; nothing happens unless a test asked for it.

    Raises:
        OSError: a test asked for a broken disk here.
    """
    if name not in _wishes:
        return
    _reached[name] += 1
    time, action = _wishes[name]
    if _reached[name] == time and action == "exit":
        os.kill(os.getpid(), signal.SIGKILL)
    if _reached[name] == time:
        raise OSError(errno.EIO, f"failpoint {name}")

"""What the engine was built with, which no package list says."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import libtorrent as lt

OPENSSL = re.compile(rb"OpenSSL (\d\.\d+\.\d+[a-z]?) +\d{1,2} [A-Z][a-z]{2} 20\d\d")
"""As a library says it of itself; other programs name versions, too."""


def openssl_inside() -> str | None:
    """The version of the OpenSSL that is part of the engine's own file, None if none is found.

    It looks through some 20 MB, in about as many milliseconds: call it in a thread.
    """
    try:
        with (
            Path(lt.__file__).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library,
        ):
            found = OPENSSL.search(library)
            return found[1].decode() if found else None
    except (OSError, ValueError):
        return None

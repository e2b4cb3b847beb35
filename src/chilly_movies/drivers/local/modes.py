"""Which way a source's files come to the media folder, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from chilly_movies.disk.linking import Mode, why_not
from chilly_movies.disk.roots import RootedPath
from chilly_movies.errors import SourceRejected

_PROBE = ".probe"
SAID = {
    "hardlink": "hard link: the film is the same file under a second name, and takes no room",
    "reflink": "reflink: the copy shares its blocks with the original, and takes no room",
    "copy": "copy: every byte is written once more",
}
"""What each means, in words for people."""


def choose(wanted: Mode | None, place: RootedPath, staging: Path) -> Mode:
    """The way that a source's files come: the wanted one, or the cheapest that goes. Blocks.

    Args:
        wanted: what the caller asked for, None = whichever goes.
        place: one file of the source.
        staging: a folder of ours on the disk they come to.

    Raises:
        SourceRejected: the wanted way does not go.
        OSError: the disk refused.
    """
    for mode in get_args(Mode) if wanted is None else (wanted,):
        why = None if mode == "copy" else why_not(mode, place, staging / _PROBE)
        (staging / _PROBE).unlink(missing_ok=True)
        if why is None:
            found: Mode = mode
            return found
    kinds = {"hardlink": "hard links", "reflink": "reflinks"}
    raise SourceRejected(
        f"There can be no {kinds[str(wanted)]} of '{place.urn}' in the media folder ({why}); "
        "leave the mode out, or take 'copy'."
    )

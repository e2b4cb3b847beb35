"""What `chilly doctor` asks of the engine: its version, and whether it can read resume data."""

from __future__ import annotations

import libtorrent as lt

from chilly_movies.drivers.torrent.params import plain


def engine_version() -> str:
    """The version of the torrent engine that is installed."""
    return str(lt.__version__)


def resume_problem(data: bytes) -> str | None:
    """Why the engine cannot read resume data, None if it can."""
    try:
        lt.read_resume_data(data)
    except RuntimeError as error:
        return plain(error)
    return None

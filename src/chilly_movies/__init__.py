"""Chilly Movies: the engine under every Chilly Movies screen.

```python
from chilly_movies import WebTorrentDownloader

async with WebTorrentDownloader(media_root="./media") as downloader:
    downloader.on("progress", lambda job: print(job.progress.percent))
    await downloader.start(id="1", source_type="torrent", source_urn="magnet:?xt=...")
    job = await downloader.wait("1")
```
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which takes 5 ms to load
if TYPE_CHECKING:
    from typing import Any

    from chilly_movies.app import WebTorrentDownloader, create_app
    from chilly_movies.drivers.mock.driver import MockScript
    from chilly_movies.errors import (
        ChillyError,
        DownloadError,
        DuplicateDownload,
        IllegalTransition,
        InvalidRequest,
        JobNotFound,
    )
    from chilly_movies.jobs.downloader import Downloader
    from chilly_movies.jobs.models import (
        Job,
        MediaFile,
        Phase,
        Progress,
        Source,
        SourceType,
        Status,
    )
    from chilly_movies.jobs.options import Options
    from chilly_movies.mock import MockDownloader
    from chilly_movies.version import __version__

_ERRORS, _MODELS = "chilly_movies.errors", "chilly_movies.jobs.models"
_LAZY = {
    "Downloader": "chilly_movies.jobs.downloader",
    "WebTorrentDownloader": "chilly_movies.app",
    "MockDownloader": "chilly_movies.mock",
    "MockScript": "chilly_movies.drivers.mock.driver",
    "create_app": "chilly_movies.app",
    "Options": "chilly_movies.jobs.options",
    "__version__": "chilly_movies.version",
    **dict.fromkeys(
        ("ChillyError", "DownloadError", "DuplicateDownload", "IllegalTransition",
         "InvalidRequest", "JobNotFound"), _ERRORS,
    ),
    **dict.fromkeys(
        ("Job", "MediaFile", "Phase", "Progress", "Source", "SourceType", "Status"),
        _MODELS,
    ),
}  # fmt: skip

__all__ = [
    "ChillyError", "DownloadError", "Downloader", "DuplicateDownload", "IllegalTransition",
    "InvalidRequest", "Job", "JobNotFound", "MediaFile", "MockDownloader", "MockScript", "Options",
    "Phase", "Progress", "Source", "SourceType", "Status", "WebTorrentDownloader", "__version__",
    "create_app",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: the engine and the server take half a second."""
    if name not in _LAZY:
        raise AttributeError(f"module 'chilly_movies' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

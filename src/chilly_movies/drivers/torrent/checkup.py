"""What `chilly doctor` asks of the engine: its version, resume data, whether films are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.models import Job
from chilly_movies.names import INCOMPLETE

_OFFLINE: dict[str, Any] = {
    "listen_interfaces": "",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "max_webtorrent_offers": 0,
    "webtorrent_stun_server": "",
    "aio_threads": 2,
    "hashing_threads": 2,
}
_PATIENCE_MS = 1000
_OVER = (lt.torrent_checked_alert, lt.torrent_error_alert, lt.file_error_alert)


def engine_version() -> str:
    """The version of the torrent engine that is installed."""
    return str(lt.__version__)


def resume_problem(data: bytes) -> str | None:
    """Why the engine cannot read resume data, None if it can."""
    claim = decode(data)
    try:
        lt.read_resume_data(data if claim is None else claim.data)
    except RuntimeError as error:
        return p.plain(error)
    return None


class FilmCheck:
    """An engine without a network that compares films with their hashes and writes nothing."""

    def __init__(self, media_root: Path) -> None:
        self._root = media_root
        kinds = lt.alert.category_t
        mask = kinds.status_notification | kinds.error_notification | kinds.storage_notification
        pack: Any = {**_OFFLINE, "alert_mask": mask}
        self._session = lt.session(pack)

    def differing(self, job: Job, blob: bytes | None) -> int | None:
        """How many bytes of a finished film are not as they should be. Blocks.

        Args:
            job: whose film.
            blob: its resume data, which knows the hashes.

        Returns:
            None if the hashes are not known any more.
        """
        claim = decode(blob)
        request = p.AddRequest(
            source=job.source,
            save_path=self._root,
            part_path=self._root / INCOMPLETE / job.key,
            options=job.options,
            resume=claim.data if claim else None,
            renames={file.index: file.path for file in job.files},
            trust_resume=False,
            read_only=True,
            only_check=True,
        )
        try:
            params = p.build(request)
        except ChillyError:
            return None
        if params.ti is None:
            return None
        params.trackers, params.url_seeds, params.peers = [], [], []
        handle = self._session.add_torrent(params)
        try:
            handle.resume()
            while True:
                self._session.wait_for_alert(_PATIENCE_MS)
                for alert in self._session.pop_alerts():
                    if isinstance(alert, _OVER) and alert.handle == handle:
                        status = handle.status()
                        return int(status.total_wanted - status.total_wanted_done)
        finally:
            self._session.remove_torrent(handle)

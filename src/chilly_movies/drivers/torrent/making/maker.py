"""Implements `torrents.TorrentMaker` for what lies in the media root."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from chilly_movies.drivers.torrent.making.create import make_torrent, with_websockets
from chilly_movies.errors import InvalidRequest, PathNotFound
from chilly_movies.jobs.requests import check_path
from chilly_movies.jobs.torrents import MadeTorrent, TorrentWish


class MediaTorrentMaker:
    """Makes one torrent at a time: reading several at once is slower on every disk.

    Args:
        media_root: where films lie.
        webtorrent_trackers: WebSocket trackers for every torrent that is not private.
    """

    def __init__(self, media_root: Path, webtorrent_trackers: Sequence[str] = ()) -> None:
        self._root = media_root
        self._websockets = tuple(webtorrent_trackers)
        self._turn = asyncio.Lock()

    async def make(self, wish: TorrentWish) -> MadeTorrent:
        """See `torrents.TorrentMaker`."""
        trackers = with_websockets(
            wish.trackers, self._websockets, wish.version, private=wish.private
        )
        path = await asyncio.to_thread(self._place, check_path(wish.path))
        async with self._turn:
            return await make_torrent(
                path,
                version=wish.version,
                trackers=trackers,
                web_seeds=wish.web_seeds,
                private=wish.private,
                comment=wish.comment,
            )

    def _place(self, path: str) -> Path:
        """Where the path leads.

        Raises:
            PathNotFound: to nothing.
            InvalidRequest: out of the media root.
        """
        root, place = self._root.resolve(), self._root.absolute() / path
        try:
            inside = place.resolve(strict=True).is_relative_to(root)
        except (FileNotFoundError, NotADirectoryError):
            raise PathNotFound("There is nothing at this path in the media folder.") from None
        except (OSError, ValueError, RuntimeError):
            raise InvalidRequest("This path cannot be followed.", field="path") from None
        if not inside:
            raise InvalidRequest("The path leads out of the media folder.", field="path")
        return place

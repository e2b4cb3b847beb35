"""Implements `torrents.TorrentMaker` for what lies in the media root."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.urls import place_of, tidy_url
from chilly_movies.drivers.torrent.making.create import make_torrent, with_websockets
from chilly_movies.errors import InvalidRequest, PathNotFound
from chilly_movies.jobs.requests import check_path
from chilly_movies.jobs.torrents import MadeTorrent, TorrentWish


class MediaTorrentMaker:
    """Makes one torrent at a time: reading several at once is slower on every disk.

    Args:
        media_root: where films lie.
        webtorrent_trackers: WebSocket trackers for every torrent that is not private.
        gate: what a torrent may name; None = anything.
    """

    def __init__(
        self,
        media_root: Path,
        webtorrent_trackers: Sequence[str] = (),
        gate: Gate | None = None,
    ) -> None:
        self._root = media_root
        self._websockets = tuple(webtorrent_trackers)
        self._gate = gate
        self._turn = asyncio.Lock()

    async def make(self, wish: TorrentWish) -> MadeTorrent:
        """See `torrents.TorrentMaker`."""
        # what would be left out when the torrent is seeded is not let in for being asked for: a key
        # with the scope `control` is no right to have this machine call what is in its network
        gate = self._gate or Gate(allow_private=True)
        opened = replace(gate, allow_private=True)
        named = [("trackers", url, gate.lets_tracker, opened.lets_tracker) for url in wish.trackers]
        named += [
            ("webSeeds", url, gate.lets_web_seed, opened.lets_web_seed) for url in wish.web_seeds
        ]
        for field, typed, lets, could in named:
            url = tidy_url(typed)
            if could(url) and not lets(url):
                raise InvalidRequest(
                    f"{place_of(url)} has a private address, or is a WebSocket tracker without "
                    "TLS; CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets it in.",
                    field=field,
                )
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

"""Makes torrents of nothing: for front-end authors and tests."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from urllib.parse import quote

from chilly_movies.jobs.models import MediaFile
from chilly_movies.jobs.requests import check_path
from chilly_movies.jobs.torrents import MadeTorrent, TorrentVersion, TorrentWish

_SIZE = 700_000_000
_PIECE_SIZE = 1 << 20


class MockTorrentMaker:
    """Implements `torrents.TorrentMaker` without a disk: whatever lies at the path is 700 MB."""

    async def make(self, wish: TorrentWish) -> MadeTorrent:
        """See `torrents.TorrentMaker`.

        The same wish gives the same torrent, which nobody can use.
        """
        path = check_path(wish.path)
        name = PurePosixPath(path).name
        info = b"d6:lengthi%de4:name%d:%be" % (_SIZE, len(name.encode()), name.encode())
        v1 = hashlib.sha1(info, usedforsecurity=False).hexdigest()
        v2 = hashlib.sha256(info).hexdigest()
        has_v1 = wish.version is not TorrentVersion.V2
        has_v2 = wish.version is not TorrentVersion.V1
        topics = [f"xt=urn:btih:{v1}"] * has_v1 + [f"xt=urn:btmh:1220{v2}"] * has_v2
        trackers = [f"tr={quote(url, safe='')}" for url in wish.trackers]
        return MadeTorrent(
            data=b"d4:info%be" % info,
            magnet="magnet:?" + "&".join([*topics, f"dn={quote(name)}", *trackers]),
            name=name,
            v1=v1 if has_v1 else None,
            v2=v2 if has_v2 else None,
            size=_SIZE,
            files=(MediaFile(0, name, _SIZE),),
            piece_size=_PIECE_SIZE,
        )

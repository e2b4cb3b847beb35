"""BitTorrent on libtorrent. Only this package imports libtorrent, and only values leave it."""

from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig, gate_of, with_typed
from chilly_movies.drivers.torrent.engine.options import EngineOptions
from chilly_movies.drivers.torrent.making.maker import MediaTorrentMaker

__all__ = [
    "EngineConfig", "EngineOptions", "MediaTorrentMaker", "TorrentDriver", "gate_of", "with_typed",
]  # fmt: skip

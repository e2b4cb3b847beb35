"""BitTorrent on libtorrent. Only this package imports libtorrent, and only values leave it."""

from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.driver import TorrentDriver

__all__ = ["EngineConfig", "TorrentDriver"]

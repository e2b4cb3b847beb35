"""The libtorrent session and its torrents, seen from outside as values."""

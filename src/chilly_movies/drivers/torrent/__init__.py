"""BitTorrent on libtorrent. Only this package imports libtorrent, and only values leave it."""

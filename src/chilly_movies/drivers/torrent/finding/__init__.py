"""Finds bytes of a torrent that lie here already, under whatever name."""

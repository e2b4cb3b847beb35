"""Torrents made of files and folders, and an engine that only seeds them."""

"""Independent BitTorrent clients on loopback, and the files they share.

Each peer is an async context manager around a program of its own process group, which is
killed at the end. See `process.Peer` for what they have in common.
"""

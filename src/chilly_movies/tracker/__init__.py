"""A BitTorrent tracker over HTTP and WebSocket; it imports nothing of the other rooms."""

"""The gates every request passes before its route: host, key, limits, body."""

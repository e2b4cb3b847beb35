"""Workarounds for what the engine does wrong."""

"""Readers of a film that is still arriving, and what they make the engine fetch."""

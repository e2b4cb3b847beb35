"""Hostile clients of the API in numbers, and a local user who must not notice."""

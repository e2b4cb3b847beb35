"""Film catalogues: TMDB, and a canned one for tests and offline work."""

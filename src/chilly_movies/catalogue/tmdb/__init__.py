"""Film facts from The Movie Database (TMDB)."""

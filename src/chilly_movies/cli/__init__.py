"""The command line. `main` is the entry point of the program `chilly`."""

from chilly_movies.cli.commands import main

__all__ = ["main"]

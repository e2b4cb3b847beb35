"""`python -m chilly_movies` is the same as `chilly`."""

import sys

from chilly_movies.cli import main

if __name__ == "__main__":
    sys.exit(main())

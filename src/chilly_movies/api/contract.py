"""Writes the contract, or checks that the written one is current.

python -m chilly_movies.api.contract [--check] contracts/openapi.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from chilly_movies.api.app import documented_app
from chilly_movies.api.routes.docs import to_yaml


def main(arguments: list[str]) -> int:
    """Writes or checks the contract; returns 0 if it is current, 1 if it is out of date."""
    check, path = "--check" in arguments, Path(arguments[-1])
    current = to_yaml(documented_app().openapi())
    if not check:
        path.write_text(current)
        return 0
    if path.exists() and path.read_text() == current:
        return 0
    sys.stderr.write(f"{path} is out of date: run 'make contract'.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

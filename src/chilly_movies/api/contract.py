"""Writes the contracts, or checks that the written ones are current.

python -m chilly_movies.api.contract [--check] contracts/openapi.yaml

Beside the whole contract lies that of the download routes alone, `openapi.downloads.yaml`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chilly_movies.api.app import documented_app
from chilly_movies.api.openapi import DOWNLOAD_ROUTES, part
from chilly_movies.api.routes.docs import to_yaml


def main(arguments: list[str]) -> int:
    """Writes or checks the contracts; returns 0 if they are current, 1 if one is out of date."""
    check, path = "--check" in arguments, Path(arguments[-1])
    whole = documented_app().openapi()
    current = {
        path: to_yaml(whole),
        path.with_suffix(".downloads.yaml"): to_yaml(part(whole, DOWNLOAD_ROUTES)),
    }
    old = [f for f, text in current.items() if not f.exists() or f.read_text() != text]
    for file in old:
        if check:
            sys.stderr.write(f"{file} is out of date: run 'make contract'.\n")
        else:
            file.write_text(current[file])
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

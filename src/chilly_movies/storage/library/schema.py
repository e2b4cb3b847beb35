"""The form of the library's database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chilly_movies.storage.sqlite.upgrade import Schema

LIBRARY_SCHEMA: Final = Schema(Path(__file__).parent / "migrations", "0001")

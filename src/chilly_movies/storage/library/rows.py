"""Items, positions and filings as the library's database keeps them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from chilly_movies.library.models import Filing, Item, Position
from chilly_movies.storage.library.paging import main_files, moment
from chilly_movies.storage.library.words import title_key, words_of

_logger = logging.getLogger(__name__)

_ITEM: Final = TypeAdapter(Item)
_FILING: Final = TypeAdapter(Filing)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def body_of(item: Item) -> str:
    """All of an item, as JSON.

    Raises:
        ValueError: a text of it is no valid Unicode.
    """
    return _ITEM.dump_json(item, exclude_defaults=True).decode()


def item_of(body: str | bytes) -> Item:
    """The item of a JSON text.

    Raises:
        ValueError: it is none.
    """
    return _ITEM.validate_json(body)


def items_of(bodies: Iterable[str]) -> list[Item]:
    """The items of JSON texts; damaged ones are left out and logged."""
    found = []
    for body in bodies:
        try:
            found.append(item_of(body))
        except ValueError as error:
            _logger.warning("a damaged item of the library is left out: %s", type(error).__name__)
    return found


def item_row(number: int, item: Item) -> tuple[Any, ...]:
    """Every column of `items`."""
    return (
        number,
        item.id,
        title_key(item.title),
        item.kind,
        item.state,
        item.favourite,
        moment(item.added_at),
        item.year,
        item.facts.rating,
        None if item.ref is None else str(item.ref),
        json.dumps(sorted(main_files(item))),
    )


def texts_of(item: Item) -> tuple[str, str, str]:
    """The words an item is found by: of its title, its original title, its cast and its year."""
    others = " ".join((*item.facts.cast, str(item.year or "")))
    found = (item.title, item.facts.original_title, others)
    title, original, rest = (" ".join(words_of(text)) for text in found)
    return title, original, rest


def genre_key(genre: str) -> str:
    """What a genre is asked for by."""
    return " ".join(words_of(genre))


def filing_body(filing: Filing) -> str:
    """All of a filing, as JSON."""
    return _FILING.dump_json(filing).decode()


def filing_of(body: str) -> Filing:
    """The filing of a JSON text.

    Raises:
        ValueError: it is none.
    """
    return _FILING.validate_json(body)


def position_of(row: Sequence[Any]) -> Position:
    """The position of item id, viewer, file index, seconds, whether it was seen, and a time."""
    item_id, viewer, file_index, seconds, seen, at = row
    when = _EPOCH + timedelta(microseconds=at)
    return Position(item_id, viewer, file_index, seconds, bool(seen), when)

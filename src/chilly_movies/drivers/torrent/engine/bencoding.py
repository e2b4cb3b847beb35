"""Reads bencoded text (BEP 3), and refuses what two programs may read differently.

Of two members with one key libtorrent takes the last, and it takes numbers with leading zeros.
Other programs take the first or refuse, so for them it would be another film.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import libtorrent as lt


def decode(data: bytes) -> Any:
    """The value: dictionaries, lists, bytes and numbers. What follows it does not matter.

    Args:
        data: the engine took it already, so the number and depth of its parts are within bounds.

    Raises:
        ValueError: a key is there twice, or a number has leading zeros; says so in a clause.
    """
    value = lt.bdecode(data)
    size = len(lt.bencode(value))
    if size != len(data):
        try:
            lt.bdecode(data[:size])  # a value: no beginning of a longer one is
        except RuntimeError:
            sentence = "a key is there twice, or a number has leading zeros"
            raise ValueError(sentence) from None
    return value


def texts(value: Any, most: int) -> list[str]:
    """The strings of a list, or the one string; bytes that are no UTF-8 become surrogates.

    Args:
        value: as it was decoded.
        most: so many entries are looked at.
    """
    entries = value if isinstance(value, list) else [value]
    return [
        entry.decode("utf-8", "surrogateescape")
        for entry in islice(entries, most)
        if isinstance(entry, bytes)
    ]

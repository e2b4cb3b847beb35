"""Reads magnet links as people paste them, and writes them as the engine knows them.

Formats: BEP 9, BEP 53 (`so`) and BEP 52 (`btmh`). The engine takes a parameter without `=` and the
next one for one, knows keys and prefixes in lower case only, and drops addresses with a blank.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import quote, unquote

from chilly_movies.drivers.torrent.engine.gate import (
    MAX_NODES,
    MAX_PEERS,
    MAX_TRACKERS,
    MAX_WEB_SEEDS,
)
from chilly_movies.drivers.torrent.engine.urls import tidy_url
from chilly_movies.errors import InvalidSource
from chilly_movies.jobs.options import MAX_FILES

_V1 = re.compile(r"[0-9a-fA-F]{40}")
_V1_BASE32 = re.compile(r"[a-zA-Z2-7]{32}")
_V2 = re.compile(r"(?:1220)?([0-9a-fA-F]{64})")
_HEAD = re.compile(r"magnet:/*\??", re.IGNORECASE)
_ENCODED_HEAD = re.compile(r"magnet(?::|%3A)(?:%2F|/)*%3F", re.IGNORECASE)
_AND = re.compile(r"&(?:(?:amp|#38|#x26);)*", re.IGNORECASE)
"""What separates parameters, also in a link that was copied out of a page's source."""
_NUMBER = re.compile(r"\.\d*$")
"""Parameters that are there several times may be numbered; that has no meaning."""
_ENCODED_URL = re.compile(r"[a-z]{2,5}%(?:25)*3A%(?:25)*2F%(?:25)*2F", re.IGNORECASE)
_MOST_ENCODINGS = 3
_MOST = {
    "xt": 10, "dn": 10, "so": 10, "tr": 10 * MAX_TRACKERS, "ws": 10 * MAX_WEB_SEEDS,
    "x.pe": 10 * MAX_PEERS, "dht": 10 * MAX_NODES,
}  # fmt: skip
"""The parameters that mean something to us, and how many of each are looked at."""
_PEER = re.compile(r"[\[\]0-9A-Za-z.:_-]+")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Magnet:
    """What a magnet link says.

    Attributes:
        link: as the engine knows it, without the choice of files.
        files: indices of the chosen files, None if there is no choice.
    """

    link: str
    files: frozenset[int] | None = None


def read_magnet(urn: str) -> Magnet:
    """Read a magnet link, or any spelling of an info hash.

    Raises:
        InvalidSource: it is none of them.
    """
    if _ENCODED_HEAD.match(urn):
        urn = unquote(urn)
    head = _HEAD.match(urn)
    if head is None:
        return Magnet(_of_hash(urn))
    kept, files = [], None
    seen: Counter[str] = Counter()
    for parameter in _AND.split(urn[head.end() :]):
        name, equals, value = parameter.partition("=")
        name = _NUMBER.sub("", name.strip().lower())
        if not equals or seen[name] >= _MOST.get(name, 0):
            continue
        seen[name] += 1
        if name == "so":
            chosen = _choice(value)
            files = chosen if files is None else files | (chosen or frozenset())
        elif (written := _written(name, value)) is not None:
            kept.append(f"{name}={written}")
    return Magnet("magnet:?" + "&".join(kept), files)


def _written(name: str, value: str) -> str | None:
    """A parameter's value as the engine decodes it, None if it is of no use."""
    if name == "dn":
        return value
    value = unquote(value, errors="surrogateescape")
    if name == "xt":
        value = value.partition("#")[0].strip()
        return quote(value[:9].lower() + value[9:], ":", errors="surrogateescape")
    if name in ("tr", "ws"):
        for _ in range(_MOST_ENCODINGS):
            if not _ENCODED_URL.match(value.strip()):
                break
            value = unquote(value, errors="surrogateescape")
        value = tidy_url(value)
        return quote(value, "") if value and value.isascii() else None
    value = value.strip()
    return value if _PEER.fullmatch(value) else None


def _choice(value: str) -> frozenset[int] | None:
    """The indices that `so` names, None if it names none; those no torrent has are left out."""
    chosen: set[int] = set()
    found = False
    for part in re.sub(r"\s", "", unquote(value)).split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if first <= last:
            found = True
            chosen.update(range(first, min(last + 1, MAX_FILES)))
    return frozenset(chosen) if found else None


def _of_hash(urn: str) -> str:
    """A magnet link for a bare info hash."""
    bare = re.sub(r"^urn:bt[im]h:", "", urn.partition("#")[0].strip(), flags=re.IGNORECASE)
    if _V1.fullmatch(bare):
        return f"magnet:?xt=urn:btih:{bare}"
    if match := _V2.fullmatch(bare):
        return f"magnet:?xt=urn:btmh:1220{match[1]}"
    if _V1_BASE32.fullmatch(bare):
        try:
            return f"magnet:?xt=urn:btih:{base64.b32decode(bare.upper()).hex()}"
        except binascii.Error:
            pass
    raise InvalidSource(
        "The sourceUrn must be a magnet link, an info hash or a link to a torrent file."
    )

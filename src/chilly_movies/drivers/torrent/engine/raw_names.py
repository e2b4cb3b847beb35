"""Names in torrents that are not UTF-8, though BEP 3 wants that: the engine makes `_` of them.

What names are written in: `encoding` of the torrent file says it, else all names together let it be
guessed. `name.utf-8` and `path.utf-8` are for the engine to read. Torrents with a v2 part (BEP 52)
are younger than these habits.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import libtorrent as lt

_PIECES = re.compile(rb"6:pieces([0-9]{1,9}):")
_SAMPLE = 4000
_NO_CHARSETS = ("utf-8", "idna", "unicode-escape", "raw-unicode-escape")
_ASCII = bytes(range(32, 127))
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_LATIN = {"cp1252": "[À-ÿŒœŠšŽžŸ]", "cp1250": "[À-ž]", "cp1254": "[À-ÿĞğİıŞş]"}
_OTHERS = {
    "cp1251": "[Ѐ-ӿ]", "koi8_r": "[Ѐ-ӿ]", "euc_kr": "[가-힣]", "cp932": "[ぁ-ヿ一-鿿々]",
    "gb2312": "[一-鿿]", "big5": "[一-鿿]", "gb18030": "[一-鿿]", "cp1253": "[Ͱ-Ͽ]",
    "cp1255": "[א-ת]", "cp1256": "[ء-ی]", "cp1250": "[À-ž]",
}  # fmt: skip
"""Among these a charset is guessed, with its letters; of two that fit as well, the first."""


def repaired_paths(info: lt.torrent_info, encoding: str = "") -> dict[int, str]:
    """The paths of all files if a name is not UTF-8, else nothing.

    Args:
        info: the info dictionary.
        encoding: a charset's name in the spelling of whoever made the torrent, "" = unknown.

    Returns:
        File index to path, the torrent's name first; no part is a way up or none at all.
    """
    section = info.info_section()
    if info.info_hashes().has_v2() or _is_utf8(section):
        return {}
    decoded: Any = lt.bdecode(section)
    top: bytes = _first_of(decoded, bytes, b"name.utf-8", b"name")
    files = decoded.get(b"files")
    names = [[top]]
    if isinstance(files, list):
        parts = (_first_of(file, list, b"path.utf-8", b"path") for file in files)
        names = [[top, *(part for part in path if isinstance(part, bytes))] for path in parts]
    broken = [part for path in names for part in path if not _is_utf8(part)]
    if not broken or len(names) != info.layout().num_files():
        return {}
    charset = _known(encoding) or _guess(b"\n".join(dict.fromkeys(broken))[:_SAMPLE])

    def text(part: bytes) -> str:
        try:
            name = part.decode()
        except UnicodeDecodeError:
            name = part.decode(charset, "replace")
        return "_" if name in ("", ".", "..") else name.replace("/", "_")

    return {index: "/".join(map(text, path)) for index, path in enumerate(names)}


def _is_utf8(data: bytes) -> bool:
    """Whether it is text but for the hashes of the pieces."""
    if pieces := _PIECES.search(data):
        data = data[: pieces.end()] + data[pieces.end() + int(pieces[1]) :]
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _first_of(entry: dict[bytes, Any], kind: type, *keys: bytes) -> Any:
    """The first of the members that is of this kind."""
    return next((entry[key] for key in keys if isinstance(entry.get(key), kind)), kind())


def _known(encoding: str) -> str:
    """The charset as Python calls it, "" for none, or none that ASCII is a part of."""
    try:
        found = codecs.lookup(encoding).name
        if found in _NO_CHARSETS:
            return ""
        plain = _ASCII.decode(found) == _ASCII.decode()
    except (LookupError, ValueError):
        return ""
    return found if plain else ""


def _guess(sample: bytes) -> str:
    """What the names are written in, most likely: most of its signs are letters of that script."""
    from charset_normalizer import from_bytes  # only here: it takes a while to load

    words = b"".join(_WORD.findall(sample))
    latin = 2 * sum(byte > 127 for byte in words) <= len(words)
    letters = _LATIN if latin else _OTHERS
    fitting = {}
    for match in from_bytes(sample, cp_isolation=list(letters), threshold=0.4):
        text = "".join(c for c in str(match) if not c.isascii())
        for charset in match.could_be_from_charset:
            share = len(re.findall(letters[charset], text)) / max(1, len(text))
            fitting[charset] = (-round(share, 1), match.chaos, list(letters).index(charset))
    return min(fitting, key=fitting.__getitem__, default=next(iter(letters)))

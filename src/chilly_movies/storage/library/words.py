"""Texts as they are compared, searched and sorted: without case, accents and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_PLAIN: Final = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
    "'": None, "’": None, "ʼ": None, "`": None, "´": None,
})  # fmt: skip
"""Letters that Unicode does not take apart, and signs that stand inside words."""
_ALONE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""The letters of scripts that put no space between words; each counts as a word."""
_WORD: Final = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")
_TERM: Final = re.compile(f"[{_ALONE}]+|[^\\W_{_ALONE}]+")


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """A text without case and accents; ligatures and wide letters as the usual ones."""
    if text.isascii():
        return text.casefold().replace("'", "").replace("`", "")
    apart = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", plain)


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in their order."""
    return _WORD.findall(folded(text))


def terms_of(text: str) -> list[tuple[str, ...]]:
    """What a text asks for: words, and runs of letters that are words of their own."""
    return [tuple(_WORD.findall(term)) for term in _TERM.findall(folded(text))]


def title_key(title: str) -> str:
    """What a title is sorted by; one without a letter comes before all others, by its signs."""
    return " ".join(words_of(title)) or f" {title}"


def holds(words: Sequence[str], term: Sequence[str], *, whole: bool = False) -> bool:
    """Whether words have the term's in a row, the last one whole or only begun."""
    return any(
        begins(words[start:], term, whole=whole) for start in range(len(words) - len(term) + 1)
    )


def begins(words: Sequence[str], term: Sequence[str], *, whole: bool = False) -> bool:
    """Whether the first words are those of a term, the last one whole or only begun."""
    size = len(term)
    if len(words) < size or [*words[: size - 1]] != [*term[:-1]]:
        return False
    return words[size - 1] == term[-1] if whole else words[size - 1].startswith(term[-1])

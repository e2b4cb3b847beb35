"""The names of files and releases, made plain before they are read."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from chilly_movies.library.recognition.words import FILM_ENDINGS, OTHER_ENDINGS

LONGEST: Final = 255
"""Signs of a name that are read: what a file system allows, in bytes."""
_WIDE: Final = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms of ASCII (Unicode block FF00), which Japanese and Chinese names use."""
_SITE: Final = re.compile(
    r"^\W*(?:(?:https?://)?www\s?[. ]\s?[\w-]+[. ]\w{2,6}(?:[. ]\w{2,3})?"
    r"|[\w-]+\.(?:com|org|net|to|io|info|tv|me|cc|ws|xyz|lol|site|club|pro))(?=[\s\])_-]+)[\])]?[\s_.-]*(?=\S)",
    re.IGNORECASE,
)
_SITE_FIELD: Final = re.compile(
    r"^\s*[\[({【][^\])}】]*?(?:www|\w\.(?:com|org|net|to|io|info|tv|me|cc|ws|xyz))[^\])}】]*[\])}】][\s_.-]*",
    re.IGNORECASE,
)
_AT_END: Final = re.compile(
    r"[\s_.-]*(?:[\[({]\s*(?:www\.)?[\w-]+\.(?:com|org|net|to|io|info|tv|me|cc|ws|xyz|mx|ag|am|lt)\s*[\])}])+\s*$",
    re.IGNORECASE,
)


def tidy(name: str) -> str:
    """The name without folders, ending, addresses of sites and odd spellings of signs."""
    text = "".join(c for c in name[:LONGEST] if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    text = unicodedata.normalize("NFC", html.unescape(text.translate(_WIDE)))
    if re.search(r"%[0-9A-Fa-f]{2}", text) and " " not in text:
        text = unquote(text, errors="replace")
    text = without_ending(last_part(text)).strip()
    if "+" in text and " " not in text and text.count("+") > 1:
        text = text.replace("+", " ")
    for site in (_SITE_FIELD, _SITE, _AT_END):
        rest = site.sub("", text, count=1).strip()
        text = rest or text
    return text.replace("【", "[").replace("】", "]").replace("「", "[").replace("」", "]")


_GLUED: Final = re.compile(
    r"(s\d{1,2}e\d{2}|(?<!\d)\d{1,2}x\d\d(?!\d)|(?<!\d)(?:19|20)\d\d(?=(?:\d{3,4}p|\D|$))|(?:480|720|1080|2160)p"
    r"|bluray|brrip|dvdrip|web-?dl|webrip|hdtv|x26[45]|xvid)",
    re.IGNORECASE,
)


def is_glued(text: str) -> bool:
    """Whether nothing parts the words of a name."""
    return re.search(r"[\s._\-()\[\]]", text) is None


def unglued(text: str) -> str:
    """The name with blanks around years and the like, and between words, if it has none at all."""
    if not is_glued(text) or not _GLUED.search(text):
        return text
    parts = " ".join(_GLUED.sub(r" \1 ", text).split())
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", parts)


def last_part(path: str) -> str:
    """What follows the last slash; one between blanks parts two titles, not folders."""
    return re.split(r"(?<!\s)[/\\](?!\s)", path.rstrip("/\\"))[-1]


def without_ending(name: str) -> str:
    """The name without what says its format, `.en.srt` and `.mkv.part` included."""
    stem, dot, ending = name.rpartition(".")
    if dot and stem.strip() and ending.lower() in FILM_ENDINGS | OTHER_ENDINGS:
        return without_ending(stem) if ending.lower() == "torrent" else stem
    return name


def ending(name: str) -> str:
    """What follows the last dot, lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def spaced(text: str) -> str:
    """The same text, as long, with blanks in the place of dots and underscores."""
    return re.sub(r"[._\t\u00a0]", " ", text).replace("–", "-").replace("—", "-")


def plain(title: str) -> str:
    """A title for comparing: lower case, without accents, signs and blanks; `&` is `and`."""
    text = unicodedata.normalize("NFKD", title.casefold().replace("&", " and "))
    return "".join(c for c in text if c.isalnum())


_ACRONYM: Final = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![^\W_]))?")
_ARTICLE_LAST: Final = re.compile(
    r"^(.+), (the|a|an|le|la|les|l'|der|die|das|el|los|las|il|lo)$", re.IGNORECASE
)
_EDGES: Final = " \t-_.,;:|~/\\+=*·•"


def title_of(raw: str) -> str:
    """A piece of a name as a title: words parted by blanks, acronyms as they are."""
    text = raw.replace("_", " ").replace("–", "-").replace("—", "-").strip(_EDGES.replace(".", ""))
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[0] if found[0].endswith(".") else found[0] + ".")
        return f"\x00{len(kept) - 1}\x00 "

    text = _ACRONYM.sub(keep, text)
    if " " not in text.replace("\x00 ", "").strip() or not re.search(r"\. ", text):
        text = text.replace(".", " ")
    text = re.sub(r"\x00(\d+)\x00", lambda found: kept[int(found[1])], text)
    text = " ".join(_matched(text).split()).strip(_EDGES.replace(".", ""))
    if " " not in text and text.count("-") > 1:
        text = text.replace("-", " ")
    if found := _ARTICLE_LAST.match(text):
        text = f"{found[2]} {found[1]}"
    return text


def _matched(text: str) -> str:
    """The text without brackets that are empty or have no partner."""
    text = re.sub(r"\(\s*\)|\[\s*\]|\{\s*\}", " ", text)
    for opening, closing in ("()", "[]", "{}"):
        if text.count(opening) != text.count(closing):
            text = text.replace(opening, " ").replace(closing, " ")
    return text

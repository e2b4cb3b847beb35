"""What a name says beside title and numbers: quality, edition, part, language, role."""

from __future__ import annotations

import re
from typing import Final

from chilly_movies.library.models import FileRole
from chilly_movies.library.recognition.text import ending, spaced
from chilly_movies.library.recognition.words import EDITIONS, QUALITY

_SUBTITLES: Final = frozenset({"srt", "ass", "ssa", "vtt", "sub", "idx", "sup"})
_SAMPLE: Final = re.compile(r"(?:^|[^a-z])sample(?:[^a-z]|$)", re.IGNORECASE)
_SAMPLE_NAME: Final = re.compile(
    r"(?:^sample[-. _]|[-. _(\[]sample[)\]]?(?:\.\w+)?$)", re.IGNORECASE
)
_EXTRA_FOLDER: Final = re.compile(
    r"(?:extras?|featurettes?|behind the scenes|deleted scenes?|trailers?|interviews?"
    r"|scenes?|shorts?|bonus(?: \w+)?|special features|making of|ncop|nced|menus?|creditless"
    r"|promos?)",
    re.IGNORECASE,
)
_EXTRA_NAME: Final = re.compile(
    r"(?:-(?:trailer|behindthescenes|deleted(?:scene)?|featurette|interview|scene|short|other"
    r"|extra)\d*$"
    r"|(?<![^\W_])(?:nc ?(?:op|ed)\d*[a-z]?|creditless (?:op|ed|opening|ending)\w*"
    r"|making of"
    r"|menu ?\d+|featurette"
    r"|behind the scenes|deleted scenes?|official trailer|teaser trailer|trailer \d"
    r"|trailer$)(?![^\W_]))",
    re.IGNORECASE,
)
_PART: Final = re.compile(
    r"(?<![^\W_])(?:cd|dis[ck]|part|pt|teil|partie)[ .-]?(\d{1,2})(?![^\W_])", re.I
)
_LANGUAGES: Final = (
    ("de", "german|deutsch"), ("fr", "french|truefrench|vff|vostfr|vfq"), ("it", "italian|ita"),
    ("es", "spanish|castellano|español"), ("ru", "russian|rus"), ("ja", "japanese|jpn"),
    ("ko", "korean"), ("hi", "hindi"), ("sv", "swedish"), ("da", "danish"), ("nb", "norwegian"),
    ("fi", "finnish"), ("nl", "dutch|flemish"), ("pl", "polish"), ("pt", "portuguese"),
    ("pt-BR", "dublado"), ("tr", "turkish"), ("cs", "czech"), ("hu", "hungarian"),
    ("zh", "chinese|mandarin"), ("ta", "tamil"), ("te", "telugu"), ("en", "english"),
)  # fmt: skip


def quality(text: str) -> str | None:
    """The lines of the picture that the name says, such as `2160p` for `4K`."""
    if (found := QUALITY.search(text)) is None:
        return None
    if found[3]:
        return "2160p" if found[3] == "4" else "4320p"
    if found[4]:
        return {"800": "1080p", "804": "1080p"}.get(found[4], f"{found[4]}p")
    return found[1] + found[2].lower()


def edition(after: str) -> str | None:
    """The edition that stands after the title."""
    for pattern, called in EDITIONS:
        if re.search(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", after, re.IGNORECASE):
            return called
    return None


def part(after: str) -> int | None:
    """The number of the part that stands after the title; one in the title belongs to it."""
    found = _PART.search(after)
    return int(found[1]) if found and int(found[1]) else None


def language(after: str) -> str | None:
    """The language that stands after the title, None if there are several or none."""
    said = [
        tag
        for tag, words in _LANGUAGES
        if re.search(rf"(?<![^\W_])(?:{words})(?![^\W_])", after, re.IGNORECASE)
    ]
    return said[0] if len(said) == 1 else None


def role(name: str, folders: tuple[str, ...]) -> FileRole:
    """What a file is to its film, by its ending, its name and the folders it lies in."""
    stem = spaced(name.rpartition(".")[0] or name)
    if ending(name) in _SUBTITLES:
        return FileRole.SUBTITLE
    if _SAMPLE_NAME.search(name) or any(_SAMPLE.fullmatch(folder) for folder in folders):
        return FileRole.SAMPLE
    if any(_EXTRA_FOLDER.fullmatch(spaced(folder).strip()) for folder in folders):
        return FileRole.EXTRA
    return FileRole.EXTRA if _EXTRA_NAME.search(stem) else FileRole.MAIN

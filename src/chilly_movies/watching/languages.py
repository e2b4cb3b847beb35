"""Languages from the names of subtitle files: `Film.en.srt`, `2_English.srt`, `pt-BR.ass`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_TABLE = """
ar ara Arabic العربية
bg bul Bulgarian български
bn ben Bengali বাংলা
bs bos Bosnian Bosanski
ca cat Catalan Català
cs cze,ces Czech Čeština
da dan Danish Dansk
de ger,deu German Deutsch
el gre,ell Greek Ελληνικά
en eng English
es spa Spanish Español,Castellano
et est Estonian Eesti
eu baq,eus Basque Euskara
fa per,fas Persian,Farsi فارسی
fi fin Finnish Suomi
fr fre,fra French Français,Francais
ga gle Irish Gaeilge
gl glg Galician Galego
he heb Hebrew עברית
hi hin Hindi हिन्दी
hr hrv,scr Croatian Hrvatski
hu hun Hungarian Magyar
hy arm,hye Armenian Հայերեն
id ind Indonesian
is ice,isl Icelandic Íslenska
it ita Italian Italiano
ja jpn Japanese 日本語
ka geo,kat Georgian ქართული
ko kor Korean 한국어
lt lit Lithuanian Lietuvių
lv lav Latvian Latviešu
mk mac,mkd Macedonian Македонски
ml mal Malayalam മലയാളം
ms may,msa Malay Melayu
nb nob Bokmål,Bokmal
nl dut,nld Dutch Nederlands
no nor Norwegian Norsk
pl pol Polish Polski
pt por Portuguese Português,Portugues
ro rum,ron Romanian Română,Romana
ru rus Russian Русский
sk slo,slk Slovak Slovenčina
sl slv Slovenian,Slovene Slovenščina
sq alb,sqi Albanian Shqip
sr srp,scc Serbian Српски,Srpski
sv swe Swedish Svenska
ta tam Tamil தமிழ்
te tel Telugu తెలుగు
th tha Thai ไทย
tl tgl Tagalog,Filipino
tr tur Turkish Türkçe,Turkce
uk ukr Ukrainian Українська
ur urd Urdu اردو
vi vie Vietnamese
zh chi,zho Chinese 中文
"""
_ROWS = [line.split() for line in _TABLE.strip().splitlines()]
NAMES = {row[0]: row[2].split(",")[0] for row in _ROWS}
"""Language tag to English name."""
_TAGS = {word.casefold(): row[0] for row in _ROWS for part in row for word in part.split(",")} | {
    "pb": "pt-BR",
    "pob": "pt-BR",
    "brazilian": "pt-BR",
    "chs": "zh-Hans",
    "cht": "zh-Hant",
    "simplified": "zh-Hans",
    "traditional": "zh-Hant",
    "latino": "es-419",
    "vostfr": "fr",
}
_FLAGS = {
    "forced": "forced", "foreign": "forced", "signs": "forced",
    "sdh": "sdh", "cc": "sdh", "hi": "sdh",
    "full": "", "default": "", "subs": "", "sub": "", "subtitles": "", "utf8": "", "utf": "",
}  # fmt: skip
_REGION = re.compile(r"([a-z]{2,3})-([A-Z]{2}|[a-z]{2}|[A-Za-z]{4}|\d{3})")
_SPLIT = re.compile(r"[\s._()\[\]{},+]+")


@dataclass(frozen=True, slots=True)
class NamedLanguage:
    """What a name says.

    Attributes:
        tag: BCP 47, `en` or `pt-BR`; None if it names no language.
        forced: only for what is foreign in the film.
        sdh: for people who hear badly.
    """

    tag: str | None = None
    forced: bool = False
    sdh: bool = False


def language_of(path: str, film: str | None = None) -> NamedLanguage:
    """The language a subtitle file is in, from its name and folder.

    Args:
        path: of the subtitle file.
        film: the name of its film, so that words of the title count for nothing.
    """
    file = PurePosixPath(path)
    stem = file.stem
    own = film is not None and stem.casefold().startswith(PurePosixPath(film).stem.casefold())
    rest = stem[len(PurePosixPath(film or "").stem) :] if own else stem
    words: list[str] = []
    for part in _SPLIT.split(rest):  # `English-SDH` is two words, `pt-BR` is one
        words += [part] if _REGION.fullmatch(part) else [word for word in part.split("-") if word]
    # in a name that is not the film's, only its end can be about the language
    found = _read(words if own else words[-3:])
    if found.tag is None:
        folder = _tag(file.parent.name)
        found = NamedLanguage(folder, found.forced, found.sdh)
    return found


def _read(words: list[str]) -> NamedLanguage:
    tag: str | None = None
    flags: set[str] = set()
    for place, word in reversed(list(enumerate(words))):
        low = word.casefold()
        # `hi` is Hindi, or after a language says "hearing impaired"
        is_hindi = low == "hi" and not any(map(_tag, words[:place]))
        if low in _FLAGS and not is_hindi:
            flags.add(_FLAGS[low])
        elif tag is None and word.isascii() and word.isupper() and len(word) == 2:
            before, tag = words[place - 1] if place else "", _tag(word)
            if tag is None and len(before) <= 3 and (main := _tag(before)) is not None:
                tag = f"{main}-{word}"  # a language without a region stands before: `pt_BR`
        elif tag is None:
            tag = _tag(word)
    return NamedLanguage(tag, "forced" in flags, "sdh" in flags)


def _tag(word: str) -> str | None:
    """The tag of a language's code or name, with its region if it names one."""
    if match := _REGION.fullmatch(word):
        main = _TAGS.get(match[1])
        region = match[2].title() if len(match[2]) == 4 else match[2].upper()
        return f"{main.split('-')[0]}-{region}" if main else None
    return _TAGS.get(word.casefold().strip("-"))


def label_of(tag: str | None, *, forced: bool = False, sdh: bool = False, title: str = "") -> str:
    """What to call a subtitle track in a menu.

    Args:
        tag: its language.
        forced: see `NamedLanguage`.
        sdh: see `NamedLanguage`.
        title: its own title, or file name; used where the language is not known.
    """
    main, _, region = (tag or "").partition("-")
    name = NAMES.get(main, tag or "")
    notes = [note for note, on in (("SDH", sdh), ("forced", forced)) if on]
    if region:
        notes.insert(0, region)
    label = name or title or "Subtitles"
    return f"{label} ({', '.join(notes)})" if notes else label

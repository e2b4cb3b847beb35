"""The words that release names are made of beside the title."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

FIRST_YEAR: Final = 1888
LAST_YEAR: Final = datetime.now(UTC).year + 2
"""Films are announced two years ahead; a later number is a part of the title."""

FILM_ENDINGS: Final = frozenset({
    "3g2", "3gp", "asf", "avi", "divx", "f4v", "flv", "iso", "m2t", "m2ts", "m2v", "m4v", "mkv",
    "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "rm", "rmvb", "strm", "ts", "vob",
    "webm", "wmv", "wtv", "xvid",
})  # fmt: skip
OTHER_ENDINGS: Final = frozenset({
    "ass", "idx", "nfo", "srt", "ssa", "sub", "sup", "vtt", "torrent", "jpg", "jpeg", "png", "txt",
    "zip", "rar", "7z",
})  # fmt: skip

STRONG: Final = re.compile(
    r"""(?<![^\W_])(?:
      (?:480|540|576|720|900|1080|1440|2160|4320)[pi](?:\d\d)?
    | (?:640|720|848|854|960|1024|1280|1440|1920|2560|3840|4096)\ ?x\ ?\d{3,4} | [48]k | uhd | fhd
    | (?:bd|br|dvd|hd|web|tv|vhs|uhd|vod|ld|sat|dtv|hdtv|pdtv|ppv|cam|hc|ts|tc|scr|dvdscr)-?rip
    | rip(?=\ (?:xvid|divx|x26))
    | blu-?\ ?ray | bd(?:25|50|66|100|remux|mv) | bdiso
    | dvd(?:[59]|\ ?r|scr)? | web-?\ ?dl | webcap
    | web(?=-?(?:\ |$|\]|\))(?:x26|h\ ?26|hevc|av1|aac|dd|e?ac3|10bit|\d|\]|\)|$)) | hdtv(?:rip)?
    | pdtv | dsr | dvb | telesync | telecine | hdts | hdtc | hdcam | camrip | workprint | screener
    | [xh][\ .]?26[456] | hevc | avc | xvid | divx | av1 | vp9 | vc-?1 | mpeg-?[24] | remux
    | aac(?:\d?\ ?\d)? | e?ac-?3 | ddp?a?\ ?[257]\ [01] | dd\+?(?:p\d?)?(?=\ ?\d?\ \d)
    | dts(?:-?(?:hd|x|es|ma))?
    | truehd | atmos | flac | opus | mp3 | lpcm | [257]\ [01](?=ch|-|$|\ ?[xh]\ ?26) | [268]ch
    | (?:8|10|12)-?\ ?bits? | hi10p? | hdr(?:10\+?)? | sdr | dovi | dolby\ vision | hlg
    | amzn | nf(?=\ web) | dsnp | hmax | atvp | pcok | hulu(?=\ web) | itunes(?=\ web)
    | hybrid(?=\ (?:\d|hdr|dv|remux)) | bluray\w* | nvenc | crf\d+ | \d{2,3}fps
    )(?![^\W_])""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words that no title holds: where one stands, the title is over."""

_LANGUAGES = (
    "english|german|french|truefrench|vff|vfq|vfi|vf2|vostfr|subfrench|italian|ita|spanish|castellano"
    "|latino|russian|rus|japanese|jpn|korean|chinese|mandarin|cantonese|hindi|tamil|telugu|malayalam"
    "|dutch|flemish|swedish|norwegian|danish|finnish|nordic|polish|czech|hungarian|turkish|greek"
    "|hebrew|arabic|portuguese|dublado|legendado|ukrainian|eng|ger|fre|fra|esp|deu|pl|multi\\d?"
    "|dual(?:[ -]?audio)?|dl|ml|subs?|subbed|dubbed|swesub|vost|vo|nl(?:subs)?|lektor|esub"
)
WEAK: Final = re.compile(
    rf"""(?:{_LANGUAGES}
    | proper | repack\d? | rerip | real | internal | read\ ?nfo | limited | festival | retail
    | dirfix
    | nfofix | complete | uncut | unrated | uncensored | extended(?:\ (?:cut|edition|version))?
    | theatrical(?:\ (?:cut|edition|version))? | director'?s?\ cut | dc | remastered | restored
    | remaster | final\ cut | special\ edition | collector'?s\ edition | ultimate\ (?:cut|edition)
    | criterion(?:\ collection)? | imax | open\ matte | 3d | h?-?sbs | hou | half-?ou | half-?sbs
    | hd | sd | hq | web | cam | ts | tc | scr | bd | nf | hybrid | dv | dubbed | batch | ws | fs
    | colorized | anniversary\ edition | \d\d(?:th|st|nd|rd)\ anniversary(?:\ edition)?
    | despecialized | fan\ ?edit | black\ and\ chrome | rogue\ cut | redux | vol(?=\ )
    | version | vers | ed | pal | ntsc | hc | hardcoded | mini-?series | docu(?=\ )
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words that a title may hold, but that end it where only such words follow."""

EDITIONS: Final[tuple[tuple[str, str], ...]] = (
    (r"director'?s?'? (?:cut|edition)|(?<![^\W_])DC(?![^\W_])", "Director's Cut"),
    (r"final cut", "Final Cut"),
    (r"rogue cut", "Rogue Cut"),
    (r"ultimate (?:cut|edition)", "Ultimate Edition"),
    (r"special edition", "Special Edition"),
    (r"collector'?s edition", "Collector's Edition"),
    (r"criterion(?: collection)?", "Criterion"),
    (r"(?:\d\d(?:th|st|nd|rd) )?anniversary(?: edition)?", "Anniversary Edition"),
    (r"extended(?: (?:cut|edition|version|director'?s? cut))?", "Extended"),
    (r"theatrical(?: (?:cut|edition|version|release))?", "Theatrical"),
    (r"unrated", "Unrated"),
    (r"uncut", "Uncut"),
    (r"uncensored", "Uncensored"),
    (r"imax(?: edition)?", "IMAX"),
    (r"black and chrome", "Black and Chrome"),
    (r"open matte", "Open Matte"),
    (r"despecialized(?: edition)?", "Despecialized"),
    (r"redux", "Redux"),
    (r"(?:\dk )?remaster(?:ed)?", "Remastered"),
    (r"restored", "Restored"),
)
"""What is looked for in the text after the title, and what the edition is called; first wins."""

QUALITY: Final = re.compile(
    r"(?<![^\W_])(?:(480|540|576|720|900|1080|1440|2160|4320)([pi])|([48])k"
    r"|(?:\d{3,4})\s?x\s?(480|576|720|800|804|1080|1440|2160))(?![^\W_])",
    re.IGNORECASE,
)

TITLES_WITH_YEARS: Final = frozenset({
    "space1999", "galactica1980", "cleopatra2525", "classof1984", "classof1999",
    "deathrace2000", "airport1975", "wonderwoman1984", "bladerunner2049", "dracula2000",
    "heavymetal2000", "godzilla2000", "summerof1942", "reply1988", "reply1994", "reply1997",
    "americanhorrorstory1984", "redriding1974", "redriding1980", "redriding1983",
    "knightrider2000", "knightrider2010", "sealab2020", "sealab2021", "seaquest2032",
    "seaquestdsv2032", "equalizer2000", "escape2000",
})  # fmt: skip
"""Titles that end with a year which is not that of the release, as letters and digits alone."""

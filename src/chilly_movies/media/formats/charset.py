"""What a subtitle file is written in: its bytes decide, its language only says what to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from charset_normalizer import from_bytes

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_SIGNS = ("-->", "}{", "Dialogue:", "WEBVTT", "[Script", "00:")
"""Some of these are in every subtitle file; in UTF-16 their place says which byte comes first."""
_USUAL = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "gb18030", "big5",
    "cp932", "cp949", "koi8_r",
]  # fmt: skip
"""Among these a charset is guessed; among all, it would often be one nobody uses."""
_SAMPLE = 20_000
_SENSE = 1.5
_OTHERS, _OTHER = frozenset({"cp850", "cp852", "cp857", "mac_roman"}), 0.7
"""What charsets of DOS and Macintosh are worth less: in them quotation marks would be letters."""
_QUOTES = frozenset(
    "\u201c\u201d\u2018\u2019\u201e\u201a\u2026\u2013\u2014\u00ab\u00bb\u00a0\u266a\u266b\u20ac\u00a3\u00b0\u00a9\u2116\u00b7\u00a7\u3000"
)


@dataclass(frozen=True, slots=True)
class _Script:
    """How languages that share an alphabet are written.

    Attributes:
        tags: the languages.
        charsets: what old files of theirs are written in, the most usual first.
        common: the letters beyond ASCII that are most frequent in them.
        rare: their other letters.
        accents: whether most of their letters are ASCII all the same.
    """

    tags: str
    charsets: tuple[str, ...]
    common: str
    rare: str = ""
    accents: bool = False


_CHINESE = (
    "的一是不了在人有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年"
    "过過发發后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣"
    "理心她本前开開但因只从從想实實日者意无無力它与與长長把机機十民第公此已工使情明性知全三又关關点點正业業外将將两兩高间間"
    "由问問很最重并並物手应應战戰向头頭文体體政美相见見被利什二等产產或新己制身果加西斯月话話合回特代内內信表化老给給世位次"
    "度门門任常先海通教儿兒原东東声聲提立及比员員解水名真论論处處走义義各入几幾口认認条條平系气氣题題活尔爾更别別打女变變四"
    "神总總何电電数數安少报報才结結反受目太量再感建务務做接必场場件计計管期市直德资資命山金指克许許统統区區保至队隊形社便空"
    "决決治展马馬科司五基眼书書非则則听聽白却卻界达達光放强強即像难難且权權思王象完设設式色路记記南品住告类類求据據程北边邊"
    "死张張该該交规規万萬取拉格望觉覺术術领領共确確传傳师師观觀清今切院让讓识識候带帶导導争爭运運吗嗎吧呢啊请請谢謝您试試测測爱愛"
    "嘅係喺咗唔哋佢嘢冇睇"
)
_TRADITIONAL = ("cp950", "big5hkscs", "gb18030")
_RUSSIAN, _RUSSIAN_RARE = "оеаинтсрвлкмдпу", "яыьгзбчйхжшюцщэфъё"
_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5")
_HIRAGANA = "のにはをたがでてとしれさいなあるこもかまれんうきくっりすらみけどそよえおせつわちろ"
_KATAKANA = "アイウエオカンーストリルドラクマシレロバジ、。？！"
_KOREAN = "이다는을에가의고지하도나그니사어한로있기아라들서것안요해내게자리만네세무면거보"
_THAI_RARE = "".join(chr(code) for code in (*range(0xE01, 0xE3B), *range(0xE3F, 0xE5C)))
_SCRIPTS = (
    _Script(
        "en de fr es it pt nl sv da no nb fi is ca gl eu ga",
        ("cp1252", "iso8859_15", "cp850", "mac_roman"),
        "éèàçêùâîôûëïœäöüßñáíóúãõåæø¿¡", "ìòýÿþðÅ", accents=True,
    ),
    _Script(
        "pl cs sk hu sl hr ro sq", ("cp1250", "iso8859_2", "cp852"),
        "ąćęłńóśżáčďéěířšťúůýžöőüűăâîșțşţđôäľĺŕň", "źëç", accents=True,
    ),
    _Script("tr az", ("cp1254", "iso8859_9", "cp857"), "ışğüöçi\u0307", "âîûə", accents=True),
    _Script(
        "et lv lt", ("cp1257", "iso8859_13", "iso8859_4"), "āēīūčšžģķļņąęėįųõäöü", accents=True
    ),
    _Script(
        "vi", ("cp1258",), "ăâđêôơưàáèéìíòóùú\u0300\u0309\u0303\u0301\u0323", "ç", accents=True
    ),
    _Script("ru bg be", _CYRILLIC, _RUSSIAN, _RUSSIAN_RARE + "іўґ"),
    _Script(
        "uk", ("cp1251", "koi8_u", "cp866", "iso8859_5"), "оаниветрслкдмупія", "зьбгйчхцжїшюєщфґ"
    ),
    _Script(
        "sr mk bs", ("cp1250", "cp1251", "iso8859_2", "iso8859_5"), "čćžšđаиоенрсјтвкдумпл",
        "љњћђџзбгчшжцхфѓќѕ",
    ),
    _Script("el", ("cp1253", "iso8859_7", "cp737"), "ατοιενσκρπμςλυηθγδ", "άέήίόύώωχβφζξψϊϋΐΰ"),
    _Script("he", ("cp1255", "iso8859_8", "cp862"), "יוהלאמתרבשנם", "גדזחטכסעפצקךןףץ"),
    _Script(
        "ar fa ur", ("cp1256", "iso8859_6", "cp864"), "اليمونرتبةعدسفهكقحجأ",
        "شطصخضذئءثزىغظؤآإپچژگکیٹڈڑں،؟؛\u0640\u064b\u064e\u064f\u0650\u0651\u0652\u200c",
    ),
    _Script("th", ("cp874",), "านรกอเงมยลวดทสตะปบ่้ัิีไ", _THAI_RARE),
    _Script("zh", ("gb18030", *_TRADITIONAL), _CHINESE),
    _Script("ja", ("cp932", "euc_jp"), _HIRAGANA + _KATAKANA),
    _Script("ko", ("cp949", "johab"), _KOREAN),
)  # fmt: skip


def decode(data: bytes, language: str) -> str:
    """The text, whatever it is written in; never fails.

    Args:
        data: the file.
        language: a BCP 47 tag, or "" if it is not known.
    """
    for mark, charset in _BOMS:
        if data.startswith(mark):
            return data.decode(charset, "replace")
    if wide := _utf16(data):
        return data.decode(wide, "replace")
    if b"\x1b$" in data:  # ISO 2022 is ASCII alone, so it would pass for UTF-8
        try:
            return data.decode("iso2022_jp_2")
        except UnicodeDecodeError:
            pass
    if (text := _utf8(data)) is not None:
        return text
    sample = data[:_SAMPLE]
    fitting = _of_language(sample, language)
    if fitting is None:
        best, fitting = _best(sample, _SCRIPTS)
        if best <= _SENSE:
            guess = from_bytes(sample, cp_isolation=_USUAL, threshold=0.4).best()
            fitting = guess.encoding if guess else "cp1252"
    return data.decode(fitting, "replace")


def _utf8(data: bytes) -> str | None:
    """The text if it is UTF-8, broken in a few places at most.

    In no other charset are so many bytes valid UTF-8 by chance: letters would have to be followed
    by signs that belong to no word.
    """
    text = data.decode(errors="replace")
    broken = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    if not broken:
        return text
    valid = len(text) - len(text.encode("ascii", "ignore")) - broken
    return text if valid >= broken else None


def _utf16(data: bytes) -> str | None:
    """Which UTF-16 without a mark it is; None if it is none."""
    for sign in _SIGNS:
        place = data.find("\0".join(sign).encode())
        if place >= 0:
            return "utf-16-be" if place % 2 else "utf-16-le"
    head = data[:2000]
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    return None


def _of_language(data: bytes, language: str) -> str | None:
    """The charset of this language that makes most sense of the bytes; None if none does."""
    main, _, more = language.partition("-")
    scripts = [script for script in _SCRIPTS if main in script.tags.split()]
    if main == "zh" and more.casefold() in ("hant", "tw", "hk", "mo"):
        scripts = [_Script("zh", _TRADITIONAL, _CHINESE)]
    best, charset = _best(data, scripts)
    return charset if best > 0 else None


def _best(data: bytes, scripts: Iterable[_Script]) -> tuple[float, str]:
    """The first of the best charsets, and how good it is."""
    tried = [(script, charset) for script in scripts for charset in script.charsets]
    scored = [(_score(data, charset, script), charset) for script, charset in tried]
    return max(scored, key=lambda pair: pair[0], default=(0.0, ""))


def _score(data: bytes, charset: str, script: _Script) -> float:
    """How much the text looks like these languages; the mean of its letters beyond ASCII."""
    text = data.decode(charset, "replace")
    common, rare = frozenset(script.common), frozenset(script.rare)
    beyond = [letter for letter in text if letter > "\x7f"]
    if not beyond:
        return 0.0
    if script.accents and 4 * len(beyond) > 3 * sum(letter.isalpha() for letter in text):
        return -1.0
    # how often a capital follows a small letter
    mixed = sum(b > "\x7f" and b.isupper() and a.islower() for a, b in pairwise(text))
    worth = sum(_worth(letter, common, rare) for letter in beyond) - 2 * mixed
    return worth / len(beyond) + (-_OTHER if charset in _OTHERS else 0)


def _worth(letter: str, common: frozenset[str], rare: frozenset[str]) -> float:
    low = letter.lower()
    small = 0.5 if letter == low else 0.0
    if letter in common or low in common:
        return 3 + small
    if letter in rare or low in rare:
        return 1 + small
    if letter in _QUOTES:
        return 3.0
    if letter == "\ufffd" or not letter.isprintable():
        return -4.0
    return 0.1 if ord(letter) > 0x2E7F else -2.0  # thousands of ideographs are ordinary ones

"""What subtitles are written in: the bytes decide, the language is a hint."""

from __future__ import annotations

import pytest

from chilly_movies.media.convert import decode, to_vtt

HEAD = "1\n00:00:01,000 --> 00:00:02,000\n"
RUSSIAN = "Привет, как твои дела? Я пришёл домой."


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"Le caf\xc3\xa9 \xe9", "Le café \ufffd"),
        ("Привет, мир".encode() + b" \xd0", "Привет, мир \ufffd"),
        ("你好你好".encode()[:-1] + b" ok", "你好你\ufffd ok"),
    ],
)
def test_utf8_that_is_broken_in_a_few_places_is_utf8(line: bytes, text: str) -> None:
    assert text in to_vtt(HEAD.encode() + line + b"\n", ".srt", "fr")


@pytest.mark.parametrize(
    ("text", "charset", "language"),
    [
        ("你好", "big5", "zh-TW"), ("你好", "big5", "zh-HK"), ("你好", "big5", "zh"),
        ("你好", "gb18030", "zh"), ("你好，今天怎么样", "gb18030", "zh-TW"),
        ("佢哋喺邊度？我唔知。", "big5hkscs", "zh-HK"),
        (RUSSIAN, "cp1251", "ru"), (RUSSIAN, "koi8_r", "ru"), (RUSSIAN, "cp866", "ru"),
        ("ПРИВЕТ", "cp1251", "ru"), ("ПРИВЕТ", "koi8_r", "ru"), (RUSSIAN, "koi8_r", ""),
        ("Привіт, як справи? Я її бачив.", "koi8_u", "uk"),
        ("Шта се дешава овде? Не знам.", "cp1251", "sr"), ("Što ćemo učiniti?", "cp1250", "sr"),
        (RUSSIAN, "cp1251", "en"), ("Příliš žluťoučký kůň", "iso8859_2", "cs"),
        ("Zażółć", "cp1250", "pl"),
        ("“Hello” – it’s me…", "cp1252", "en"), ("“Hello” – it’s me…", "cp1252", ""),
        ("“Привет” – да…", "cp1251", "ru"), ("Où", "cp1252", "en"), ("Да", "cp1251", ""),

        ("Merhaba, nasılsın? Şimdi.", "cp1254", "tr"), ("こんにちは、元気ですか", "euc_jp", "ja"),
        ("こんにちは、元気ですか", "iso2022_jp", "ja"), ("안녕하세요", "cp949", "ko"),
        ("Où êtes-vous, l’élève ?", "cp1252", ""), ("Schöne Grüße", "mac_roman", "de"),
    ],
)  # fmt: skip
def test_of_a_languages_charsets_the_bytes_choose_one(
    text: str, charset: str, language: str
) -> None:
    assert decode((HEAD + text).encode(charset), language) == HEAD + text


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_times(charset: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n" + "你好一二" * 200 + "\n"
    assert decode(text.encode(charset), "zh") == text


def test_a_stray_null_byte_makes_no_utf16() -> None:
    assert "Hello" in to_vtt(f"{HEAD}Hel\0lo\n".encode(), ".srt", "")

"""Languages read from the names of subtitle files."""

from __future__ import annotations

import pytest

from chilly_movies.watching.languages import NAMES, NamedLanguage, label_of, language_of


@pytest.mark.parametrize(
    ("path", "film", "tag"),
    [
        ("Film.en.srt", "Film.mkv", "en"), ("Film.EN.srt", "Film.mkv", "en"),
        ("Film.eng.srt", "Film.mkv", "en"), ("Film-en.srt", "Film.mkv", "en"),
        ("English.srt", None, "en"), ("Subs/2_eng.srt", "Film.mkv", "en"),
        ("Subs/Film.S01E01/3_French.srt", "Film.S01E01.mkv", "fr"),
        ("Subs/German/x.ass", "Film.mkv", "de"), ("Film.Español.srt", "Film.mkv", "es"),
        ("Film.ger.srt", "Film.mkv", "de"), ("Film.deu.srt", "Film.mkv", "de"),
        ("Film.pt-BR.srt", "Film.mkv", "pt-BR"), ("Film.pt_BR.srt", "Film.mkv", "pt-BR"),
        ("Film.pt-br.srt", "Film.mkv", "pt-BR"), ("Film.pob.srt", "Film.mkv", "pt-BR"),
        ("Film.zh-Hant.srt", "Film.mkv", "zh-Hant"), ("Film.chs.srt", "Film.mkv", "zh-Hans"),
        ("Film.hi.srt", "Film.mkv", "hi"),
        ("The.Italian.Job.srt", "The.Italian.Job.mkv", None),
        ("The.Italian.Job.de.srt", "The.Italian.Job.mkv", "de"),
        ("Film.srt", "Film.mkv", None), ("x.srt", None, None), ("1.srt", None, None),
        ("Film.qq.srt", "Film.mkv", None), ('Film."><script>.srt', "Film.mkv", None),
    ],
)  # fmt: skip
def test_a_name_says_its_language_and_words_of_the_title_do_not_count(
    path: str, film: str | None, tag: str | None
) -> None:
    assert language_of(path, film).tag == tag


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("Film.en.forced.srt", NamedLanguage("en", forced=True)),
        ("Film.en.sdh.srt", NamedLanguage("en", sdh=True)),
        ("Film.English-SDH.srt", NamedLanguage("en", sdh=True)),
        ("Film.en.hi.srt", NamedLanguage("en", sdh=True)),
        ("Film.forced.srt", NamedLanguage(None, forced=True)),
        ("Film (Deutsch) [CC].srt", NamedLanguage("de", sdh=True)),
    ],
)
def test_a_name_says_what_kind_of_subtitles_they_are(path: str, said: NamedLanguage) -> None:
    assert language_of(path, "Film.mkv") == said


def test_a_label_is_for_people() -> None:
    assert label_of("en") == "English"
    assert label_of("pt-BR", forced=True, sdh=True) == "Portuguese (BR, SDH, forced)"
    assert label_of(None, title="Film.srt") == "Film.srt"
    assert label_of("xx") == "xx"
    assert label_of(None) == "Subtitles"
    assert (NAMES["de"], NAMES["zh"]) == ("German", "Chinese")

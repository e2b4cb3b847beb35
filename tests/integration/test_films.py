"""The films the other tests play are what they say they are."""

from __future__ import annotations

from tests.films import Films, count_frames


def test_the_index_of_an_mp4_lies_where_it_was_asked_for(films: Films) -> None:
    first, last = films.mp4().read_bytes(), films.mp4(moov="last").read_bytes()
    assert first.index(b"moov") < first.index(b"mdat")
    assert last.index(b"moov") > last.index(b"mdat")
    assert films.mp4(moov="fragments").read_bytes().count(b"moof") > 1


def test_a_film_has_every_picture_and_about_the_size_that_was_asked_for(films: Films) -> None:
    path = films.mp4()
    assert count_frames(path) == 6 * 25
    assert 300_000 < path.stat().st_size < 700_000


def test_the_mkv_has_two_languages_two_subtitles_and_its_index_on_either_end(films: Films) -> None:
    last, first = films.mkv().read_bytes(), films.mkv(cues_first=True).read_bytes()
    cues, cluster = b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"
    assert last.rindex(cues) > last.rindex(cluster)
    assert first.find(cues) < first.rindex(cluster)
    for word in (b"S_TEXT/UTF8", b"S_TEXT/ASS", b"fre", b"Good evening.", b"Guten Abend."):
        assert word in last


def test_the_same_wish_gives_the_same_file(films: Films) -> None:
    assert films.webm() == films.webm()

"""Places in the tree for whatever somebody calls a film."""

from __future__ import annotations

import os
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from chilly_movies.library.models import Item, ItemEpisode
from chilly_movies.library.naming import Naming
from chilly_movies.library.templates import NamingStyle
from chilly_movies.names import folded
from tests.unit.library.items import episode, extra, film, main, series, subtitle

_RESERVED = ["con", "PRN", "aux", "NUL", "COM1", "lpt9", "CON.", "nul.txt", "aux ", "Com5.mkv"]
_LEADING_OUT = [
    "..", ".", "...", "../../etc/passwd", "/etc/passwd", "a/../../b", "..\\..\\windows", "~root",
    "C:\\Films", "\\\\server\\share", "file:///etc", ".hidden", ".incomplete", "a/./b", "//", "\\",
]  # fmt: skip
_CHARACTERS = ["\0", "\n", "\r\n", "\x1b[2J", "\x7f", "\u202egpj.exe", "\u200b", "\ufeff",
               "\ud800", "\udcff", "\U000e0001", "\ue000", "\uffff", "\u2028"]  # fmt: skip
_FORMS = ["Amélie", "Ame\u0301lie", "AMÉLIE", "ﬁlm", "FILM", "Film", "ﬀ", "İstanbul", "Straße",
          "STRASSE", "Å", "\u212b", "ｆｉｌｍ", "\u1100\u1161", "가"]  # fmt: skip
_EMPTY = ["", " ", "\t", "?", "***", "<>", '"', "{}", "|", ":", "   .   "]


def hostile_names() -> list[str]:
    """Three hundred, always the same."""
    chance = random.Random(17)
    fixed = [*_RESERVED, *_LEADING_OUT, *_CHARACTERS, *_FORMS, *_EMPTY]
    fixed += [f"a{c}b" for c in _CHARACTERS] + [f"{c}{c}" for c in _CHARACTERS]
    fixed += [
        c * n for c in ("x", "é", "電", "👩‍👩‍👧", "a\u0301", ".", " ") for n in (100, 255, 4096)
    ]
    fixed += ["{title}", "{0}", "{title.__class__}", "<{year}>", "%s", "$HOME", "`id`", "-rf"]
    letters = [*"abAB .-_:/\\?*<>|\"'{}[]()", "é", "电", "\u202e", "\0", "👻", "\u0301", "\ud83d"]
    while len(fixed) < 300:
        fixed.append("".join(chance.choices(letters, k=chance.randint(1, 300))))
    return fixed[:300]


def items_called(name: str) -> Iterator[Item]:
    files = (
        main(0, f"{name}/{name}.mkv", edition=name, quality=name, part=1),
        main(1, "b.mkv", edition=name, quality=name, part=1),
        main(2, name, edition=name.upper()),
        extra(3, f"x/{name}.mkv"),
        extra(4, f"y/{name}.MKV"),
        subtitle(5, "b.srt", name, name),
        subtitle(6, "b.srt", "en-" + "x" * 8, "forced", "sdh"),
        subtitle(7, "b.SRT", "en-" + "x" * 8, "forced", "sdh"),
    )
    yield film(name, 1999, *files, ref="tmdb:movie:603", external_ids={"imdb": name})
    yield film(name, None, *files, original_title=name)
    known = [ItemEpisode(1, 1, title=name), ItemEpisode(1, 2, title=name)]
    parts = (episode(0, 1, 1, 2, edition=name), episode(1, 1, 1, 2, edition=name), main(2, name),
             episode(3, 0, *range(1, 60)), main(4, name, season=1))  # fmt: skip
    yield series(name, 1999, *parts, episodes=known)


def is_harmless(name: str) -> bool:
    return (
        0 < len(name.encode()) <= 255
        and name == unicodedata.normalize("NFC", name)
        and not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name)
        and not set(name) & set('<>:"/\\|?*')
        and not name.startswith((".", " "))
        and not name.endswith((".", " "))
        and name.split(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    )


@pytest.mark.parametrize("style", NamingStyle)
def test_places_of_300_hostile_names_are_valid_unique_and_confined(
    style: NamingStyle,
) -> None:
    names = hostile_names() if style is NamingStyle.JELLYFIN else hostile_names()[::6]
    assert len(hostile_names()) == 300
    for name in names:
        for item in items_called(name):
            places = Naming(style).places(item)
            assert len({folded(str(place)) for place in places.values()}) == len(places)
            assert set(places) == {file.index for file in item.files}
            for place in places.values():
                assert place.parts[0] in ("Movies", "Shows"), name
                assert all(is_harmless(part) for part in place.parts), (name, place)


def test_a_real_disk_takes_every_place_of_the_hostile_names(tmp_path: Path) -> None:
    for number, name in enumerate(hostile_names()[::3]):
        for place in Naming().places(next(items_called(name))).values():
            target = tmp_path / str(number) / place
            target.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))
            assert target.resolve().is_relative_to(tmp_path / str(number))


def test_what_tells_versions_and_parts_apart_survives_the_longest_title() -> None:
    files = [
        main(n, f"{n}.mkv", edition="Director's Cut", quality=quality, part=part)
        for n, (quality, part) in enumerate([("1080p", 1), ("1080p", 2), ("720p", 1), ("720p", 2)])
    ]
    places = Naming().places(film("電" * 300, 1999, *files, ref="tmdb:movie:1"))
    ends = [place.name.partition(" - ")[2] for place in places.values()]
    assert ends == [f"Director's Cut {q}-part{n}.mkv" for q in ("1080p", "720p") for n in (1, 2)]
    folder = PurePosixPath(places[0]).parent.name
    assert all(place.name.startswith(folder + " - ") for place in places.values())

"""Where the files of an item stand in the tree, by the customs of Jellyfin, Kodi or Plex.

Sources: jellyfin.org/docs (Movies, Shows, External Files), kodi.wiki (Naming video files, Advanced
settings), support.plex.tv (Naming and organizing your media files).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.models import FileRole, Item, ItemFile
from chilly_movies.library.templates import TEMPLATES, NamingStyle, Templates, filled, parts
from chilly_movies.names import cut, folded, safe_name

_LONGEST: Final = 255
"""Bytes of a name that every file system takes."""
_ROOM: Final = 16
"""Bytes that stay free in each name, for what is added: `-thumb.jpg`, `.nfo`, ` (2)`."""
_TITLES: Final = (160, 120, 80, 48)
"""Bytes of a title; the first is taken with which all names of an item are short enough."""
_LABEL: Final = 48
_FLAGS: Final = ("default", "forced", "sdh")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_EASY_TO_READ: Final = str.maketrans(
    {"/": "-", "\\": "-", "|": "-", '"': "'", "?": "", "*": "", "<": "", ">": "", "{": "(",
     "}": ")"}
)  # fmt: skip


_EXTRAS: Final[Mapping[str, Sequence[str]]] = {
    "trailers": ("trailer", "teaser"),
    "behind the scenes": ("behind the scenes", "making of", "bts"),
    "deleted scenes": ("deleted",),
    "interviews": ("interview",),
    "featurettes": ("featurette",),
    "shorts": ("short",),
    "scenes": ("scene",),
    "clips": ("clip",),
}
"""The folders of extras, and what in a name tells which is meant; the first that fits."""


class Naming:
    """Says where files stand in the tree. Pure.

    Args:
        style: whose customs.
        templates: how names are made, None = by the style.
    """

    def __init__(
        self, style: NamingStyle = NamingStyle.JELLYFIN, templates: Templates | None = None
    ) -> None:
        self.style = style
        self.templates = templates or TEMPLATES[style]

    def folder(self, item: Item, *, number: int = 1, title: int = _TITLES[0]) -> PurePosixPath:
        """The folder of an item, relative to the tree.

        Args:
            item: the item.
            number: tells it from another item of the same name; 1 = there is none.
            title: bytes of the title at most.
        """
        film = item.kind is TitleKind.MOVIE
        template = self.templates.film_folder if film else self.templates.series_folder
        *outer, last = parts(template, self._of_item(item, title))
        last += f" ({number})" if number > 1 else ""
        return PurePosixPath(*(safe_name(part, _LONGEST - _ROOM) for part in (*outer, last)))

    def places(self, item: Item, *, number: int = 1) -> dict[int, PurePosixPath]:
        """Where each file of an item stands, relative to the tree, by its index.

        Left out: samples, and subtitles of nothing that is there. All places differ, on file
        systems that know no upper and lower case, too.
        """
        found: dict[int, PurePosixPath] = {}
        for title in _TITLES:
            found, whole = self._places(item, number, title)
            if whole:
                break
        return found

    def _places(self, item: Item, number: int, title: int) -> tuple[dict[int, PurePosixPath], bool]:
        folder = self.folder(item, number=number, title=title)
        words = self._of_item(item, title)
        taken, places = _Taken(), dict[int, PurePosixPath]()
        videos = [file for file in item.files if file.role is FileRole.MAIN]
        labels = _labels(videos)
        for file in videos:
            where, stem = self._video(item, file, folder, {**words, **labels[file.index]})
            places[file.index] = taken.take(where, stem, _suffix(file))
        for file in item.files:
            if file.role is FileRole.EXTRA:
                where = folder / self._extras_folder(file)
                places[file.index] = taken.take(where, _own_stem(file), _suffix(file))
            elif file.role is FileRole.SUBTITLE and (video := _video_of(file, videos)):
                beside = places[video.index]
                ends = (ending + _suffix(file) for ending in _endings(file))
                places[file.index] = taken.take_ending(beside.parent, stem_of(beside, video), ends)
        return dict(sorted(places.items())), not taken.shortened

    def _video(
        self, item: Item, file: ItemFile, folder: PurePosixPath, words: Mapping[str, str | int]
    ) -> tuple[PurePosixPath, str]:
        """The folder of a film or episode, and the stem of its name."""
        words = {**words, "folder": folder.name}
        if item.kind is TitleKind.MOVIE:
            return folder, filled(self.templates.film, words)
        if file.season is None and not file.episodes:
            return folder / self._extras_folder(file), _own_stem(file)
        season = 1 if file.season is None else file.season
        words = {**words, "season": season}
        inner = parts(self.templates.season_folder, words)
        where = folder.joinpath(*(safe_name(part, _LONGEST) for part in inner))
        if not file.episodes:
            return where, _own_stem(file)
        episodes, names = self._numbers(season, file.episodes), _names(item, season, file.episodes)
        return where, filled(
            self.templates.episode, {**words, "episodes": episodes, **_known({"name": names})}
        )

    def _numbers(self, season: int, episodes: Sequence[int]) -> str:
        """Such as `S01E01-E02`; Plex takes the last one as the end, the others read each."""
        first, *others = episodes
        if self.style is NamingStyle.PLEX or len(others) > 5:
            others = others[-1:]
        text = f"S{season:02}E{first:02}" + "".join(f"-E{number:02}" for number in others)
        return text.lower() if self.style is NamingStyle.PLEX else text

    def _extras_folder(self, file: ItemFile) -> str:
        if self.style is NamingStyle.KODI:
            return "Extras"
        spoken = re.sub(r"[\W_]+", " ", file.path.lower())
        found = (name for name, signs in _EXTRAS.items() if any(sign in spoken for sign in signs))
        name = next(found, "extras")
        if self.style is NamingStyle.PLEX:
            return {"extras": "Other", "clips": "Other"}.get(name, name.title())
        return name

    def _of_item(self, item: Item, title: int) -> dict[str, str | int]:
        """The words that say which title it is; those that are not known are left out."""
        ids = ids_of(item)
        name = _readable(item.title, title) or safe_name(item.title)
        words: dict[str, str | int] = {"title": name, "initial": _initial(name)}
        if item.year is not None:
            words["year"] = item.year
        return words | _known(
            {
                "original": _readable(item.facts.original_title, title),
                "id": self._id_tag(item.kind, ids),
                **{name: ids.get(name, "") for name in ("tmdb", "imdb", "tvdb")},
            }
        )

    def _id_tag(self, kind: TitleKind, ids: Mapping[str, str]) -> str:
        wanted = ("tmdb", "imdb") if kind is TitleKind.MOVIE else ("tvdb", "tmdb", "imdb")
        name = next((name for name in wanted if name in ids), None)
        middle = "-" if self.style is NamingStyle.PLEX else "id-"
        return "" if name is None else f"{name}{middle}{ids[name]}"


class _Taken:
    """The places that are given away.

    Attributes:
        shortened: whether a name was too long, or had to be numbered for being the same as another.
    """

    def __init__(self) -> None:
        self.shortened = False
        self._known: set[str] = set()

    def take(self, folder: PurePosixPath, stem: str, suffix: str) -> PurePosixPath:
        """A place in a folder that nothing else has; numbered if need be."""
        return self.take_ending(folder, stem, chain((suffix,), (f" ({n}){suffix}" for n in _COUNT)))

    def take_ending(
        self, folder: PurePosixPath, stem: str, endings: Iterable[str]
    ) -> PurePosixPath:
        """A place in a folder with the first ending with which nothing else has it."""
        for ending in endings:
            room = _LONGEST - _ROOM - len(ending.encode())
            name = safe_name(stem, room)
            self.shortened |= name != stem and len(stem.encode()) > room
            place = folder / (name + ending)
            if (known := folded(str(place))) not in self._known:
                self._known.add(known)
                return place
        raise AssertionError("an item has fewer files than numbers")


_COUNT: Final = range(2, 100_000)


def ids_of(item: Item) -> dict[str, str]:
    """The numbers that catalogues know a title by: tmdb, imdb, tvdb; odd ones are left out."""
    found = dict(item.facts.external_ids)
    if item.ref is not None and item.ref.provider == "tmdb":
        found["tmdb"] = item.ref.id.rpartition(":")[2]
    return {name: str(value) for name, value in found.items() if _ID.fullmatch(str(value))}


def stem_of(place: PurePosixPath, file: ItemFile) -> str:
    """The name of a place of a file without its suffix; what lies beside it begins with this."""
    return place.name.removesuffix(_suffix(file))


def _known(words: Mapping[str, str]) -> dict[str, str | int]:
    return {name: value for name, value in words.items() if value}


def _readable(text: str, most: int) -> str:
    """A value without what no name may hold, as people would write it: `Alien - Covenant`."""
    text = (
        text[: 4 * _LONGEST]
        .encode("utf-8", "replace")
        .decode()
        .replace(": ", " - ")
        .replace(":", "-")
    )
    text = " ".join(text.translate(_EASY_TO_READ).split())
    return cut(text, most).strip()


def _initial(title: str) -> str:
    return title[0].upper() if title[0].isalpha() else "#"


def _suffix(file: ItemFile) -> str:
    name = safe_name(PurePosixPath(file.path).name)
    suffix = PurePosixPath(name).suffix
    return suffix.lower() if len(suffix.encode()) <= _ROOM and " " not in suffix else ""


def _own_stem(file: ItemFile) -> str:
    name = PurePosixPath(file.path).name
    return _readable(PurePosixPath(name).stem, _TITLES[0]) or safe_name(name)


def _labels(videos: Sequence[ItemFile]) -> dict[int, dict[str, str | int]]:
    """What tells the versions of one film or episode apart, by the index of the file."""

    def of(file: ItemFile) -> tuple[object, ...]:
        return file.season, file.episodes, (file.edition or "").casefold()

    each = Counter((of(file), file.part) for file in videos)
    several = {version for (version, _), count in each.items() if count > 1}
    seen: Counter[object] = Counter()
    found = {}
    for file in videos:
        quality = _readable(file.quality or "", _LABEL)
        label = quality if of(file) in several else ""
        seen[known := (of(file), file.part, label.casefold())] += 1
        if seen[known] > 1:
            label = f"{label} {seen[known]}".strip()
        edition = _readable(file.edition or "", _LABEL)
        version = f"{edition} {label}".strip()
        words = {"quality": quality, "label": label, "edition": edition, "version": version}
        found[file.index] = _known(words) | ({} if file.part is None else {"part": file.part})
    return found


def _names(item: Item, season: int, episodes: Sequence[int]) -> str:
    titles = {one.number: one.title for one in item.episodes if one.season == season}
    known = dict.fromkeys(titles[number] for number in episodes if titles.get(number))
    return _readable(" + ".join(known), _LABEL * 2)


def _video_of(subtitle: ItemFile, videos: Sequence[ItemFile]) -> ItemFile | None:
    """The film or episode that subtitles are of: by name, else by numbers, else the only one."""
    name = PurePosixPath(subtitle.path).name.casefold()
    for video in sorted(videos, key=lambda one: len(one.path), reverse=True):
        if name.startswith(PurePosixPath(video.path).stem.casefold()):
            return video
    if subtitle.episodes:
        wanted = (subtitle.season, subtitle.episodes)
        return next((one for one in videos if (one.season, one.episodes) == wanted), None)
    if any(one.episodes for one in videos) and len(videos) > 1:
        return None
    same = [one for one in videos if one.part == subtitle.part]
    return next(iter(same or videos), None)


def _endings(subtitle: ItemFile) -> Iterator[str]:
    """What follows the film's name, without the suffix; several of one kind are numbered."""
    language = subtitle.language or ""
    tags = [language] if _LANGUAGE.fullmatch(language) else []
    tags += [flag for flag in _FLAGS if flag in subtitle.flags]
    yield "".join(f".{tag}" for tag in tags)
    for number in _COUNT:
        yield "".join(f".{tag}" for tag in (number, *tags))

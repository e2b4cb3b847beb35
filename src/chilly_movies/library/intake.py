"""What names say of files that came together: films and series, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.jobs.models import Job, is_video
from chilly_movies.library.items import new_id
from chilly_movies.library.models import FileRole, Item, ItemFacts, ItemFile
from chilly_movies.library.recognition import Recognition
from chilly_movies.library.recognition.packs import recognise_pack
from chilly_movies.watching.languages import language_of
from chilly_movies.watching.subtitles import ENDINGS, film_beside

Hints = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A film or series, as the names of its files say.

    Attributes:
        recognition: of the first of its films or episodes.
        ref: what the user said that it is, None = nothing.
        files: each with what its name says of it, in their order.
    """

    recognition: Recognition
    ref: TitleRef | None
    files: tuple[ItemFile, ...]

    def as_item(self, now: datetime) -> Item:
        """A new item of these files."""
        said = self.recognition
        imdb = dict(said.ids).get("imdb")
        return Item(
            new_id(),
            said.kind or TitleKind.MOVIE,
            said.title or PurePosixPath(self.files[0].path).stem,
            now,
            now,
            year=said.year,
            ref=self.ref,
            chosen=self.ref is not None,
            facts=ItemFacts(external_ids={} if imdb is None else {"imdb": imdb}),
            files=tuple(replace(file, index=i) for i, file in enumerate(self.files)),
        )


def files_of(job: Job) -> tuple[ItemFile, ...]:
    """The files of a job that a library may have: those that were wanted."""
    return tuple(
        ItemFile(0, file.path, file.size, job.id, file.index)
        for file in job.files
        if file.wanted and not file.blocked
    )


def folder_of(job: Job) -> str | None:
    """The folder that a job's files lie in together, None if it is one file."""
    path = job.path
    return path if path and all(file.path != path for file in job.files) else None


def read_files(
    files: Sequence[ItemFile], folder: str | None = None, hints: Hints | None = None
) -> tuple[Found, ...]:
    """Tells the films and series that files are of.

    Args:
        files: that came together; what is neither film nor subtitle is passed over.
        folder: the one that they all lie in, None = there is none.
        hints: what the user said of all of them, by the labels' names.
    """
    films = [file for file in files if is_video(file.path)]
    named = [_within(file.path, folder) for file in films]
    top = None if folder is None else PurePosixPath(folder).name
    said = recognise_pack(named, folder=top, hints=hints or {})
    groups = _groups(list(zip(films, said, strict=True)))
    subtitles = [f for f in files if PurePosixPath(f.path).suffix.lower() in ENDINGS]
    alone = len(groups) == 1
    return tuple(
        Found(
            first,
            ref_of(first) if alone else None,
            (*members, *_subtitles(subtitles, members, alone=alone)),
        )
        for first, members in groups
    )


def ref_of(said: Recognition) -> TitleRef | None:
    """The title that the user said it is, None if that was not said, or leaves a choice."""
    ids = dict(said.ids)
    if "archive" in ids:
        return TitleRef("archive", ids["archive"])
    if "tmdb" in ids and said.kind is not None:
        return TitleRef("tmdb", f"{said.kind.value}:{ids['tmdb']}")
    return None


def _within(path: str, folder: str | None) -> str:
    return path if folder is None else path.removeprefix(folder + "/")


def _groups(
    read: Sequence[tuple[ItemFile, Recognition]],
) -> list[tuple[Recognition, list[ItemFile]]]:
    """The files of each film or series; samples and extras are with the first one near them."""
    found: dict[object, tuple[Recognition, list[ItemFile]]] = {}
    beside = []
    for file, said in read:
        if said.role is not FileRole.MAIN:
            beside.append((file, said))
            continue
        _, members = found.setdefault(_key(said), (said, []))
        members.append(_with_what_is_said(file, said))
    groups = list(found.values())
    for file, said in beside:
        if groups:
            _nearest(file, groups).append(_with_what_is_said(file, said))
    return groups


def _key(said: Recognition) -> object:
    """What is the same of all files of one film, or of all episodes of one series."""
    title = "".join(sign for sign in (said.title or said.name).casefold() if sign.isalnum())
    return (said.kind, title) if said.kind is TitleKind.TV else (said.kind, title, said.year)


def _with_what_is_said(file: ItemFile, said: Recognition) -> ItemFile:
    return replace(
        file,
        role=said.role,
        season=said.season,
        episodes=said.episodes or said.absolute,
        quality=said.quality,
        edition=said.edition,
        part=said.part,
    )


def _nearest(
    file: ItemFile, groups: Sequence[tuple[Recognition, list[ItemFile]]]
) -> list[ItemFile]:
    """The group that has the most of a file's folders."""

    def shared(group: tuple[Recognition, list[ItemFile]]) -> int:
        own = PurePosixPath(file.path).parts
        first = PurePosixPath(group[1][0].path).parts
        return sum(1 for a, b in zip(own, first, strict=False) if a == b)

    return max(groups, key=shared)[1]


def _subtitles(
    subtitles: Iterable[ItemFile], members: Sequence[ItemFile], *, alone: bool
) -> Iterator[ItemFile]:
    """Those that belong to films of a group, with what they share with their film."""
    films = {file.path: file for file in members if file.role is FileRole.MAIN}
    for subtitle in subtitles:
        path = film_beside(subtitle.path, list(films))
        if path is None and alone and films:
            path = next(iter(films))
        if path is None:
            continue
        film, named = films[path], language_of(subtitle.path, path)
        flags = tuple(f for f, on in (("forced", named.forced), ("sdh", named.sdh)) if on)
        yield replace(
            film,
            path=subtitle.path,
            size=subtitle.size,
            job_id=subtitle.job_id,
            job_file=subtitle.job_file,
            role=FileRole.SUBTITLE,
            language=named.tag,
            flags=flags,
        )

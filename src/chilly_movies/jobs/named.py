"""Films that are started by the name that a catalogue has for them, such as `archive:<identifier>`.

A catalogue says where such a film is to be had; from then on the job is one like every other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from chilly_movies.jobs.models import FurtherSource, MediaFile, Source, SourceType


@dataclass(frozen=True, slots=True)
class NamedFilm:
    """Where a film is to be had.

    Attributes:
        source: the best place.
        files: the ends of the paths of its files that are wanted; none = all.
        checksum: of the one file there, None if it is not known or there are several.
        candidates: further places, best first.
        mirrors: further places for the same bytes.
        labels: what is known of it; labels that were given win.
        indices: the numbers of the wanted files, once they were looked up; None = all.
    """

    source: Source
    files: tuple[str, ...] = ()
    checksum: str | None = None
    candidates: tuple[FurtherSource, ...] = ()
    mirrors: tuple[FurtherSource, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    indices: tuple[int, ...] | None = None

    def at_first_candidate(self) -> NamedFilm:
        """The same film from its first candidate."""
        first, *others = self.candidates
        return replace(
            self, source=first.source, files=(), checksum=first.checksum, candidates=tuple(others)
        )

    def with_folder(self, place: str, there: tuple[MediaFile, ...]) -> NamedFilm:
        """The same with the folder as a mirror in which its first candidate was found to lie.

        Args:
            place: where the candidate's link leads to.
            there: the files of the source.
        """
        for file in there:
            if file.index in (self.indices or ()) and place.endswith(f"/{quote(file.path)}"):
                folder = Source(SourceType.HTTP, place.removesuffix(quote(file.path)))
                return replace(self, mirrors=(FurtherSource(folder),))
        return self

    def with_files(self, there: tuple[MediaFile, ...]) -> NamedFilm | None:
        """The same with the numbers of the wanted files; None if one of them is not there."""
        found = [
            next((f.index for f in there if f.path.endswith(f"/{name}") or f.path == name), None)
            for name in self.files
        ]
        numbers = tuple(sorted(index for index in found if index is not None))
        return replace(self, indices=numbers) if len(numbers) == len(found) else None


@dataclass(frozen=True, slots=True)
class Naming:
    """What knows films of one kind of name.

    Attributes:
        label: which label of a job says what it was started by.
        find: says where a film is to be had, of what follows the colon; raises `MetadataError`
            or `InvalidSource`.
    """

    label: str
    find: Callable[[str], Awaitable[NamedFilm]]

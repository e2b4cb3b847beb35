"""What lies in the folder of an unfinished job. All of it blocks, and is called in threads.

While the film arrives its files have names that the child gave them (`words.StagedName`). Once it
is whole it is put into a folder of its own under the names it is to have: so a start after a crash
publishes it, and reads no page again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.disk.files import flush_folder
from chilly_movies.disk.programs import is_program
from chilly_movies.errors import SourceRejected
from chilly_movies.jobs.models import MediaFile
from chilly_movies.names import safe_name

READY = ".ready"
"""The folder of the film that is whole."""
_OURS = "film-"
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Ready:
    """A film that is whole, and not published yet.

    Attributes:
        path: the file or folder that becomes the film.
        files: what is in it, as it will lie in the media root.
    """

    path: Path
    files: tuple[MediaFile, ...]


def film_name(title: str | None, suffix: str) -> str:
    """What the film's file is to be called.

    Raises:
        SourceRejected: that would be the name of a program.
    """
    name = safe_name(f"{safe_name(title or 'film')}.{suffix}")
    if is_program(name):
        raise SourceRejected("What lies behind the link is a program, and no film.")
    return name


def put_ready(folder: Path, film: str, name: str, subtitles: Mapping[str, str]) -> None:
    """Give a film that is whole the names it is to have; subtitles lie beside it in its folder.

    Args:
        folder: of the job's unfinished data.
        film: the file in it.
        name: what it is to be called.
        subtitles: files of subtitles by language.

    Raises:
        OSError: the disk refused.
    """
    stem = Path(name).stem
    target = folder / READY
    target.mkdir(exist_ok=True)
    if subtitles:
        target = target / stem
        target.mkdir(exist_ok=True)
    for language, kept in subtitles.items():
        (folder / kept).replace(target / f"{stem}.{language}{Path(kept).suffix}")
    (folder / film).replace(target / name)
    for left in _entries(folder):
        if left.name.startswith(_OURS):
            left.unlink()
    flush_folder(target)
    flush_folder(folder)


def ready_in(folder: Path) -> Ready | None:
    """The film that is whole, None if there is none."""
    found = next(_entries(folder / READY), None)
    if found is None:
        return None
    inner = sorted(_entries(found), key=_size, reverse=True) if found.is_dir() else [found]
    paths = [str(path.relative_to(folder / READY)) for path in inner]
    files = (MediaFile(index, path, _size(inner[index])) for index, path in enumerate(paths))
    return Ready(found, tuple(files)) if inner else None


def arriving(folder: Path) -> Path | None:
    """The file that grows, or is whole, of a film that comes in one; the newest, if there are more.

    One that is named like the part of a film is none.
    """
    found = [path for path in _entries(folder) if _is_film(path.name)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def readable(folder: Path, file: MediaFile) -> Path | None:
    """Where a file of an unfinished film can be read, None if it cannot be yet."""
    if file.size == 0:  # it is not known how large it will be
        return None
    ready = ready_in(folder)
    if ready is None:
        return arriving(folder)
    return next((folder / READY / f.path for f in ready.files if f.index == file.index), None)


def size_there(folder: Path) -> int:
    """Bytes of the film that are there, 0 if it comes in parts or there are none."""
    path = arriving(folder)
    return 0 if path is None else _size(path)


def _is_film(name: str) -> bool:
    stem, _, rest = name.removesuffix(_PART).partition(".")
    return stem.startswith(_OURS) and "." not in rest and "-Frag" not in rest


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _size(path: Path) -> int:
    return path.lstat().st_size

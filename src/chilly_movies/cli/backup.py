"""`chilly backup` and `chilly restore`: one archive with jobs, library and settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from chilly_movies import __version__
from chilly_movies.cli import archive, render
from chilly_movies.cli.archive import SETTINGS, Manifest
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.interruption import InOrder
from chilly_movies.cli.library_files import bring_library, take_library
from chilly_movies.cli.media_folder import with_known_folder
from chilly_movies.cli.output import Output
from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.runtime.state_folder import DATABASE, LIBRARY, LOCK, StateFolder

_Flag = Parameter(negative="", show_default=False)
_SHOWN = 20


def backup(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    with_secrets: Annotated[bool, _Flag] = False,
    state_dir: Path | None = None,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Write jobs, library, resume data and settings into one archive; a server may run meanwhile.

    The films are not in it. It may hold API keys, so only its owner may read it: keep it so.

    Args:
        file: The archive, .tar.gz; one that is there is not replaced.
        with_secrets: Take the user names, passwords, cookies and headers of sources, and webhooks.
        state_dir: Where the database is, instead of the setting.
        json: One JSON document.
    """
    from chilly_movies.settings import config_file, load_settings

    out = Output(as_json=json)
    settings, _ = with_known_folder(load_settings(state_dir=state_dir))
    state, library = StateFolder(settings.state_dir), _Library()
    try:
        with (
            InOrder(),
            tempfile.TemporaryDirectory(prefix=".backup-", dir=file.absolute().parent) as scratch,
        ):
            contents = {DATABASE: Path(scratch, DATABASE)}
            taken = _take(state.database, contents[DATABASE])
            left_out = 0 if with_secrets else _forget_secrets(contents[DATABASE])
            library = _Library(*take_library(state.library, contents, Path(scratch)))
            if config_file().is_file():
                contents[SETTINGS] = config_file()
            manifest = _manifest(settings.media_root, state.path, taken.jobs, contents)
            archive.pack(file, manifest, contents)
    except OSError as error:
        raise CommandFailed(f"The backup cannot be written: {error.strerror}.") from None
    out.document(
        {
            "file": str(file),
            "bytes": file.stat().st_size,
            "jobs": taken.jobs,
            "settings": SETTINGS in contents,
            "secrets": with_secrets,
            **taken.told(),
            **library.told(),
        }
    )
    out.say(f"{file} holds {render.count(taken.jobs, 'job')}{library.said}, not the films.")
    _say_what_is_secret(out, left_out, with_secrets=with_secrets, has_settings=SETTINGS in contents)
    advice = "'chilly restore' brings back what is in the archive."
    return max(_complain(out, taken, advice), library.complain(out))


def _say_what_is_secret(
    out: Output, left_out: int, *, with_secrets: bool, has_settings: bool
) -> None:
    """Says which secrets the archive holds, and which it does not."""
    if with_secrets:
        out.say("It holds secrets of sources and webhooks: keep it safe.")
    elif left_out:
        out.say(
            f"User names, passwords, cookies and headers of the sources of "
            f"{render.count(left_out, 'job')} are not in it; --with-secrets takes them."
        )
    if has_settings:
        out.say("The settings in it may hold API keys: let nobody else read it.")
    else:
        out.say("There is no settings file; what the environment says is not in it.")


def _manifest(media_root: Path, state: Path, jobs: int, contents: Mapping[str, Path]) -> Manifest:
    """What an archive made now says of itself."""
    return Manifest(
        version=__version__,
        media_root=str(media_root.absolute()),
        state_dir=str(state),
        jobs=jobs,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={name: archive.digest(path) for name, path in contents.items()},
    )


def _forget_secrets(database: Path) -> int:
    from chilly_movies.storage.sqlite.inspection import forget_secrets

    return forget_secrets(database)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What could be taken from a database.

    Attributes:
        jobs: how many are in the copy.
        lost: ids of those whose rows are damaged.
        resume: of how many jobs the resume data is lost.
        damage: what is wrong with the file itself; the copy is a new one with the good rows.
    """

    jobs: int
    lost: tuple[str, ...] = ()
    resume: int = 0
    damage: str = ""

    def told(self) -> dict[str, Any]:
        """As members of a JSON document; none if nothing is wrong."""
        if not (self.lost or self.resume or self.damage):
            return {}
        return {"damage": self.damage, "lostJobs": list(self.lost), "lostResumeData": self.resume}


@dataclass(frozen=True, slots=True)
class _Library:
    """What could be taken of a library.

    Attributes:
        items: how many; None = there is no library.
        lost: how many could not be read.
        damage: what is wrong with the file itself.
    """

    items: int | None = None
    lost: int = 0
    damage: str = ""

    def told(self) -> dict[str, Any]:
        """As members of a JSON document; none if there is no library."""
        wrong = {"libraryDamage": self.damage, "lostItems": self.lost}
        known = {} if self.items is None else {"items": self.items}
        return known | (wrong if self.damage or self.lost else {})

    @property
    def said(self) -> str:
        """For a sentence, behind the jobs."""
        return "" if self.items is None else f" and {render.count(self.items, 'item')}"

    def complain(self, out: Output) -> int:
        """Say what was lost; the exit code."""
        if self.damage:
            saved = "It is left out." if self.items is None else "The good rows were saved."
            out.error(f"Library: {self.damage}. {saved}")
        if self.lost:
            out.error(f"{self.lost} items of the library are damaged and left out.")
        return Exit.FAILED if self.damage or self.lost else Exit.DONE


def _take(database: Path, target: Path) -> _Taken:
    """Copy a database as it is, or the good rows of one that is damaged.

    Raises:
        StoreError: nothing of it can be read.
    """
    from chilly_movies.storage.sqlite.inspection import copy, refuse_absent, survey

    refuse_absent(database)
    try:
        copy(database, target)
        found = survey(target)
    except StoreFromTheFuture:
        raise
    except StoreError as error:
        return _saved(database, target, str(error).rstrip("."))
    if found.damage:
        return _saved(database, target, f"the database is damaged: {found.damage[0]}")
    return _Taken(len(found.jobs), found.unreadable, len(found.lost_resume))


def _saved(database: Path, target: Path, damage: str) -> _Taken:
    from chilly_movies.storage.sqlite.salvage import salvage

    for path in target.parent.glob(f"{target.name}*"):
        path.unlink()
    try:
        saved = salvage(database, target)
    except StoreError as error:
        raise CommandFailed(
            f"{error} Nothing of it could be saved: use an older backup, or move the file away to "
            "begin anew; the films stay where they are."
        ) from None
    return _Taken(saved.jobs, saved.lost, saved.resume, damage)


def _complain(out: Output, taken: _Taken, advice: str) -> int:
    """Say what was lost; the exit code."""
    if not taken.told():
        return Exit.DONE
    if taken.damage:
        out.error(f"{taken.damage[0].upper()}{taken.damage[1:]}. The good rows were saved.")
    if taken.lost:
        out.error(
            f"The rows of these jobs are damaged: {', '.join(taken.lost[:_SHOWN])}"
            f"{' and more' if len(taken.lost) > _SHOWN else ''}."
        )
    if taken.resume:
        out.error(f"The resume data of {taken.resume} jobs is lost: they check their data anew.")
    out.note(advice)
    return Exit.FAILED


def restore(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    media_root: Path,
    state_dir: Path | None = None,
    force: Annotated[bool, _Flag] = False,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Bring jobs, library and settings back from an archive, with films in another folder.

    Move or copy the media folder with its hidden '.incomplete' yourself, before or after. What is
    unfinished is checked at the next start, so nothing is believed that is not there.

    Args:
        file: What 'chilly backup' wrote.
        media_root: Where the films are from now on.
        state_dir: Where the database goes, instead of the setting.
        force: Replace what is in the state folder; what was there is kept as '.old'.
        json: One JSON document.
    """
    from chilly_movies.settings import load_settings

    out = Output(as_json=json)
    media_root = media_root.expanduser().absolute()
    settings = load_settings(media_root=media_root, state_dir=state_dir)
    state = StateFolder(settings.state_dir)
    state.lock()
    try:
        with InOrder():
            manifest, config, taken, library = _restore(file, state, media_root, force=force)
    except OSError as error:
        raise CommandFailed(f"The backup cannot be restored: {error.strerror}.") from None
    finally:
        state.release()
    out.document(
        {
            "jobs": taken.jobs,
            "madeBy": manifest.version,
            "mediaRoot": str(media_root),
            "oldMediaRoot": manifest.media_root,
            "settings": str(config or ""),
            **taken.told(),
            **library.told(),
        }
    )
    moved = f"films were in {manifest.media_root}, now in {media_root}"
    where = moved if manifest.media_root != str(media_root) else f"films are in {media_root}"
    out.say(f"{render.count(taken.jobs, 'job')}{library.said} restored; {where}.")
    out.say(
        f"The settings are in {config}."
        if config
        else f"No settings were restored: start with CHILLY_MEDIA_ROOT={media_root}."
    )
    return max(
        _complain(out, taken, "An older backup may hold what is lost."), library.complain(out)
    )


def _restore(
    file: Path, state: StateFolder, media_root: Path, *, force: bool
) -> tuple[Manifest, Path | None, _Taken, _Library]:
    from chilly_movies.settings import config_file
    from chilly_movies.storage.sqlite.inspection import distrust, refuse_foreign_parts, survey

    if not force and any(path.name != LOCK for path in state.path.iterdir()):
        raise CommandFailed(
            f"The state folder {state.path} is not empty; --force replaces what is there.",
            Exit.USAGE,
        )
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=state.path) as scratch:
        manifest = archive.unpack(file, Path(scratch))
        database, fresh = Path(scratch, DATABASE), Path(scratch, f"fresh-{DATABASE}")
        refuse_foreign_parts(database)
        taken = _take(database, fresh)
        archive.refuse_hostile(survey(fresh).jobs)
        distrust(fresh)
        library, fresh_library = _Library(), Path(scratch, f"fresh-{LIBRARY}")
        library = _Library(*bring_library(Path(scratch)))
        config = config_file()
        text = _settings_of(Path(scratch, SETTINGS), media_root)
        keep = config.exists() and not force
        beside = [f"{name}{end}" for name in (DATABASE, LIBRARY) for end in ("", "-wal", "-shm")]
        for path in (*map(state.path.joinpath, beside), state.media_root):
            _put_aside(path)
        fresh.replace(state.database)
        if fresh_library.exists():
            fresh_library.replace(state.library)
        if text is None or keep:
            return manifest, None, taken, library
        _put_aside(config)
        _write(config, text)
    return manifest, config, taken, library


def _settings_of(path: Path, media_root: Path) -> str | None:
    if not path.exists():
        return None
    try:
        return archive.with_media_root(path.read_text(), media_root)
    except ValueError:
        raise CommandFailed("The settings in the archive are not readable.") from None


def _put_aside(path: Path) -> None:
    if path.exists():
        path.replace(path.with_name(f"{path.name}.old"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

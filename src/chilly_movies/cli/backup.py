"""`chilly backup` and `chilly restore`: one archive with jobs, resume data and settings."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from chilly_movies import __version__
from chilly_movies.cli import archive
from chilly_movies.cli.archive import DATABASE, SETTINGS, Manifest
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output

if TYPE_CHECKING:
    from chilly_movies.settings import Settings
    from chilly_movies.storage.inspection import Survey

_Flag = Parameter(negative="", show_default=False)
_OURS = ("lock",)


def backup(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    state_dir: Path | None = None,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Write jobs, resume data and the settings file into one archive; a server may run meanwhile.

    The films are not in it. It may hold API keys, so only its owner may read it: keep it so.

    Args:
        file: The archive, .tar.gz; one that is there is not replaced.
        state_dir: Where the database is, instead of the setting.
        json: One JSON document.
    """
    from chilly_movies.settings import config_file, load_settings
    from chilly_movies.storage.inspection import copy, survey

    out = Output(as_json=json)
    settings = load_settings(state_dir=state_dir)
    folder = settings.state_dir.absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.absolute().parent) as scratch:
            contents = {DATABASE: Path(scratch, DATABASE)}
            copy(folder / DATABASE, contents[DATABASE])
            if config_file().is_file():
                contents[SETTINGS] = config_file()
            found = survey(contents[DATABASE])
            manifest = Manifest(
                version=__version__, media_root=str(settings.media_root.absolute()),
                state_dir=str(folder), jobs=len(found.jobs),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                files={name: archive.digest(path) for name, path in contents.items()},
            )  # fmt: skip
            archive.pack(file, manifest, contents)
    except OSError as error:
        raise CommandFailed(f"The backup cannot be written: {error.strerror}.") from None
    size = file.stat().st_size
    out.document({"file": str(file), "bytes": size, "jobs": manifest.jobs,
                  "settings": SETTINGS in contents})  # fmt: skip
    out.say(f"{file} holds {manifest.jobs} jobs, not their films.")
    if SETTINGS in contents:
        out.say("The settings in it may hold API keys: let nobody else read it.")
    else:
        out.say("There is no settings file; what the environment says is not in it.")
    return Exit.DONE


def restore(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    media_root: Path,
    state_dir: Path | None = None,
    force: Annotated[bool, _Flag] = False,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Bring jobs, resume data and settings back from an archive, with films in another folder.

    Move or copy the media folder with its hidden '.incomplete' yourself, before or after. What is
    unfinished is checked at the next start, so nothing is believed that is not there.

    Args:
        file: What 'chilly backup' wrote.
        media_root: Where the films are from now on.
        state_dir: Where the database goes, instead of the setting.
        force: Replace what is in the state folder; what was there is kept as '.old'.
        json: One JSON document.
    """
    from chilly_movies.app import StateLock
    from chilly_movies.settings import load_settings

    out = Output(as_json=json)
    media_root = media_root.absolute()
    settings = load_settings(media_root=media_root, state_dir=state_dir)
    lock = StateLock(settings.state_dir.absolute())
    lock.take()
    try:
        manifest, config = _restore(file, settings, media_root, force=force)
    except OSError as error:
        raise CommandFailed(f"The backup cannot be restored: {error.strerror}.") from None
    finally:
        lock.release()
    out.document({"jobs": manifest.jobs, "madeBy": manifest.version, "mediaRoot": str(media_root),
                  "oldMediaRoot": manifest.media_root, "settings": str(config or "")})  # fmt: skip
    out.say(f"{manifest.jobs} jobs are back; films were in {manifest.media_root}, "
            f"now in {media_root}.")  # fmt: skip
    out.say(f"The settings are in {config}." if config else
            f"No settings were restored: start with CHILLY_MEDIA_ROOT={media_root}.")  # fmt: skip
    return Exit.DONE


def _restore(
    file: Path, settings: Settings, media_root: Path, *, force: bool
) -> tuple[Manifest, Path | None]:
    from chilly_movies.settings import config_file
    from chilly_movies.storage.inspection import distrust

    state = settings.state_dir.absolute()
    if not force and any(path.name not in _OURS for path in state.iterdir()):
        raise CommandFailed(
            f"The state folder {state} is not empty; --force replaces what is there.", Exit.USAGE
        )
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=state) as scratch:
        manifest = archive.unpack(file, Path(scratch))
        fresh = Path(scratch, DATABASE)
        _checked(fresh)
        distrust(fresh)
        config = config_file()
        text = _settings_of(Path(scratch, SETTINGS), media_root)
        keep = config.exists() and not force
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "media-root.json"):
            _put_aside(state / name)
        fresh.replace(state / DATABASE)
        if text is None or keep:
            return manifest, None
        _put_aside(config)
        _write(config, text)
    return manifest, config


def _checked(database: Path) -> Survey:
    from chilly_movies.storage.inspection import refuse_foreign_parts, survey

    refuse_foreign_parts(database)
    found = survey(database)
    if found.damage:
        raise CommandFailed(f"The database in the archive is damaged: {found.damage[0]}.")
    archive.refuse_hostile(found.jobs)
    return found


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

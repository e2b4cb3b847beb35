"""The archive of `chilly backup`: made, and read with the distrust any file from outside gets.

A gzipped tar of at most four plain files, the manifest first. Nothing is ever unpacked under a
name or to a place that the archive says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.jobs.models import Job
from chilly_movies.runtime.state_folder import DATABASE, LIBRARY

FORMAT = 1
MANIFEST, SETTINGS = "manifest.json", "chilly.toml"
_SMALL = 1 << 20
_LARGEST = 64 << 30
_CHUNK = 1 << 20
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description that an archive carries of itself.

    Attributes:
        version: of the program that made it.
        media_root: where films were.
        state_dir: where the database was.
        jobs: how many there are.
        created_at: when, as RFC 3339.
        files: name to size and SHA-256 in hex.
    """

    version: str
    media_root: str
    state_dir: str
    jobs: int
    created_at: str
    files: Mapping[str, tuple[int, str]]

    def text(self) -> bytes:
        """Writes it as JSON."""
        described = {
            "format": FORMAT,
            "version": self.version,
            "createdAt": self.created_at,
            "jobs": self.jobs,
            "mediaRoot": self.media_root,
            "stateDir": self.state_dir,
            "files": {n: {"size": s, "sha256": h} for n, (s, h) in self.files.items()},
        }
        return json.dumps(described, indent=2).encode()

    @classmethod
    def read(cls, text: bytes) -> Manifest:
        """Reads the JSON of an archive.

        Raises:
            CommandFailed: it is of another version, or names other files than a backup has.
            ValueError: it is no manifest; so for `KeyError`, `TypeError` and `AttributeError`.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise _refused("it was made by another version of 'chilly backup'")
        files = {name: (int(f["size"]), str(f["sha256"])) for name, f in found["files"].items()}
        if DATABASE not in files or set(files) - {DATABASE, LIBRARY, SETTINGS}:
            raise _refused("its manifest names other files than a backup has")
        return cls(
            version=str(found["version"]),
            media_root=str(found["mediaRoot"]),
            state_dir=str(found["stateDir"]),
            jobs=int(found["jobs"]),
            created_at=str(found["createdAt"]),
            files=files,
        )


def pack(target: Path, manifest: Manifest, contents: Mapping[str, Path]) -> None:
    """Writes the archive, readable for its owner only, and flushes it.

    Raises:
        CommandFailed: something is there already.
        OSError: it cannot be written.
    """
    text = manifest.text()
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CommandFailed(f"{target} is there already; it is not replaced.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                _add(archive, MANIFEST, len(text), io.BytesIO(text))
                for name, path in contents.items():
                    with path.open("rb") as source:
                        _add(archive, name, path.stat().st_size, source)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, source)


def digest(path: Path) -> tuple[int, str]:
    """Returns size and SHA-256 of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def unpack(source: Path, folder: Path) -> Manifest:
    """Writes the archive's database and settings into a folder of ours, if all of it is right.

    Raises:
        CommandFailed: it is damaged, hostile, or not one of ours.
    """
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST:
                raise _refused("it does not begin with a manifest")
            content = archive.extractfile(first) if first.isreg() else None
            if content is None or first.size > _SMALL:
                raise _refused("its manifest is no plain file")
            manifest = Manifest.read(content.read(_SMALL))
            missing = set(manifest.files)
            while (entry := archive.next()) is not None:
                if entry.name not in missing:
                    raise _refused(f"it holds '{entry.name[:60]}', which has no place in it")
                _take(archive, entry, folder / entry.name, *manifest.files[entry.name])
                missing.discard(entry.name)
        if missing:
            raise _refused(f"'{min(missing)}' is missing in it")
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"it cannot be read ({type(error).__name__})") from None
    except OSError as error:
        what = error.strerror or "it is not gzipped"
        raise CommandFailed(f"{source} cannot be read: {what}.", Exit.USAGE) from None
    return manifest


def _take(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, size: int, expected: str
) -> None:
    """Writes one plain file under the name we chose, no byte more than the manifest says."""
    limit = _SMALL if entry.name == SETTINGS else _LARGEST
    content = archive.extractfile(entry) if entry.isreg() else None
    if content is None or entry.size != size or size > limit:
        raise _refused(f"'{entry.name}' in it is not the plain file its manifest says")
    found = hashlib.sha256()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        while chunk := content.read(_CHUNK):
            found.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != expected:
        raise _refused(f"'{entry.name}' in it is damaged")


def _refused(why: str) -> CommandFailed:
    return CommandFailed(f"This is no backup that can be restored: {why}.")


def refuse_hostile(jobs: tuple[Job, ...]) -> None:
    """Checks that no job of an archive points out of the media folder.

    Raises:
        CommandFailed: one does.
    """
    for job in jobs:
        names = [*(file.path for file in job.files), *([job.path] if job.path else [])]
        paths = [PurePosixPath(name) for name in names]
        leads_out = any(p.is_absolute() or ".." in p.parts or "\0" in str(p) for p in paths)
        if leads_out or not _KEY.fullmatch(job.key):
            raise _refused(f"job '{job.id}' points out of the media folder")


def with_media_root(text: str, media_root: Path) -> str:
    """Returns the settings file with another media folder."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*media_root\s*=", line)]
    changed = "\n".join([f"media_root = {json.dumps(str(media_root))}", *lines]) + "\n"
    tomllib.loads(changed)
    return changed

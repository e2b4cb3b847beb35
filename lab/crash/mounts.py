"""File systems of a test's own: small ones in memory, and images of a disk. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_LIMIT = 30.0


def require_mounts(*programs: str) -> None:
    """Skips the running test where file systems cannot be mounted, and says why."""
    if os.geteuid() != 0:
        pytest.skip("file systems can only be mounted by root")
    for program in ("mount", "umount", *programs):
        if shutil.which(program) is None:
            if os.environ.get("REQUIRE_PEERS") == "1":
                pytest.fail(f"{program} is not installed")
            pytest.skip(f"{program} is not installed")
    if "mkfs.ext4" in programs and not Path("/dev/loop-control").exists():
        pytest.skip("this machine has no loop devices")


@contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """A file system in memory of so many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "chilly-test", str(folder))
    try:
        yield folder
    finally:
        unmount(folder)


def remount(folder: Path, options: str) -> None:
    """Changes the options of what is mounted there, even while files are open for writing."""
    patiently(("mount", "-o", f"remount,{options}", str(folder)))


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """Something else, empty and read-only, lies over the folder."""
    _run("mount", "-t", "tmpfs", "-o", "ro,size=4k", "chilly-test", str(folder))
    try:
        yield
    finally:
        unmount(folder)


def make_image(image: Path, size: int) -> None:
    """An empty ext4 file system in a sparse file."""
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", str(image))


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """The image as a folder; mounting it replays its journal."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-o", "loop", str(image), str(folder))
    except OSError as error:
        if "loop" in str(error):
            pytest.skip(f"no loop device is to be had: {error}")
        raise
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """Takes it away; waits a little for those who still have files open there."""
    for attempt in range(20):
        try:
            _run("umount", str(folder))
        except OSError:
            if attempt == 19:
                _run("umount", "--lazy", str(folder))
                raise
            time.sleep(0.25)  # a killed process takes a moment to let go
        else:
            return


def commits(folder: Path) -> str:
    """What the journal of the file system at this folder has done so far."""
    device = folder.stat().st_dev
    for info in Path("/proc/fs/jbd2").glob(f"loop{os.minor(device)}-*/info"):
        return info.read_text().splitlines()[0]
    return ""


def patiently(words: Sequence[str], seconds: float = 5.0) -> None:
    """Do it as soon as nobody has files open there: some are held for a moment longer."""
    until = time.monotonic() + seconds
    while True:
        try:
            _run(*words)
        except OSError as error:
            if "busy" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def copy_image(image: Path, copy: Path) -> None:
    """The bytes the device holds at this moment."""
    _run("cp", "--sparse=always", str(image), str(copy))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")

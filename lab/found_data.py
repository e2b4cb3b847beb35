"""Torrents whose files lie among the user's, a third of them renamed, moved or regrouped.

`python -m lab.found_data`: 100 torrents of 20,000 files, and files that have the size of one but
other bytes. Counts how much is found before anything is checked and what was read for that; then
all torrents are downloaded without any peer, and every published byte and every file of the user's
is compared with what it was.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies import Status, WebTorrentDownloader
from chilly_movies.drivers.torrent.finding.search import DataFinder
from chilly_movies.drivers.torrent.found import files_of
from tests.integration.engine import QUIET
from tests.peers.torrents import Version, make_film, make_torrent, sha256_of

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_PIECE = 16 * KIB
_WITHIN = 120.0
_LONG_AGO = 1_500_000_000
_VERSIONS: tuple[Version, ...] = ("v1", "hybrid", "v2")
_MOVED, _DECOYS = 3, 30
"""Every third file is not where it was, and to every thirtieth there is one of the same size."""


def snapshot(folder: Path) -> Mapping[str, tuple[object, ...]]:
    """What must not change of the user's files: bytes, time, inode, mode and size."""
    return {
        path.relative_to(folder).as_posix(): (
            sha256_of(path), (s := path.stat()).st_mtime_ns, s.st_ino, s.st_mode, s.st_size,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }  # fmt: skip


@dataclass
class Account:
    """What was measured."""

    total: int = 0
    found: int = 0
    bytes_read: int = 0
    longest: int = 0
    searched: float = 0.0
    took: float = 0.0
    downloaded: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def found_share(self) -> float:
        """How much of the bytes that are there was found."""
        return self.found / max(1, self.total)

    def summary(self) -> str:
        """A few lines for people."""
        longest = f"at most {self.longest / MIB:.2f} MiB for one torrent"
        return "\n".join(
            [
                f"bytes there: {self.total / MIB:.1f} MiB, found: {self.found_share:.2%}",
                f"read before the full check: {self.bytes_read / MIB:.1f} MiB, {longest}",
                f"searched in {self.searched:.1f} s",
                f"{self.downloaded} downloaded without a peer in {self.took:.1f} s",
                f"problems: {len(self.problems)}",
                *self.problems[:20],
            ]
        )


@dataclass
class World:
    """Torrents, and the user's files below the media folder.

    Attributes:
        folder: everything is below it.
        torrents: the torrent file of each, by its name.
        digests: hash and size of each file, by torrent and path.
    """

    folder: Path
    torrents: dict[str, bytes] = field(default_factory=dict)
    digests: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    @property
    def mine(self) -> Path:
        """The user's files."""
        return self.folder / "media" / "mine"

    @classmethod
    def make(cls, folder: Path, torrents: int, files: int, *, seed: int = 1) -> World:
        """Makes the torrents, then scatters their files."""
        world, chance = cls(folder), random.Random(seed)
        for number in range(torrents):
            world._add(f"T{number:03}", number, files // torrents, chance)
        world._scatter(chance)
        return world

    def _add(self, name: str, number: int, files: int, chance: random.Random) -> None:
        content = self.folder / "source" / name
        for count in range(files):
            size = chance.randint(200, 700) * KIB if count == 0 else chance.randint(1, 24 * KIB)
            suffix = chance.choice(["mkv", "srt"])
            path = content / f"part {count % 7}" / f"{name} {count:03}.{suffix}"
            digest = make_film(path, size, seed=1000 * number + count)
            key = path.relative_to(content.parent).as_posix()
            self.digests[name, key] = (digest, size)
        torrent = content.with_name(f"{name}.torrent")
        version = _VERSIONS[number % 3]
        made = make_torrent(content, torrent, version=version, piece_size=_PIECE)
        self.torrents[name] = made.path.read_bytes()

    def _scatter(self, chance: random.Random) -> None:
        """Renames a third of the files, moves them, or puts them together with others."""
        for count, (name, key) in enumerate(self.digests):
            source = self.folder / "source" / key
            target = self.mine / key
            if count % _MOVED == 0:
                target = chance.choice(
                    [
                        target.with_name(f"{chance.randbytes(6).hex()}.bin"),
                        self.mine / "by letter" / name[-1] / source.name,
                        self.mine / "all" / f"{count % 40}" / f"{chance.randbytes(6).hex()}.avi",
                    ]
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            if count % _DECOYS == 0:
                make_film(
                    self.mine / "decoys" / f"{count % 9}" / f"{count} {source.name}",
                    self.digests[name, key][1],
                    seed=-1 - count,
                )
        shutil.rmtree(self.folder / "source")
        for path in self.mine.rglob("*"):
            os.utime(path, (_LONG_AGO, _LONG_AGO))

    # --- what is measured -------------------------------------------------------------------

    async def run(self, downloads: int | None = None) -> Account:
        """Looks for all torrents, then downloads the first so many, None = all; see the module."""
        account, before = Account(), snapshot(self.mine)
        account.total = sum(size for _, size in self.digests.values())
        began = time.monotonic()
        await asyncio.to_thread(self._search, account)
        account.searched = time.monotonic() - began
        if snapshot(self.mine) != before:
            account.problems.append("the search changed the user's files")
        began = time.monotonic()
        await self._download(account, list(self.torrents)[:downloads])
        account.took = time.monotonic() - began
        if snapshot(self.mine) != before:
            account.problems.append("a download changed the user's files")
        return account

    def _search(self, account: Account) -> None:
        finder = DataFinder([self.folder / "media"])
        for name, data in self.torrents.items():
            hashes, metadata = files_of(data)
            files = {file.index: file for file in metadata.facts.files}
            found = finder.find(hashes, frozenset(files))
            account.bytes_read += found.bytes_read
            account.longest = max(account.longest, found.bytes_read)
            for index, match in found.matches.items():
                digest, size = self.digests[name, files[index].path]
                if sha256_of(match.path) == digest:
                    account.found += size
                else:
                    account.problems.append(f"{files[index].path} is not at {match.path}")

    async def _download(self, account: Account, names: Sequence[str]) -> None:
        media, state = self.folder / "media", self.folder / "state"
        async with WebTorrentDownloader(media, state_dir=state, max_active=6, **QUIET) as ours:
            for name in names:
                await ours.start(id=name, torrent=self.torrents[name])
            for name in names:
                try:
                    async with asyncio.timeout(_WITHIN):
                        job = await ours.wait(name)
                except TimeoutError:
                    job = await ours.status(name)
                if job.status is not Status.COMPLETED:
                    account.problems.append(f"{name} is {job.status}: {job.error or job.reason}")
                    continue
                wanted = sum(size for (of, _), (_, size) in self.digests.items() if of == name)
                if (job.figures.found, job.figures.downloaded) != (wanted, 0):
                    account.problems.append(f"{name}: {job.figures.found} of {wanted} were found")
                placed = {file.index: media / file.path for file in job.files}
                account.problems += self._differing(name, placed)
                account.downloaded += 1

    def _differing(self, name: str, placed: Mapping[int, Path]) -> Iterator[str]:
        """What is published and is not what the torrent was made of."""
        named = {file.index: file.path for file in files_of(self.torrents[name])[1].facts.files}
        for index, path in placed.items():
            digest, _ = self.digests[name, named[index]]
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                yield f"{path} is wrong"


async def main() -> int:
    """Runs it once; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torrents", type=int, default=100)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--downloads", type=int, help="of the first so many; all by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="found-data-") as folder:
        world = World.make(Path(folder), given.torrents, given.files)
        account = await world.run(given.downloads)
    print(f"{given.torrents} torrents, {given.files} files")
    print(account.summary())
    good = account.found_share >= 0.99 and account.bytes_read <= GIB and not account.problems
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

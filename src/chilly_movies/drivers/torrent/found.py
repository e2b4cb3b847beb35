"""Takes what lies here already of a torrent, before anything of it is fetched.

The user's files are only read. What seems to be a file of the torrent comes into the staging folder
as a copy, which costs neither time nor room where the file system can share blocks; the engine then
compares every byte with its hash, and fetches what is wrong into the copy.

Where blocks cannot be shared and all of the film seems to be here, its files get second names
instead (hard links) in a folder that the engine compares and never writes to. If every byte is
right the film is published under these names, else they are taken away. So nothing is ever written
to a file that has another name: a published film that is to be mended is made our own before.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from chilly_movies.disk import files as disk
from chilly_movies.disk.copying import CopyStoppedError, clone, copy, open_to_read, unshare
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.torrent.engine import gate
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.piece_hashes import PieceHashes, piece_hashes
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.finding.search import DataFinder
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.run import Run, figures
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.disk_guard import amount
from chilly_movies.jobs.models import MediaFile, Phase, Progress, Report, Source, SourceType
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.runtime import failpoints, tasks
from chilly_movies.runtime.stages import say

log = structlog.get_logger(__name__)
T = TypeVar("T")

_AT_ONCE = 0.2
"""A search that is over so soon is not worth telling of."""
_REPORT_INTERVAL = 0.5


class BytesAreHereError(Exception):
    """Bytes of a torrent that is being fetched lie here: they are to be taken first."""


class FoundData:
    """Finds and takes what lies here of the torrents of one driver.

    Args:
        config: where the user's films are, and whether they are looked at.
        place: where films are staged.
        store: where claims are kept, which know the metadata of magnets.
    """

    def __init__(self, config: EngineConfig, place: Place, store: ResumeStore) -> None:
        folders = (config.media_root, *config.film_folders)
        self._finder = DataFinder(folders) if config.find_data else None
        self._place = place
        self._store = store

    async def take(
        self,
        run: Run,
        compare: Callable[[Run], Awaitable[TorrentState | None]],
        finish: Callable[[Run, Progress], Awaitable[None]],
    ) -> bool:
        """Take what lies here of a run's film. A stage.

        Args:
            run: nothing of it is in the engine.
            compare: lets the engine compare every byte of what lies in the run's folder.
            finish: publishes the film and tells that it is whole.

        Returns:
            Whether that was all of it, and is published.
        """
        await self.clear(run)
        await self.look(run)
        if not run.here:
            return False
        try:
            if await self._link_all(run):
                found = await compare(run)
                if found is not None and found.finished:
                    run.tally.find(run.wanted)
                    await finish(run, figures(found, Phase.POST_PROCESSING))
                    return True
        finally:
            await self.clear(run)
        await self._copy_all(run)
        return False

    async def clear(self, run: Run) -> None:
        """Take the second names away again, those of a run that was cut short among them."""
        run.linked = None
        await on_disk(lambda: disk.delete_tree(self._place.linked(run.job.key)))

    async def look(self, run: Run, torrent: Torrent | None = None) -> bool:
        """Look for a run's files, once, as soon as their names and sizes are known.

        A stage. What was found is in `run.here`.

        Args:
            run: nothing of it is published.
            torrent: it is in the engine already, and its metadata has just come.

        Returns:
            Whether something was found now.
        """
        if self._finder is None or run.searched or run.published or run.asked:
            return False
        if torrent is None:
            known = await self._known(run)
        else:
            own = await asyncio.to_thread(torrent.piece_hashes)
            known = None if own is None or run.metadata is None else (own, run.metadata)
        if known is None:
            return False
        run.searched, run.late = True, torrent is not None
        hashes, metadata = known
        finder, wanted = self._finder, await on_disk(lambda: self._missing(run, metadata))
        if not wanted:
            return False
        found = await self._while_told(
            lambda stopped: finder.find(hashes, wanted, stopped),
            lambda: "looking for bytes that are here already",
            run,
        )
        if found.matches:
            run.here = {index: match.path for index, match in found.matches.items()}
            run.metadata = metadata
        return bool(run.here)

    async def _known(self, run: Run) -> tuple[PieceHashes, p.Metadata] | None:
        """What the source, or the claim of an earlier run, says of the files."""
        claim = decode(await self._store.load_resume(run.job.key))
        staging = self._place.staging(run.job.key)
        request = p.AddRequest(
            source=run.source,
            save_path=staging,
            part_path=staging,
            options=run.job.options,
            priorities=run.job.priorities(),
            resume=None if claim is None else claim.data,
        )
        try:
            return await asyncio.to_thread(read_torrent, request)
        except ChillyError:  # whoever adds it to the engine says so
            return None

    def _missing(self, run: Run, metadata: p.Metadata) -> frozenset[int]:
        """The wanted files of which nothing is staged; if they come late, what is counts little."""
        staging, paths = self._place.staging(run.job.key), metadata.disk_paths
        return frozenset(
            file.index
            for file in metadata.facts.files
            if file.wanted and (run.late or not os.path.lexists(staging / paths[file.index]))
        )

    async def _while_told(
        self,
        work: Callable[[Callable[[], bool]], T],
        reason: Callable[[], str],
        run: Run,
    ) -> T:
        """Do disk work in a thread and tell of it; it ends early if nobody listens any more."""
        stop = threading.Event()
        doing = tasks.begin(on_disk(lambda: work(stop.is_set)))
        try:
            await asyncio.wait([doing], timeout=_AT_ONCE)
            while not doing.done():
                progress = replace(run.job.progress, phase=Phase.CHECKING)
                await say(Report(progress, reason()))
                await asyncio.wait([doing], timeout=_REPORT_INTERVAL)
            return await doing
        finally:
            stop.set()
            if not doing.done():
                await asyncio.wait([doing])

    # --- all of it: second names ------------------------------------------------------------

    async def _link_all(self, run: Run) -> bool:
        """Give the files second names, if all that is wanted is here; else nothing is done.

        A stage: it says what is known of the files, and that no room is needed for them.
        """
        assert run.metadata is not None  # noqa: S101 (for the type checker)
        files = run.published_files()
        if any(file.wanted and file.size and file.index not in run.here for file in files):
            return False
        if not await tasks.to_the_end(on_disk(lambda: self._link(run, files))):
            return False
        run.linked = self._place.linked(run.job.key)
        failpoints.reach("found.linked")
        facts, size = replace(run.metadata.facts, files=files), amount(run.wanted)
        progress = Progress(bytes_total=run.wanted, phase=Phase.CHECKING)
        await say(Report(progress, f"{size} are here already and are compared", facts))
        return True

    def _link(self, run: Run, files: Sequence[MediaFile]) -> bool:
        if not run.late and self._place.has_staged(run.job.key):
            return False
        if run.late:
            disk.delete_tree(self._place.staging(run.job.key))
        self._place.make_staging(run.job.key)
        folder, paths = self._place.linked(run.job.key), run.disk_paths()
        try:
            if _can_clone(next(iter(run.here.values())), folder):
                return False  # as cheap, and what is done to one is not done to the other
            for file in files:
                if file.wanted:
                    _link(run.here.get(file.index), folder / paths[file.index], file.size)
        except OSError as error:
            log.info("bytes that are here are copied", job=run.job.id, problem=error.strerror)
            disk.delete_tree(folder)
            return False
        return True

    # --- some of it: copies -----------------------------------------------------------------

    async def _copy_all(self, run: Run) -> None:
        """Bring copies of the found files into the staging folder. A stage."""
        total = sum(file.size for file in run.published_files() if file.index in run.here)
        done = 0

        def copied(step: int) -> None:
            nonlocal done
            done += step

        run.placed = await self._while_told(
            lambda stopped: self._copy(run, stopped, copied),
            lambda: f"copying what is here already: {done / max(1, total):.0%} of {amount(total)}",
            run,
        )
        run.here = {}
        failpoints.reach("found.copied")

    def _copy(
        self, run: Run, stopped: Callable[[], bool], copied: Callable[[int], None]
    ) -> frozenset[int]:
        self._place.make_staging(run.job.key)
        folder, paths = self._place.linked(run.job.key), run.disk_paths()
        sizes = {file.index: file.size for file in run.published_files()}
        staging, placed = self._place.staging(run.job.key), []
        folder.mkdir(exist_ok=True)
        try:
            for index, path in run.here.items():
                part, target = folder / "copy", staging / paths[index]
                if _copied(path, part, sizes[index], stopped, copied):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    part.replace(target)
                    placed.append(index)
        except CopyStoppedError:
            pass
        finally:
            disk.delete_tree(folder)
        return frozenset(placed)

    async def count(self, run: Run, torrent: Torrent) -> None:
        """The engine compared the copies: count what of them is right."""
        done = await torrent.pieces.bytes_done()
        run.tally.find(sum(done[index] for index in run.placed if index < len(done)))
        run.placed = frozenset()


def read_torrent(request: p.AddRequest) -> tuple[PieceHashes, p.Metadata] | None:
    """The hashes and files of a torrent, None if they are not known yet.

    Raises:
        ChillyError: it is broken, or has what no film has.
    """
    if p.is_url(request.source) and request.resume is None:
        return None
    params, programs = p.build(request), request.options.allow_executables
    if params.ti is None:
        return None
    chosen = gate.select(params, programs=programs).priorities(params.ti.layout())
    encoding = p.encoding_of(request.source)
    metadata = p.read_metadata(params.ti, chosen, programs=programs, encoding=encoding)
    return piece_hashes(params.ti, request.source.data), metadata


def files_of(torrent_file: bytes) -> tuple[PieceHashes, p.Metadata]:
    """The hashes and files of a torrent file, programs among them.

    Raises:
        ChillyError: it is broken, or has what no film has.
    """
    params = p.parse_torrent(torrent_file)
    assert params.ti is not None  # noqa: S101 (for the type checker)
    encoding = p.encoding_of(Source(SourceType.TORRENT, "", torrent_file))
    metadata = p.read_metadata(params.ti, programs=True, encoding=encoding)
    return piece_hashes(params.ti, torrent_file), metadata


def unshare_film(root: Path, files: Sequence[MediaFile]) -> None:
    """Make a published film our own before it is written to. Blocks.

    Raises:
        OSError: the disk refused.
    """
    for file in files:
        if file.wanted and (root / file.path).is_file():
            unshare(root / file.path)


def _can_clone(path: Path, folder: Path) -> bool:
    """Whether the file system of the folder shares blocks with that file."""
    folder.mkdir(exist_ok=True)
    probe = folder / "clone"
    source = open_to_read(path)
    try:
        with probe.open("xb") as target:
            return clone(source, target.fileno())
    finally:
        os.close(source)
        probe.unlink(missing_ok=True)


def _link(path: Path | None, target: Path, size: int) -> None:
    """Give a file a second name; never replaces anything.

    One that may be run gets none: published films may not be, and its rights are the user's.

    Raises:
        OSError: it gets none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if path is None:
        target.touch(exist_ok=False)  # an empty one
        return
    os.link(path, target, follow_symlinks=False)
    found = target.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size != size or found.st_mode & 0o111:
        raise OSError(0, "it is not what it was, or may be run")


def _copied(
    path: Path,
    target: Path,
    size: int,
    stopped: Callable[[], bool],
    copied: Callable[[int], None],
) -> bool:
    """Copy one file; False, and nothing is left, if it is not what it was or the disk refused."""
    try:
        source = open_to_read(path)
    except OSError:
        return False
    try:
        if os.fstat(source).st_size != size:
            return False
        with target.open("xb") as own:
            copy(source, own.fileno(), stopped=stopped, copied=copied)
    except OSError as error:
        log.info("a file that is here was not copied", problem=error.strerror)
        target.unlink(missing_ok=True)
        return False
    finally:
        os.close(source)
    return True

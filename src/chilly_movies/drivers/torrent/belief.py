"""Whether a claim is believed, and how it follows a film that we rename.

The claim of a published film is renewed by nothing but a check and our own renames: whatever the
disk says else is a change to be checked, also if the program is ended before it was noticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import job_at, move
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.torrent.resume_claim import ResumeClaim, decode
from chilly_movies.drivers.torrent.run import Run
from chilly_movies.errors import FilmDamaged
from chilly_movies.jobs.models import Job, MediaFile, Status
from chilly_movies.jobs.ports import ResumeStore


class Beliefs:
    """What is believed of the jobs of one driver.

    Args:
        store: where claims are kept.
        place: where films lie.
    """

    def __init__(self, store: ResumeStore, place: Place) -> None:
        self._store = store
        self._place = place

    async def holds(self, run: Run, claim: ResumeClaim | None) -> bool:
        """Whether the files are as the claim says: not after a crash, not after a change."""
        if claim is None:
            return False
        if run.published:
            paths = self._place.paths(run.published_files())
        elif claim.closed:
            paths = claim.staged_paths(self._place.staging(run.job.key))
        else:
            return False
        return await on_disk(lambda: claim.holds(paths, exactly=run.published))

    async def unchanged(self, run: Run) -> ResumeClaim | None:
        """The job's claim if it holds, None if something has to be compared."""
        claim = decode(await self._store.load_resume(run.job.key))
        return claim if await self.holds(run, claim) else None

    def is_ours(self, claim: ResumeClaim | None, job: Job) -> bool:
        """Whether the claim speaks of what lies at the job's path, renamed or not. Blocks."""
        return claim is not None and claim.holds(self._place.paths(job.files), exactly=False)

    async def carry(self, run: Run) -> None:
        """The film was renamed: what is claimed of it is claimed of it where it is now."""
        claim = decode(await self._store.load_resume(run.job.key))
        paths = self._place.paths(run.published_files())
        renamed = None if claim is None else await on_disk(lambda: claim.renamed(paths))
        if renamed is not None:
            await self._store.save_resume(run.job.key, renamed.encode())

    async def move(self, run: Run, root: Path) -> None:
        """Do what moves the film. A copy is compared before it seeds, as nobody looked at it."""
        run.published = True
        known = await self.unchanged(run) is not None
        before = await on_disk(lambda: self._nodes(run)) if known else {}
        run.path = await move(run.job, root)
        run.job = job_at(run.job, run.path)
        if known and await on_disk(lambda: self._nodes(run)) == before:
            await self.carry(run)

    async def gone(self, run: Run, files: Sequence[MediaFile], *, asked: bool) -> str | None:
        """One clause on a file that is not there, if that is told now and not waited for.

        Args:
            run: whose film.
            files: of the film.
            asked: its user asked for a check.

        Raises:
            DiskError: nobody can say, as the media folder is not there, and nothing seeds.
        """
        seeds = run.job.status is not Status.COMPLETED or run.job.seeding
        if not seeds:
            await on_disk(self._place.require)
        elif not asked:
            return None
        return await on_disk(lambda: self._place.why_gone(files))

    def _nodes(self, run: Run) -> Mapping[int, tuple[int, int]]:
        """Device and inode of each file that is there."""
        paths = self._place.paths(run.published_files())
        found = {i: path.stat() for i, path in paths.items() if path.is_file()}
        return {i: (stat.st_dev, stat.st_ino) for i, stat in found.items()}


def damaged(run: Run, why: str, *, asked: bool, is_gone: bool = False) -> FilmDamaged:
    """The error for a published film that is not what it was, with what can be done about it.

    Args:
        run: whose film.
        why: one clause on what is wrong.
        asked: its user asked for a check.
        is_gone: it is a file that is not there.
    """
    remedy = "resume fetches it again" if asked else "recheck it, then resume fetches it again"
    what = f"The film is not what it was when it was finished: {why}"
    return FilmDamaged(f"{what}." if run.job.adopted else f"{what}; {remedy}.", is_gone=is_gone)

"""What is asked and done about the swarm of a job: trackers, peers, pieces, torrent file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from chilly_movies.errors import InvalidRequest, NoSwarm, NotReadable, TrackerNotFound
from chilly_movies.jobs import events as e
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Status, TrackerChoice
from chilly_movies.jobs.swarm import LAST_TIER, MAX_TRACKERS, PieceMap, SwarmControl, Tracker

Verb = Callable[[str, Callable[[Job], Awaitable[Job]]], Awaitable[Job]]
"""Runs a change of a job under its lock, to its end."""


class Swarm:
    """The questions and verbs about the swarms of jobs.

    Each raises `JobNotFound` for an unknown id and `NoSwarm` for a job that is no torrent.

    Args:
        controls: what knows the swarms of which kind of source.
        ledger: where the jobs are.
        status: gives a job as it is now.
        verb: runs a change of a job.
    """

    def __init__(
        self,
        controls: Mapping[str, SwarmControl],
        ledger: Ledger,
        status: Callable[[str], Awaitable[Job]],
        verb: Verb,
    ) -> None:
        self._controls = controls
        self._ledger = ledger
        self._status = status
        self._verb = verb

    async def _of(self, job_id: str) -> tuple[SwarmControl, Job]:
        job = (await self._status(job_id)).as_run
        control = self._controls.get(job.source.type)
        if control is None:
            raise NoSwarm(f"Job '{job_id}' is no torrent: it has no swarm.")
        return control, job

    async def trackers(self, job_id: str) -> Sequence[Tracker]:
        """The trackers of a job, in the order of their tiers, whether or not it runs."""
        control, job = await self._of(job_id)
        return await control.trackers(job)

    async def add_trackers(
        self, job_id: str, urls: Sequence[str], tier: int | None = None
    ) -> Sequence[Tracker]:
        """Add trackers to a job; those it has already stay as they are.

        Args:
            job_id: which job.
            urls: announce URLs.
            tier: of all of them; None = each gets one of its own behind the others.

        Raises:
            InvalidRequest: one is no announce URL or may not be talked to, or they are too many.
        """
        control, _ = await self._of(job_id)
        vetted = [await control.vet_tracker(url) for url in urls]

        def add(known: Sequence[Tracker], choice: TrackerChoice) -> TrackerChoice:
            new = [url for url in dict.fromkeys(vetted) if url not in [t.url for t in known]]
            if len(known) + len(new) > MAX_TRACKERS:
                sentence = f"A torrent has at most {MAX_TRACKERS} trackers, this one {len(known)}."
                raise InvalidRequest(sentence, field="urls")
            for url in new:
                choice = choice.with_tracker(url, _next_tier(known, choice, tier))
            return choice

        return await self._change(job_id, add)

    async def edit_tracker(
        self, job_id: str, tracker: str, *, url: str | None = None, tier: int | None = None
    ) -> Sequence[Tracker]:
        """Give a tracker of a job another address or tier.

        Args:
            job_id: which job.
            tracker: its `id`.
            url: the address, None = as it is.
            tier: the tier, None = as it is.

        Raises:
            TrackerNotFound: the job has no such tracker.
            InvalidRequest: the address is no announce URL or may not be talked to.
        """
        control, _ = await self._of(job_id)
        vetted = None if url is None else await control.vet_tracker(url)

        def edit(known: Sequence[Tracker], choice: TrackerChoice) -> TrackerChoice:
            old = _find(known, tracker)
            without = choice.without_tracker(old.url)
            return without.with_tracker(vetted or old.url, old.tier if tier is None else tier)

        return await self._change(job_id, edit)

    async def remove_tracker(self, job_id: str, tracker: str) -> Sequence[Tracker]:
        """Take a tracker from a job, one that its torrent names as well.

        Args:
            job_id: which job.
            tracker: its `id`.

        Raises:
            TrackerNotFound: the job has no such tracker.
        """

        def remove(known: Sequence[Tracker], choice: TrackerChoice) -> TrackerChoice:
            return choice.without_tracker(_find(known, tracker).url)

        return await self._change(job_id, remove)

    async def _change(
        self, job_id: str, change: Callable[[Sequence[Tracker], TrackerChoice], TrackerChoice]
    ) -> Sequence[Tracker]:
        """Store another choice of trackers, then let it hold."""
        control, _ = await self._of(job_id)

        async def apply(job: Job) -> Job:
            choice = change(await control.trackers(job), job.trackers)
            if choice != job.trackers:
                job = await self._ledger.record(job_id, e.TrackersChosen(choice))
                await control.choose_trackers(job)
            return job

        return await control.trackers(await self._verb(job_id, apply))

    async def announce(self, job_id: str) -> Sequence[Tracker]:
        """Ask every tracker for peers now that was not asked in the last 30 s.

        Raises:
            NotReadable: the job does not run.
        """
        control, job = await self._of(job_id)
        if not await control.announce(job):
            raise _stands(job)
        return await control.trackers(job)

    async def add_peer(self, job_id: str, address: str) -> None:
        """Connect to a peer.

        Args:
            job_id: which job.
            address: IP address and port; that of IPv6 in brackets.

        Raises:
            InvalidRequest: the address is none, or may not be talked to.
            NotReadable: the job does not run, or its torrent is private.
        """
        control, job = await self._of(job_id)
        if not await control.call(job, address):
            raise _stands(job)

    async def ban_peer(self, job_id: str, address: str) -> None:
        """Drop a peer, and never talk to its IP address again until the program ends.

        Args:
            job_id: of a job that has it.
            address: an IP address; a port behind it does not count.

        Raises:
            InvalidRequest: the address is none.
        """
        control, job = await self._of(job_id)
        await control.ban(job, address)

    async def pieces(self, job_id: str) -> PieceMap:
        """Which pieces of a job are there.

        Raises:
            NotReadable: its metadata is not known yet.
        """
        control, job = await self._of(job_id)
        found = await control.pieces(job)
        if found is None:
            raise _unknown(job)
        return found

    async def magnet(self, job_id: str) -> str:
        """A magnet link to a job's torrent, with its trackers.

        Raises:
            NotReadable: its torrent file was not fetched yet.
        """
        control, job = await self._of(job_id)
        found = await control.metainfo(job)
        if found is None:
            raise _unknown(job)
        return found.magnet

    async def torrent_file(self, job_id: str) -> tuple[str, bytes]:
        """A job's `.torrent` file: its name without ending, and its bytes.

        Raises:
            NotReadable: its metadata, or hashes of its pieces, are not known yet.
        """
        control, job = await self._of(job_id)
        found = await control.metainfo(job)
        if found is None:
            raise _unknown(job)
        if found.data is None:
            raise NotReadable(
                f"The torrent file of job '{job.id}' is not known yet: peers have not sent its "
                "metadata, or not all hashes of its pieces. Ask again while it downloads."
            )
        return found.name, found.data


def _next_tier(known: Sequence[Tracker], choice: TrackerChoice, tier: int | None) -> int:
    if tier is not None:
        return tier
    taken = [*(t.tier for t in known), *(number for _, number in choice.added)]
    return min(max((n for n in taken if n < LAST_TIER), default=-1) + 1, LAST_TIER)


def _find(known: Sequence[Tracker], name: str) -> Tracker:
    for tracker in known:
        if tracker.id == name:
            return tracker
    raise TrackerNotFound(f"This download has no tracker '{name}'.")


def _stands(job: Job) -> NotReadable:
    waits = " It is queued: wait until it runs." if job.status is Status.QUEUED else ""
    return NotReadable(f"Job '{job.id}' is {job.status} and talks to nobody now.{waits}")


def _unknown(job: Job) -> NotReadable:
    return NotReadable(f"The metadata of job '{job.id}' is not known yet: no peer has sent it.")

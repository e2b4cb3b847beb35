"""The swarms of torrents: trackers, peers, pieces and torrent files, whether or not a job runs."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chilly_movies.drivers.torrent.engine import metainfo
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.config import EngineConfig, for_engine, gate_of
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.engine.tracker_list import refusal_of, resolves_out
from chilly_movies.drivers.torrent.engine.urls import place_of, tidy_url
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.run import Run
from chilly_movies.errors import InvalidRequest, InvalidSource, NotReadable
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.jobs.swarm import Metainfo, PieceMap, Tracker
from chilly_movies.net.policy import NetworkPolicy

_WITH_PORT = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[0-9.]{7,15}):([0-9]{1,5})")
_NOWHERE = Path("/nonexistent")


class TorrentSwarm:
    """Implements `swarm.SwarmControl`.

    Args:
        config: the engine's settings.
        session: the engine.
        policy: whom we may talk to.
        resume_store: where resume data is kept.
        runs: the runs of jobs, by key.
        running: the torrents of jobs that are in the engine, by key.
    """

    def __init__(
        self,
        config: EngineConfig,
        session: TorrentSession,
        policy: NetworkPolicy,
        resume_store: ResumeStore,
        runs: Mapping[str, Run],
        running: Mapping[str, Torrent],
    ) -> None:
        self._config = config
        self._session = session
        self._policy = policy
        self._resume = resume_store
        self._runs = runs
        self._running = running

    async def trackers(self, job: Job) -> Sequence[Tracker]:
        """See `swarm.SwarmControl`."""
        torrent = self._running.get(job.key)
        if torrent is not None and (found := await torrent.tracker_list(time.time())) is not None:
            return found
        request = for_engine(await self._stored(job), self._config)
        try:
            return await asyncio.to_thread(metainfo.trackers_of, request)
        except InvalidSource:  # a link to a torrent file that was not fetched yet
            return [Tracker(url, tier) for url, tier in job.trackers.added]

    async def vet_tracker(self, url: str) -> str:
        """See `swarm.SwarmControl`."""
        tidy, gate = tidy_url(url), gate_of(self._config)
        why = refusal_of(tidy, gate, webrtc=self._config.uses_webrtc)
        if why is None and not await resolves_out(tidy, gate):
            why = f"The tracker {place_of(tidy)} does not lead to a public address."
        if why is not None:
            raise InvalidRequest(why, field="url")
        return tidy

    async def choose_trackers(self, job: Job) -> None:
        """See `swarm.SwarmControl`."""
        if (run := self._runs.get(job.key)) is not None:
            run.job = replace(run.job, trackers=job.trackers)
        if (torrent := self._running.get(job.key)) is not None:
            await torrent.choose_trackers(job.trackers)

    async def announce(self, job: Job) -> bool:
        """See `swarm.SwarmControl`."""
        torrent = self._running.get(job.key)
        if torrent is None:
            return False
        torrent.announce_now()
        return True

    async def call(self, job: Job, address: str) -> bool:
        """See `swarm.SwarmControl`."""
        match = _WITH_PORT.fullmatch(address.strip())
        host, port = ("", 0) if match is None else (_ip(match[1].strip("[]")), int(match[2]))
        if not host or not 0 < port < 65536:
            sentence = f"'{address}' is no IP address with a port, like 203.0.113.5:6881."
            raise InvalidRequest(sentence, field="address")
        named = f"[{host}]" if ":" in host else host
        if not (gate_of(self._config).lets_peer(named, port) and self._policy.lists.lets(host)):
            sentence = (
                f"{host} may not be talked to: it is on a list of the user's, our own API, or "
                "private (CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets private ones in)."
            )
            raise InvalidRequest(sentence, field="address")
        if self._session.traffic.shuts_out(host):
            raise InvalidRequest(f"{host} was banned.", field="address")
        torrent = self._running.get(job.key)
        if torrent is None:
            return False
        if torrent.private:
            sentence = "This torrent is private: its peers come from its trackers alone (BEP 27)."
            raise NotReadable(sentence)
        torrent.call(host, port)
        return True

    async def ban(self, job: Job, address: str) -> None:
        """See `swarm.SwarmControl`."""
        match = _WITH_PORT.fullmatch(address.strip())
        host = _ip((address.strip() if match is None else match[1]).strip("[]"))
        if not host:
            raise InvalidRequest(f"'{address}' is no IP address.", field="address")
        torrent = self._running.get(job.key)
        if torrent is not None and any(host == known for known, _ in torrent.rtc_addresses):
            sentence = "This peer came over WebRTC, where the engine can shut no address out."
            raise NotReadable(sentence)
        self._session.traffic.shut_out(host)

    async def pieces(self, job: Job) -> PieceMap | None:
        """See `swarm.SwarmControl`."""
        if (torrent := self._running.get(job.key)) is not None:
            return await torrent.piece_map()
        request = await self._stored(job)
        is_whole = job.status is Status.COMPLETED and all(file.wanted for file in job.files)
        try:
            return await asyncio.to_thread(lambda: metainfo.pieces_of(request, whole=is_whole))
        except InvalidSource:
            return None

    async def metainfo(self, job: Job) -> Metainfo | None:
        """See `swarm.SwarmControl`."""
        request = await self._stored(job)
        try:
            return await asyncio.to_thread(metainfo.metainfo_of, request)
        except InvalidSource:
            return None

    async def _stored(self, job: Job) -> p.AddRequest:
        """The torrent as its source, its resume data and the user name it."""
        claim = decode(await self._resume.load_resume(job.key))
        return p.AddRequest(
            source=job.source,
            save_path=_NOWHERE,
            part_path=_NOWHERE,
            options=job.options,
            resume=None if claim is None else claim.data,
            allow_private=self._config.allow_private_addresses,
            trackers=job.trackers,
        )


def _ip(text: str) -> str:
    """The IP address in its usual spelling; "" if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""

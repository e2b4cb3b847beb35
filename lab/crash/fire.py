"""The loop: real server processes, random verbs, kills at random moments, and the checks.

Everything random comes from one seed. What the outside was told is kept in this process, which
does not crash. Use it with `async with`, then `round()` as often as you like.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx2

from chilly_movies.settings import SETTINGS as KNOWN
from lab.crash import films, promises, store
from lab.crash.accounts import Accounts
from lab.crash.films import MIB, Film
from lab.crash.life import Life
from lab.crash.model import AFTER_IN_THE_AIR, Intent, Published, Tally, Wanted
from lab.crash.swarm import Swarm
from tests.peers.torrents import sha256_of

SIZES = (4, 6, 8, 12, 16, 24)
SETTINGS = {
    "CHILLY_MAX_ACTIVE": "6",
    "CHILLY_RATE_LIMIT_START": "9999/second",
    "CHILLY_RATE_LIMIT_CANCEL": "9999/second",
}
if "min_free_space" in KNOWN:  # the tests' own file systems are small
    SETTINGS["CHILLY_MIN_FREE_SPACE"] = "1000000"
_CLEAN_WITHIN = 5.0
_KEPT = 4
_TAKES = (Intent.RUN, Intent.PAUSED, Intent.COMPLETED)
During = Callable[["Fire", Life], Awaitable[None]]


class Fire:
    """A server under fire.

    Args:
        folder: everything lies below it.
        seed: of all that is random.
        settings: further environment variables of the server.
        sizes: of the films, in MiB.
        rate: bytes a second that each seeder sends at most.
        host: the first seeder's address is this with `.1` added, and so on.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        settings: Mapping[str, str] | None = None,
        sizes: tuple[int, ...] = SIZES,
        rate: int = 5 * MIB,
        host: str = "127.0.10",
    ) -> None:
        self.random = random.Random(seed)
        self.tally = Tally(seed)
        self.folder = folder
        self.settings = {**SETTINGS, **(settings or {})}
        self.swarm = Swarm(time_limit=24 * 3600)
        self.films: list[Film] = []
        self.jobs: dict[str, Wanted] = {}
        self.gone: set[str] = set()
        self.kept: list[Published] = []
        self.left: set[str] = set()
        self.may_fail = False
        self.last_id = 0
        self.liars = 0
        self._sizes = sizes
        self.rate = rate
        self._host = host
        self._generation = 0
        self._busy: set[int] = set()
        self._last_event: dict[str, str] = {}
        self._accounts = Accounts(self)

    @property
    def media(self) -> Path:
        """Where films go."""
        return Path(self.settings.get("CHILLY_MEDIA_ROOT", str(self.folder / "server" / "media")))

    @property
    def state(self) -> Path:
        """Where the database lies."""
        return Path(self.settings.get("CHILLY_STATE_DIR", str(self.folder / "server" / "state")))

    async def __aenter__(self) -> Self:
        await self.swarm.__aenter__()
        for number, size in enumerate(self._sizes):
            host = f"{self._host}.{number + 1}"
            film = films.make(self.folder / "source", number, size * MIB, host=host)
            port = await self.swarm.seed(
                film.name, film.torrent.path, film.torrent.folder, host=host, rate=self.rate
            )
            self.films.append(replace(film, port=port))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.swarm.__aexit__(None, None, None)

    # --- a round ----------------------------------------------------------------------------

    async def round(self, during: During | None = None) -> None:
        """One life: start, check, act for a while, end, check again.

        Args:
            during: what happens besides; the round goes on at least until it is done.
        """
        self.tally.rounds += 1
        await self._accounts.begin()
        if during is None and self.random.random() < 0.12:
            await self._die_early()
            await self.post_mortem(Life(self.folder / "server", self.settings, self.last_id))
            return
        life = await self.start()
        await self.check_start(life)
        acting = asyncio.create_task(self._act(life))
        try:
            if during is not None:
                await during(self, life)
            await asyncio.sleep(self._moment())
            await self._end(life)
        finally:
            acting.cancel()
            await asyncio.wait([acting])
            await life.server.kill()
        await self.post_mortem(life)

    async def finish(self, within: float = 60.0) -> None:
        """A last life in peace: whatever is wanted gets completed by itself."""
        for film in self.films:
            await self.swarm.limit(film.name, 0)
        await self._accounts.begin()
        life = await self.start()
        await self.check_start(life)
        for job in self.jobs.values():
            if job.intent is Intent.PAUSED:
                body = {"id": job.id}
                await self.told(life, job, Intent.RUN, "POST", "/download/resume", json=body)
        try:
            async with asyncio.timeout(within):
                while left := self._unfinished(await life.statuses()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.tally.breaks(*(f"job {name} does not finish: {why}" for name, why in left.items()))
        await life.kill()
        self.tally.kills += 1
        await self.post_mortem(life)

    def _unfinished(self, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        return {
            job.id: f"{listed[job.id]['status']}, {listed[job.id].get('reason')}"
            for job in self.jobs.values()
            if job.intent is Intent.RUN and listed[job.id]["status"] != "completed"
        }

    async def start(self) -> Life:
        """A new life of the server."""
        life = Life(self.folder / "server", self.settings, self.last_id)
        self.tally.ready.append(await life.start())
        self.tally.starts += 1
        return life

    def _moment(self) -> float:
        """50 to 3,000 ms, shorter ones more often."""
        if self.random.random() < 0.5:
            return self.random.uniform(0.05, 3.0)
        return math.exp(self.random.uniform(math.log(0.05), math.log(3.0)))

    async def _die_early(self) -> None:
        life = Life(self.folder / "server", self.settings, self.last_id)
        await life.start_and_die(self.random.uniform(0.3, 2.0))
        self.tally.starts += 1
        self.tally.kills += 1
        self.tally.early_kills += 1

    async def _end(self, life: Life) -> None:
        if life.stream_ended:
            self.tally.breaks("the stream of events ended by itself")
        if self.random.random() < 0.15:
            code, took = await life.term()
            self.tally.terms += 1
            if code != 0 or took > 10:
                self.tally.breaks(f"a polite stop ended with {code} after {took:.1f} s")
        else:
            await life.kill()
            self.tally.kills += 1

    @asynccontextmanager
    async def held(self, *numbers: int) -> AsyncIterator[None]:
        """No random hand touches jobs of these films."""
        for number in numbers:
            while number in self._busy:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            self._busy.add(number)
        try:
            yield
        finally:
            self._busy.difference_update(numbers)

    def unfinished(self, job: Wanted) -> Iterator[Path]:
        """The files of a job that is not completed."""
        key = store.read(self.state, after=self.last_id).jobs[job.id].key
        return (path for path in (self.media / ".incomplete" / key).iterdir() if path.is_file())

    # --- verbs ------------------------------------------------------------------------------

    async def _act(self, life: Life) -> None:
        """Every film is started; then three hands at once, each job in one hand at a time."""
        dice = random.Random(self.random.random())
        taken = {job.film.number for job in self.jobs.values() if job.intent in _TAKES}
        for film in self.films:
            if film.number not in taken | self._busy and not life.server.http.is_closed:
                self._busy.add(film.number)
                try:
                    await self.begin(life, film, dice)
                except httpx2.HTTPError:
                    self.tally.unknown += 1
                    return
                finally:
                    self._busy.discard(film.number)
        await asyncio.gather(*(self._hand(life, number) for number in range(3)))

    async def _hand(self, life: Life, number: int) -> None:
        dice = random.Random(self.random.random())
        while not life.server.http.is_closed:  # it is as soon as the server was killed
            free = [film for film in self.films if film.number not in self._busy]
            if not free:
                await asyncio.sleep(0.05)
                continue
            film = dice.choice(free)
            self._busy.add(film.number)
            try:
                await self._touch(life, film, dice)
            except httpx2.HTTPError:
                self.tally.unknown += 1
                return
            finally:
                self._busy.discard(film.number)
            await asyncio.sleep(dice.uniform(0.02, 0.25) * (number + 1))

    async def _touch(self, life: Life, film: Film, dice: random.Random) -> None:
        """Do something to the film's jobs."""
        mine = [job for job in self.jobs.values() if job.film.number == film.number]
        over = [job for job in mine if job.intent in (Intent.CANCELED, Intent.COMPLETED)]
        running = next((job for job in mine if job not in over), None)
        if over and dice.random() < 0.4:
            await self._after_the_end(life, dice.choice(over), dice)
        elif running is None:
            if not any(job.intent is Intent.COMPLETED for job in over):
                await self.begin(life, film, dice)
        elif running.intent is Intent.NONE:
            await self._start(life, running, {})
        elif running.intent is Intent.PAUSED:
            choice = dice.choices(("resume", "pause", "cancel", "remove"), (70, 10, 14, 6))[0]
            await self._do(life, running, choice, dice)
        else:
            choice = dice.choices(
                ("wait", "pause", "again", "twin", "cancel", "remove"), (40, 30, 8, 8, 10, 4)
            )[0]
            await self._do(life, running, choice, dice)

    async def begin(self, life: Life, film: Film, dice: random.Random) -> Wanted:
        """A new job for a film."""
        self._generation += 1
        job = Wanted(f"job-{film.number}-{self._generation}", film=film, may_fail=self.may_fail)
        self.jobs[job.id] = job
        limit = {"downloadLimit": dice.randrange(1, 8) * MIB} if dice.random() < 0.2 else {}
        await self._start(life, job, limit)
        return job

    async def _start(self, life: Life, job: Wanted, options: dict[str, Any]) -> None:
        body = {"id": job.id, "sourceType": "torrent", "sourceUrn": job.film.magnet, **options}
        await self.told(life, job, Intent.RUN, "POST", "/download/start", json=body)

    async def _do(self, life: Life, job: Wanted, choice: str, dice: random.Random) -> None:
        body = {"id": job.id}
        if choice == "again":  # the same once more changes nothing
            await self._start(life, job, {})
        elif choice == "twin":  # the same film under another id must be refused
            await self._twin(life, job)
        elif choice == "pause":
            await self.told(life, job, Intent.PAUSED, "POST", "/download/pause", json=body)
        elif choice == "resume":
            await self.told(life, job, Intent.RUN, "POST", "/download/resume", json=body)
        elif choice == "cancel":
            await self.told(life, job, Intent.CANCELED, "POST", "/download/cancel", json=body)
        elif choice == "remove":
            query = {"deleteFiles": dice.choice(("true", "false"))}
            path = f"/downloads/{job.id}"
            if query["deleteFiles"] == "false":  # it may be complete by now; then its film stays
                self.left.add(job.film.sha256)
            await self.told(life, job, Intent.REMOVED, "DELETE", path, params=query)

    async def _after_the_end(self, life: Life, job: Wanted, dice: random.Random) -> None:
        """A completed or canceled job: bring it back, which must fail, or remove it."""
        body = {"id": job.id}
        if dice.random() < 0.4:
            verb = "resume" if job.intent is Intent.CANCELED else "cancel"
            answer = await life.server.http.post(f"/download/{verb}", json=body)
            status = answer.json().get("status")
            if status != (409 if verb == "resume" else "completed"):
                self.tally.breaks(f"{verb} of {job.id}, {job.intent}: {answer.text}")
            return
        if job.intent is Intent.COMPLETED and not await self._verified(life, job):
            return
        delete = dice.random() < 0.7
        film, job.published, job.doomed = job.published, None, delete
        if film is not None and not delete:
            self.kept.append(film)
        elif not delete:  # it was to go with its job before, and that was killed in the air
            self.left.add(job.film.sha256)
        query = {"deleteFiles": "true" if delete else "false"}
        await self.told(life, job, Intent.REMOVED, "DELETE", f"/downloads/{job.id}", params=query)
        if film is not None and delete and film.path.exists():
            self.tally.breaks(f"the film of {job.id} is there after it was deleted")

    async def _verified(self, life: Life, job: Wanted) -> bool:
        """Whether its film was verified, now or before."""
        if job.published is None and not job.doomed:
            answer = await life.server.http.get(f"/downloads/{job.id}")
            self.verify(job, self.media / answer.json()["path"])
        return job.published is not None or job.doomed

    async def _twin(self, life: Life, job: Wanted) -> None:
        body = {"id": f"twin-of-{job.id}", "sourceType": "torrent", "sourceUrn": job.film.magnet}
        answer = await life.server.http.post("/download/start", json=body)
        if answer.status_code != 409:
            self.tally.breaks(f"a second job for the film of {job.id}: {answer.text}")
        self.tally.refusals += 1

    async def told(
        self, life: Life, job: Wanted, after: Intent, method: str, path: str, **request: Any
    ) -> None:
        """Send a verb, and keep what it means for the job."""
        before, job.before = job.intents, job.intents
        if before != {Intent.COMPLETED}:
            job.intents |= AFTER_IN_THE_AIR.get(after, frozenset({after}))
        job.intents |= {after}
        answer = await life.server.http.request(method, path, **request)
        if answer.status_code in (200, 204):
            self.tally.acks += 1
            job.intents = frozenset({after})
            if answer.status_code == 204:
                self._forget(job)
                return
            status = answer.json()["status"]
            if status == "completed":  # it was faster
                job.intents = frozenset({Intent.RUN})
            self.tally.breaks(job.observe(status))
            self.tally.canceled += after is Intent.CANCELED and status == "canceled"
        elif answer.status_code >= 500 and self.may_fail:
            self.tally.refusals += 1  # both may be true now
        else:
            job.intents = before
            self.tally.refusals += 1
            self.tally.breaks(f"{method} {path} {request}: {answer.status_code} {answer.text}")

    def _forget(self, job: Wanted) -> None:
        self.tally.removed += 1
        self.gone.add(job.id)
        self.jobs.pop(job.id, None)

    # --- checks -----------------------------------------------------------------------------

    async def check_start(self, life: Life) -> None:
        """After a start: the same jobs as before, and soon nothing that belongs to nobody."""
        listed = await life.statuses()
        for job in tuple(self.jobs.values()):
            status = listed[job.id]["status"] if job.id in listed else "missing"
            self.tally.breaks(job.observe(status))
        keys = {job.id: job.key for job in store.read(self.state, after=self.last_id).jobs.values()}
        try:
            async with asyncio.timeout(_CLEAN_WITHIN):
                while list(promises.no_orphans(self.media, listed, keys, self._kept_names())):
                    await asyncio.sleep(0.1)
                    listed = await life.statuses()
        except TimeoutError:
            self.tally.breaks(*promises.no_orphans(self.media, listed, keys, self._kept_names()))

    def _kept_names(self) -> set[str]:
        whole = (p for p in self.media.iterdir() if p.is_file() and sha256_of(p) in self.left)
        return {film.path.name for film in self.kept} | {path.name for path in whole}

    async def post_mortem(self, life: Life) -> None:
        """The server is dead: is everything there that was promised?"""
        stored = store.read(self.state, after=self.last_id)
        tell = self.tally.breaks
        tell(*promises.whole(stored))
        tell(*promises.nothing_lost(stored, self.jobs.values(), self.gone))
        tell(*promises.order(stored.events, self._last_event))
        tell(*promises.told_what_is_stored(life.heard, stored.events, self.last_id))
        numbers = [event["_id"] for event in life.heard if event["_id"] is not None]
        self.tally.events += len(numbers)
        await self._accounts.check(stored)
        for job in tuple(self.jobs.values()):
            found = stored.jobs.get(job.id)
            if found is None:  # whatever was in the air, it is not there
                self.jobs.pop(job.id)
                self.gone |= {job.id} if Intent.NONE not in job.intents else set()
            elif found.status == "completed" and job.published is None and not job.doomed:
                self.verify(job, self.media / str(found.path))
        self._untouched()
        # what is stored after the last number heard comes with the next replay
        self._rewind(stored, numbers)

    def _rewind(self, stored: store.Stored, numbers: list[int]) -> None:
        last = numbers[-1] if numbers else self.last_id
        for event in stored.events:  # seen by `order` already, will be seen again
            if event.seq > last:
                self._last_event.pop(event.job_id, None)
        self.last_id = last

    def verify(self, job: Wanted, path: Path) -> None:
        """A completed job's film is whole."""
        if not path.is_file() or sha256_of(path) != job.film.sha256:
            good = len(job.film.good(path))
            self.tally.breaks(
                f"job {job.id} is completed and its film is not: {path.name}, "
                f"{good} of {len(job.film.pieces)} pieces"
            )
            return
        job.published = Published.at(path)
        self.tally.completed += 1

    def _untouched(self) -> None:
        for job in self.jobs.values():
            if job.published is not None and Intent.REMOVED not in job.intents:
                self.tally.breaks(job.published.touched())
        owned = {job.published.path for job in self.jobs.values() if job.published}
        self.kept = [film for film in self.kept if film.path not in owned]
        for film in self.kept:
            self.tally.breaks(film.touched())
        while len(self.kept) > _KEPT:
            with suppress(FileNotFoundError):
                self.kept.pop(0).path.unlink()

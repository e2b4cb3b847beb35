"""The real downloader, driven at random through everything that may happen to it.

`make model EXAMPLES=20000` runs it long. A failure prints the steps that lead to it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chilly_movies.errors import DiskError, SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import MediaFile, Phase, Report, SourceFacts
from chilly_movies.jobs.swarm import Tracker
from chilly_movies.storage.jobs import open_stores
from tests.model.machine import Watched
from tests.model.spec import urns_in
from tests.model.world import OWN_TRACKER, moving

IDS = st.sampled_from(["a", "b", "c"])
SOURCES = st.sampled_from(["film-1", "film-2", "film-3"])
VERBS = st.sampled_from(["pause", "resume", "cancel", "resume", "cancel"])
ENDS = st.sampled_from(["top", "bottom", "up", "down"])
HOW = st.sampled_from(["", "", "", "held", "forced"])
LATE = st.sampled_from(["pause", "resume", "cancel", "move", "adjust"])
CANDIDATES = st.lists(
    st.builds(
        lambda urn, user: {"sourceType": "http", "sourceUrn": urn} | user,
        st.sampled_from(["spare-1", "spare-2", "film-1", "film-2", "film-3"]),
        st.sampled_from([{}, {"username": "u"}, {"username": "v"}]),
    ),
    max_size=3,
)
MIRRORS = st.sampled_from([[], [{"sourceUrn": "http://mirror.example/1"}]])
MORE: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {"candidates": CANDIDATES},
    optional={"mirrors": MIRRORS, "username": st.sampled_from("uv")},
)
TRACKERS = st.sampled_from([OWN_TRACKER, "http://a.example/announce", "http://b.example/announce"])
TIERS = st.sampled_from([None, 0, 5, 99])
LABELS = st.dictionaries(st.sampled_from("xy"), st.sampled_from(["1", "2", None]), max_size=2)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "download_limit": st.sampled_from([None, 7]),
        "upload_limit": st.sampled_from([None, 9]),
        "seed_ratio": st.just(2.0),
        "seed_time": st.sampled_from([None, 60]),
        "order": st.sampled_from(["usual", "sequential"]),
        "forced": st.booleans(),
        "mirrors": MIRRORS,
        "candidates": CANDIDATES,
    },
)
PICK = st.integers(0, 7)
FAILURES = {
    "unavailable": SourceUnavailable("Nobody has it."),
    "disk": DiskError("The disk does not work."),
    "rejected": SourceRejected("It is no film."),
    "crash": RuntimeError("a bug"),
}
FOLDER = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@pytest.fixture(autouse=True, scope="module")
def quiet_logs() -> Iterator[None]:
    """Crashes are part of these tests; drawing their traces would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class Machine(Watched):
    """Any order of verbs, driver events, failures, crashes; the specification watches."""

    @rule(job_id=IDS, source=SOURCES, how=HOW, more=MORE)
    def start(self, job_id: str, source: str, how: str, more: dict[str, Any]) -> None:
        """A wish, perhaps one that is known, perhaps under a name that is taken."""
        known, alone = self.spec.jobs.get(job_id), self._alone()
        given = more | ({how: True} if how else {})
        work = self.world.downloader.start(
            id=job_id, source_type="http", source_urn=source, **given
        )
        self._verb("held" if how == "held" else "start", job_id, work, source)
        now = self.spec.jobs.get(job_id)
        is_taken = now and now is not known and now.source == source
        if alone and now and is_taken and job_id not in self.spec.lost:
            user = more.get("username")
            assert user in (None, now.asked.users[0]), f"{now} does not know '{user}'"
            others = tuple(urns_in(more.get("candidates")))
            assert known or now.asked.candidates == others, f"{now} does not know {others}"

    @rule(job_id=IDS, how=HOW)
    def queue_up(self, job_id: str, how: str) -> None:
        """Every name is started, with a film of its own, and one of them in another way."""
        for name, source in zip("abc", ("film-1", "film-2", "film-3"), strict=True):
            self.start(job_id=name, source=source, how=how if name == job_id else "", more={})

    @rule(job_id=IDS, to=ENDS)
    def place(self, job_id: str, to: Any) -> None:
        """Elsewhere in the queue."""
        self._verb("place", job_id, self.world.downloader.place(job_id, to))

    @rule(job_id=IDS, before=IDS)
    def place_before(self, job_id: str, before: str) -> None:
        """Directly before another."""
        work = self.world.downloader.place(job_id, before=before)
        self._verb("place", job_id, work, before=before)

    @rule(job_id=IDS, source=SOURCES)
    def adopt(self, job_id: str, source: str) -> None:
        """What is there already is to be seeded."""
        work = self.world.downloader.adopt("Film.mkv", source.encode(), id=job_id)
        self._verb("start", job_id, work, source)

    @rule(job_id=IDS)
    def start_again(self, job_id: str) -> None:
        """Only the name is given."""
        self._verb("again", job_id, self.world.downloader.start(id=job_id))

    @rule(job_id=IDS, verb=VERBS)
    def use(self, job_id: str, verb: str) -> None:
        """A verb on whatever is there."""
        self._verb(verb, job_id, getattr(self.world.downloader, verb)(job_id))

    @rule(job_id=IDS, delete_files=st.booleans())
    def remove(self, job_id: str, delete_files: bool) -> None:
        """Off the list."""
        work = self.world.downloader.remove(job_id, delete_files=delete_files)
        self._verb("remove", job_id, work)

    @rule(job_id=IDS, folder=st.sampled_from(["", "New", "Old"]))
    def move(self, job_id: str, folder: str) -> None:
        """To another folder, now or once it is there."""
        self._verb("move", job_id, self.world.downloader.move(job_id, folder))

    @rule(job_id=IDS, labels=LABELS, options=OPTIONS)
    def adjust(
        self, job_id: str, labels: dict[str, str | None], options: dict[str, object]
    ) -> None:
        """Labels, limits and goals of whatever is there."""
        alone, expected = self._alone(), self.spec.expected_of(job_id, labels, options)
        work = self.world.downloader.adjust(job_id, labels=labels, **options)
        self._verb("adjust", job_id, work)
        now = self.spec.jobs.get(job_id)
        alone &= job_id not in self.spec.lost
        assert not alone or (now and now.asked) == expected, f"{now} is not {expected}"

    @rule(
        job_id=IDS,
        verb=st.sampled_from(["add", "edit", "drop"]),
        old=TRACKERS,
        url=TRACKERS | st.sampled_from([None, "udp://a.example:6969"]),
        tier=TIERS,
    )
    def trackers(self, job_id: str, verb: str, old: str, url: str | None, tier: int | None) -> None:
        """Whom to ask for peers."""
        swarm, url = self.world.downloader.swarm, old if verb == "add" and url is None else url
        expected = self.spec.expected_trackers(verb, job_id, old, url, tier)
        if verb == "add":
            work = swarm.add_trackers(job_id, [url or old], tier)
        elif verb == "edit":
            work = swarm.edit_tracker(job_id, Tracker(old, 0).id, url=url, tier=tier)
        else:
            work = swarm.remove_tracker(job_id, Tracker(old, 0).id)
        self._leads_to("" if job_id in self.spec.lost else expected, verb, job_id, work)

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, verb=st.sampled_from(["add", "edit", "drop"]), url=TRACKERS, tier=TIERS)
    def trackers_of_a_run(self, pick: int, verb: str, url: str, tier: int | None) -> None:
        """The same while it runs: an own tracker is edited or dropped, or another one added."""
        job_id = self._runs()[pick % len(self._runs())].job.id
        self.trackers(job_id=job_id, verb=verb, old=OWN_TRACKER, url=url, tier=tier)

    @rule(job_id=IDS)
    def announce(self, job_id: str) -> None:
        """All trackers are asked now, if it runs."""
        expected = self.spec.expected_trackers("announce", job_id, "", None, None)
        known = self.spec.jobs.get(job_id)
        if known and not known.adopted and known.key not in self.world.driver.runs:
            expected = "NotReadable"
        work = self.world.downloader.swarm.announce(job_id)
        self._leads_to("" if job_id in self.spec.lost else expected, "announce", job_id, work)

    @rule(job_id=IDS, really=st.sampled_from([False, False, False, False, True]))
    def another_server_takes_over(self, job_id: str, really: bool) -> None:
        """This one was frozen, perhaps, and does not hear of it."""
        if really and job_id in self.spec.jobs:
            self.world.take_over(job_id)
            self.spec.lost.add(job_id)

    @precondition(lambda self: self._runs())
    @rule(
        pick=PICK, really=st.booleans(),
        first=st.sampled_from(["completes", "fails", "pause", "cancel"]),
    )  # fmt: skip
    def a_frozen_owner_wakes(self, pick: int, really: bool, first: str) -> None:
        """Its run goes on where it was, though another server has the job."""
        job_id = self._runs()[pick % len(self._runs())].job.id
        self.another_server_takes_over(job_id=job_id, really=really)
        if really and first == "completes":
            self.completes(pick=pick, seeds=True)
        elif really and first == "fails":
            self.fails(pick=pick, kind="unavailable")
        elif really:
            self.use(job_id=job_id, verb=first)

    @rule(job_id=IDS, verbs=st.lists(VERBS, min_size=2, max_size=3))
    def clash(self, job_id: str, verbs: list[str]) -> None:
        """Several verbs on one job at once, while the store is slow."""
        self.world.store.holding = True
        for verb in verbs:
            self.use(job_id, verb)

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, verb=LATE, done=st.booleans(), slow=st.booleans())
    def crosses(self, pick: int, verb: str, done: bool, slow: bool) -> None:
        """A verb comes right after the job is done or failed, or while that is being stored."""
        self.world.store.holding |= slow
        run = self._runs()[pick % len(self._runs())]
        end = Report(moving(100, Phase.SEEDING), path="Film", complete=True)
        self._order(pick, end if done else FAILURES["rejected"])
        if verb == "move":
            self.move(run.job.id, "New")
        elif verb == "adjust":
            self.adjust(run.job.id, {"x": "1"}, {"seed_ratio": 2.0})
        else:
            self.use(run.job.id, verb)

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, verb=LATE)
    def is_wanted_after_all(self, pick: int, verb: str) -> None:
        """A verb on a job that has just failed for good, when all is calm."""
        self._flow()
        if self._runs():
            self.crosses(pick=pick, verb=verb, done=False, slow=False)

    @precondition(lambda self: self.verbs)
    @rule(pick=PICK)
    def caller_leaves(self, pick: int) -> None:
        """Somebody who waits for a verb goes away."""
        self.verbs[pick % len(self.verbs)][2].cancel()
        self.world.wait_idle()
        self._collect()

    # --- the driver -----------------------------------------------------------------------------

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, name=SOURCES)
    def learns(self, pick: int, name: str) -> None:
        """Metadata: perhaps it turns out to be a film that another job has."""
        facts = facts_of(name)
        self._order(pick, Report(moving(1), facts=facts))

    @precondition(lambda self: len(self._runs()) > 1)
    @rule(name=SOURCES)
    def learn_the_same(self, name: str) -> None:
        """All that run learn at once, while the store is slow, that they are one film."""
        self.world.store.holding = True
        facts = facts_of(name)
        for run in self._runs():
            run.orders.put_nowait(Report(moving(1), facts=facts))
        self.world.wait_idle()
        self._collect()

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, percent=st.integers(1, 99), phase=st.sampled_from(list(Phase)[:3]))
    def moves(self, pick: int, percent: int, phase: Phase) -> None:
        """Figures."""
        self._order(pick, Report(moving(percent, phase), "slow" if percent % 2 else None))

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, name=SOURCES)
    def publishes(self, pick: int, name: str) -> None:
        """The name in the media root."""
        self._order(pick, Report(moving(99), path=name))

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, seeds=st.booleans())
    def completes(self, pick: int, seeds: bool) -> None:
        """Every byte is there; it goes on to seed, or ends."""
        phase = Phase.SEEDING if seeds else None
        done = Report(moving(100, phase), path="Film", complete=True)
        self._order(pick, *([done] if seeds else [done, None]))

    @precondition(lambda self: self._runs())
    @rule(pick=PICK)
    def ends(self, pick: int) -> None:
        """Done: downloaded, or seeded."""
        self._order(pick, None)

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, kind=st.sampled_from(sorted(FAILURES)))
    def fails(self, pick: int, kind: str) -> None:
        """An attempt goes wrong."""
        self._order(pick, FAILURES[kind])

    @precondition(lambda self: self._runs())
    @rule(
        pick=PICK,
        times=st.integers(2, 4),
        kind=st.sampled_from(["crash", "crash", "unavailable", "rejected"]),
    )
    def fails_again_and_again(self, pick: int, times: int, kind: str) -> None:
        """Each attempt goes wrong, and the next one is due soon."""
        self._flow()
        for _ in range(times):
            if self._runs():
                self._order(pick, FAILURES[kind])
            self.world.forward(1000)
            self._collect()

    @rule(
        job_id=IDS,
        source=SOURCES,
        candidates=CANDIDATES,
        ends=st.lists(
            st.sampled_from(["rejected", "rejected", "unavailable", "crash"]),
            min_size=2, max_size=5,
        ),
    )  # fmt: skip
    def loses_one_source_after_the_other(
        self, job_id: str, source: str, candidates: list[dict[str, str]], ends: list[str]
    ) -> None:
        """Each source of a job that needs no slot goes wrong, and perhaps it is resumed then."""
        self._flow()
        self.start(job_id=job_id, source=source, how="forced", more={"candidates": candidates})
        for kind in ends:
            for run in self._runs():
                if run.job.id == job_id:
                    run.orders.put_nowait(FAILURES[kind])
            self.world.forward(1000)
            self._collect()
        if self._alone() and len(ends) % 2:
            others = [one | {"username": "w"} for one in candidates]
            self.adjust(job_id=job_id, labels={}, options={"candidates": others})
            self.use(job_id=job_id, verb="resume")

    @precondition(lambda self: self._runs())
    @rule(pick=PICK)
    def begins_anew(self, pick: int) -> None:
        """What it is taken from is another file by now."""
        self._order(pick, Report(moving(1), "The file changed where it comes from.", anew=True))

    @rule(times=st.integers(1, 2))
    def deletes_nothing(self, times: int) -> None:
        """The data of the next sources that are given up stays where it is."""
        self.world.driver.stuck = times

    @rule()
    def closes_slowly(self) -> None:
        """From now on a run that is closed needs time, or no more."""
        self.world.driver.sticky = not self.world.driver.sticky

    @precondition(lambda self: len(self._runs()) < len(self.world.driver.runs))
    @rule(pick=PICK)
    def lets_go(self, pick: int) -> None:
        """A run that was closed slowly is closed."""
        self._let_go(pick)

    # --- the store ------------------------------------------------------------------------------

    @precondition(lambda self: not self.world.store.holding)
    @rule()
    def holds(self) -> None:
        """From now on writes wait."""
        self.world.store.holding = True

    @precondition(lambda self: self.world.store.held)
    @rule(pick=PICK, works=st.sampled_from([True, True, False]))
    def writes(self, pick: int, works: bool) -> None:
        """One of the waiting writes ends."""
        self._write(pick, works)

    @precondition(lambda self: self.world.store.holding)
    @rule()
    def flows(self) -> None:
        """Writes wait no more."""
        self._flow()

    @precondition(lambda self: not self.world.store.holding)
    @rule(times=st.integers(1, 2))
    def breaks(self, times: int) -> None:
        """The next writes fail."""
        self.world.store.failing = times
        self.may_lag = True

    # --- time and process -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.6, 1.1, 6.0, 70.0, 1000.0]))
    def waits(self, seconds: float) -> None:
        """Time passes."""
        self.world.forward(seconds)
        self._collect()

    @rule(works=st.booleans())
    def restarts(self, works: bool) -> None:
        """The program ends in order and begins again."""
        store = self.world.store
        closing = self.world.launch(self.world.downloader.aclose())
        for _ in range(50):
            if store.held:
                self._write(0, works)
            self._let_go(0)
        store.holding = False
        self.world.forward(20)
        self._collect()
        assert closing.done(), "closing takes for ever"
        assert not self.verbs, "a verb outlives the downloader"
        closing.result()
        assert not self.world.driver.runs, "a driver outlives the downloader"
        self._check_what_was_heard()
        self.may_lag = False
        self._open()

    @rule(survivors=st.integers(0, 15))
    def crashes(self, survivors: int) -> None:
        """The program is killed, in the middle of whatever it does."""
        self.world.crash(lambda number: bool(survivors >> number % 4 & 1))
        self.verbs.clear()
        self.may_lag = False
        self._open()

    @rule()
    def calms_down(self) -> None:
        """Everything that is under way ends, and then all must be in its place."""
        self._calm_down()


def profile(examples: int) -> settings:
    """So many examples: the same ones each time, or new ones if `CHILLY_EXAMPLES` says how many.

    `CHILLY_MODEL_BREAKS` says how many of the same ones are to find a fault that need not be told
    by the fewest steps.
    """
    asked = int(os.environ.get("CHILLY_EXAMPLES", "0"))
    to_find = int(os.environ.get("CHILLY_MODEL_BREAKS", "0"))
    return settings(
        max_examples=asked or to_find or examples,
        stateful_step_count=30,
        derandomize=not asked,
        database=None,
        phases=(Stage.generate, *([] if to_find else [Stage.shrink])),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def facts_of(name: str) -> SourceFacts:
    """What is learned of a film."""
    files = (MediaFile(0, f"{name}.mkv", 100),)
    return SourceFacts((f"btih:{name[-1] * 40}",), name, files)


class MemoryMachine(Machine):
    """Over the store in memory."""


class SqliteMachine(Machine):
    """Over the real database."""


MemoryMachine.TestCase.settings = profile(200)
SqliteMachine.TestCase.settings = profile(25)

_PATIENCE = 0 if os.environ.get("CHILLY_EXAMPLES") else 600
"""Seconds; a run of as many examples as one asked for takes as long as it takes."""
test_memory = pytest.mark.timeout(_PATIENCE)(MemoryMachine.TestCase)
test_sqlite = pytest.mark.timeout(_PATIENCE)(SqliteMachine.TestCase)


@pytest.fixture(autouse=True, scope="module")
def empty_database() -> Iterator[None]:
    """Migrating is tested elsewhere; here each example begins with a copy."""
    folder = Path(tempfile.mkdtemp(dir=FOLDER, prefix=f"chilly-model-{os.getpid()}-"))
    SqliteMachine.empty = folder / "empty.db"
    asyncio.run(_create(SqliteMachine.empty))
    yield
    shutil.rmtree(folder)


async def _create(path: Path) -> None:
    jobs, _ = open_stores(path)
    await jobs.load()
    await jobs.aclose()

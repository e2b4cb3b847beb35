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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chilly_movies.errors import ChillyError, DiskError, SourceRejected, SourceUnavailable
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Phase, Report, SourceFacts
from chilly_movies.storage.jobs import open_stores
from tests.model.spec import Known, Spec, asked_of
from tests.model.world import Run, World, moving

IDS = st.sampled_from(["a", "b", "c"])
SOURCES = st.sampled_from(["film-1", "film-2", "film-3"])
VERBS = st.sampled_from(["pause", "resume", "cancel", "resume", "cancel"])
ENDS = st.sampled_from(["top", "bottom", "up", "down"])
HOW = st.sampled_from(["", "", "", "held", "forced"])
LATE = st.sampled_from(["pause", "resume", "cancel", "move", "adjust"])
LABELS = st.dictionaries(st.sampled_from("xy"), st.sampled_from(["1", "2", None]), max_size=2)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "download_limit": st.sampled_from([None, 7]),
        "seed_ratio": st.just(2.0),
        "forced": st.booleans(),
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


class Machine(RuleBasedStateMachine):
    """Any order of verbs, driver events, failures, crashes; the specification watches."""

    folder: Path | None = None
    empty: Path | None = None

    @initialize(max_active=st.integers(1, 3))
    def begin(self, max_active: int) -> None:
        """An empty store."""
        if self.empty is not None:
            self.folder = Path(tempfile.mkdtemp(dir=self.empty.parent))
        self.world = World(self.folder, self.empty, max_active, self._committed)
        self.spec = Spec(max_active, self.world.clock, self.world.disk.complete)
        self.verbs: list[tuple[str, str, asyncio.Task[Any]]] = []
        self.may_lag = False
        self.reordered = False  # a real store ends writes in the order they came in
        self._open()

    def _committed(self, change: Change, job: Job | None) -> None:
        self.spec.commit(change, job)

    def _open(self) -> None:
        self.world.open()
        driver = self.world.driver
        driver.may_remove = self._given_up
        loaded = {job.id: str(job.status) for job in self.world.downloader._ledger}
        assert loaded.keys() == self.spec.jobs.keys(), "a restart loses or invents jobs"
        listed = self.world.do(self.world.downloader.list())
        assert [job.id for job in listed] == self.spec.order(), "a restart changes the order"

    def _given_up(self, job: Job) -> bool:
        known = self.spec.jobs.get(job.id)
        return known is None or known.key != job.key or known.status in ANSWERED

    # --- verbs ----------------------------------------------------------------------------------

    def _alone(self) -> bool:
        store = self.world.store
        return not (self.verbs or store.holding or store.held or store.failing or self.may_lag)

    def _verb(self, verb: str, job_id: str, work: Any, source: str = "", before: str = "") -> None:
        alone, expected = self._alone(), self.spec.expected(verb, job_id, source, before)
        task = self.world.launch(work)
        self.verbs.append((verb, job_id, task))
        if alone and task.done():
            assert outcome(task) == expected, f"{verb} {job_id}: {outcome(task)}, not {expected}"
        self._collect()

    def _collect(self) -> None:
        """Look at the verbs that ended."""
        for verb, job_id, task in [entry for entry in self.verbs if entry[2].done()]:
            self.verbs.remove((verb, job_id, task))
            if task.cancelled():
                continue
            error = task.exception()
            assert error is None or isinstance(error, ChillyError), repr(error)
            if error is None and verb in PROMISES:
                assert outcome(task) in PROMISES[verb], f"{verb} gave {outcome(task)}"

    @rule(job_id=IDS, source=SOURCES, how=HOW)
    def start(self, job_id: str, source: str, how: str) -> None:
        """A wish, perhaps one that is known, perhaps under a name that is taken."""
        more = {how: True} if how else {}
        work = self.world.downloader.start(id=job_id, source_type="http", source_urn=source, **more)
        self._verb("held" if how == "held" else "start", job_id, work, source)

    @rule(job_id=IDS, how=HOW)
    def queue_up(self, job_id: str, how: str) -> None:
        """Every name is started, with a film of its own, and one of them in another way."""
        for name, source in zip("abc", ("film-1", "film-2", "film-3"), strict=True):
            self.start(job_id=name, source=source, how=how if name == job_id else "")

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
        assert not alone or (now and now.asked) == expected, f"{now} is not {expected}"

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

    def _runs(self) -> list[Run]:
        return [run for run in self.world.driver.runs.values() if run.closing is None]

    def _order(self, pick: int, *orders: Report | Exception | None) -> None:
        runs = self._runs()
        for order in orders:
            runs[pick % len(runs)].orders.put_nowait(order)
        self.world.wait_idle()
        self._collect()

    @precondition(lambda self: self._runs())
    @rule(pick=PICK, name=SOURCES)
    def learns(self, pick: int, name: str) -> None:
        """Metadata: perhaps it turns out to be a film that another job has."""
        facts = SourceFacts((f"btih:{name[-1] * 40}",), name)
        self._order(pick, Report(moving(1), facts=facts))

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
    @rule(pick=PICK, times=st.integers(2, 3))
    def fails_again_and_again(self, pick: int, times: int) -> None:
        """Each attempt goes wrong, and the next one is due soon."""
        self._flow()
        for _ in range(times):
            if self._runs():
                self._order(pick, FAILURES["crash"])
            self.world.forward(1000)
            self._collect()

    @rule()
    def closes_slowly(self) -> None:
        """From now on a run that is closed needs time, or no more."""
        self.world.driver.sticky = not self.world.driver.sticky

    @precondition(lambda self: len(self._runs()) < len(self.world.driver.runs))
    @rule(pick=PICK)
    def lets_go(self, pick: int) -> None:
        """A run that was closed slowly is closed."""
        self._let_go(pick)

    def _let_go(self, pick: int) -> None:
        closing = [run.closing for run in self.world.driver.runs.values() if run.closing]
        if closing and not (gate := closing[pick % len(closing)]).done():
            gate.set_result(None)
        self.world.wait_idle()
        self._collect()

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

    def _write(self, pick: int, works: bool) -> None:
        held = self.world.store.held
        self.world.store.failing = 0 if works else 1
        self.may_lag |= not works
        self.reordered |= pick % len(held) > 0
        held[pick % len(held)].gate.set_result(None)
        self.world.wait_idle()
        self._collect()

    @precondition(lambda self: self.world.store.holding)
    @rule()
    def flows(self) -> None:
        """Writes wait no more."""
        self._flow()

    def _flow(self) -> None:
        self.world.store.holding = False
        while self.world.store.held:
            self._write(0, works=True)

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
        store.holding = False
        for _ in range(50):
            if store.held:
                self._write(0, works)
            self._let_go(0)
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

    def _calm_down(self) -> None:
        self._flow()
        self.world.store.failing = 0
        self.world.driver.sticky = False
        while len(self._runs()) < len(self.world.driver.runs):
            self._let_go(0)
        for _ in range(3):
            self.world.forward(6)
        self._collect()
        self.may_lag = False
        assert not self.verbs, f"{self.verbs} take for ever"
        self._check_what_was_heard()
        self._check_runs()
        self._check_identities()

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Checked after each step."""
        if not hasattr(self, "world"):
            return
        assert not self.spec.wrong, self.spec.wrong
        assert not self.world.driver.wrong, self.world.driver.wrong
        if self._alone():
            self.spec.quiet_times += 1
        self.spec.check_numbers(self.world.heard)
        stored = {(change.seq, change.event, change.id) for change in self.world.disk.log}
        for change in self.world.heard:
            assert not change.durable or (change.seq, change.event, change.id) in stored, (
                f"'{change.event}' of '{change.id}' is told and not stored"
            )
        writing = {write.change.id for write in self.world.store.held}
        jobs = {job.id: job for job in self.world.downloader._ledger if job.id not in writing}
        for job_id, known in self.spec.jobs.items():
            if job_id not in writing:
                assert same(jobs.get(job_id), known), f"'{job_id}' in memory is not as stored"
        assert jobs.keys() <= self.spec.jobs.keys(), "a job in memory is not stored"

    def _check_what_was_heard(self) -> None:
        told = [(c.seq, c.event, c.id, c.status) for c in self.world.heard if c.durable]
        stored = [(c.seq, c.event, c.id, c.status) for c in self.world.disk.log]
        assert told == stored, f"untold: {set(stored) - set(told)}, not stored: {told}"
        order = listed(self.world.heard)
        assert self.reordered or order == self.spec.order(), "events tell of another order"

    def _check_runs(self) -> None:
        due, active = self.spec.due(), [j for j in self.spec.jobs.values() if j.status == "active"]
        full = self.spec.taken() >= self.spec.max_active
        late = {job_id for job_id, job in due.items() if job.forced or not full}
        assert not late, f"{late} wait for a free slot"
        wanted = {job.key for job in active} | {
            j.key for j in self.spec.jobs.values() if j.seeding or j.moving
        }
        assert set(self.world.driver.runs) == wanted, "what runs is not what should"
        asked = {job.key: job.asked[1] for job in self.spec.jobs.values()}
        for key, run in self.world.driver.runs.items():
            assert asked_of(run.job)[1] == asked[key], (
                "a driver knows other options than are stored"
            )
        given_up = [job.key for job in self.spec.jobs.values() if job.status == "canceled"]
        assert all(key not in self.world.driver.runs for key in given_up)

    def _check_identities(self) -> None:
        lasting = [job for job in self.spec.jobs.values() if job.status != "canceled"]
        all_of_them = [identity for job in lasting for identity in job.identities]
        assert len(all_of_them) == len(set(all_of_them)), "two jobs have the same film"

    def teardown(self) -> None:
        """The end of every run: calm down, close, and look at what is stored."""
        if not hasattr(self, "world"):
            return
        try:
            if not self.spec.wrong:
                self._calm_down()
                self._check_stored()
        finally:
            self.world.destroy()
            if self.folder is not None:
                shutil.rmtree(self.folder)

    def _check_stored(self) -> None:
        stored = self.world.do(self.world.store.changes_since(0))
        heard = [(c.seq, c.event, c.id) for c in self.world.heard if c.durable]
        assert [(c.seq, c.event, c.id) for c in stored][:1000] == heard[:1000]


ANSWERED = ("canceled", "completed", "failed")
PROMISES = {
    "pause": {"paused", "completed"},
    "cancel": {"canceled", "completed"},
}


def same(job: Job | None, known: Known) -> bool:
    """Whether memory agrees with what is stored."""
    return job is not None and (
        job.status, job.attempts, job.key, job.seeding, job.moving_to is not None, job.place,
        asked_of(job),
    ) == (
        known.status, known.attempts, known.key, known.seeding, known.moving, known.place,
        known.asked,
    )  # fmt: skip


def listed(heard: list[Change]) -> list[str]:
    """The list that somebody has who only follows the events, as docs/api.md tells them to."""
    order: list[str] = []
    for change in heard:
        if change.durable and change.event in ("queued", "paused") and change.id not in order:
            order.append(change.id)
        elif change.event == "removed":
            order.remove(change.id)
        elif change.event == "placed":
            before = (change.news or {})["before"]
            order.remove(change.id)
            order.insert(len(order) if before is None else order.index(before), change.id)
    return order


def outcome(task: asyncio.Task[Any]) -> str:
    """What a verb led to: a status, `gone`, or the name of an error."""
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is not None:
        return type(error).__name__
    return "gone" if task.result() is None else str(task.result().status)


def profile(examples: int) -> settings:
    """So many examples: the same ones each time, or new ones if `CHILLY_EXAMPLES` says how many."""
    asked = int(os.environ.get("CHILLY_EXAMPLES", "0"))
    shrink = os.environ.get("CHILLY_MODEL_SHRINK", "1") == "1"
    return settings(
        max_examples=asked or examples,
        stateful_step_count=30,
        derandomize=not asked,
        database=None,
        phases=(Stage.generate, *([Stage.shrink] if shrink else [])),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class MemoryMachine(Machine):
    """Over the store in memory."""


class SqliteMachine(Machine):
    """Over the real database."""


MemoryMachine.TestCase.settings = profile(800)
SqliteMachine.TestCase.settings = profile(100)

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

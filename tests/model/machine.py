"""What watches the real downloader while everything may happen to it: what must hold, and when."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from chilly_movies.errors import ChillyError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Report
from tests.model.spec import Known, Spec, asked_of, name_of, shown, urn_of
from tests.model.world import PuppetDriver, Run, World, moving


class Watched(RuleBasedStateMachine):
    """A downloader and the specification that it has to follow."""

    folder: Path | None = None
    empty: Path | None = None

    @initialize(max_active=st.integers(1, 3))
    def begin(self, max_active: int) -> None:
        """An empty store."""
        if self.empty is not None:
            self.folder = Path(tempfile.mkdtemp(dir=self.empty.parent))
        self.world = World(self.folder, self.empty, max_active, self._committed)
        disk = self.world.disk
        self.spec = Spec(max_active, self.world.clock, disk.complete, disk.emptied)
        self.spec.is_calm = self._alone
        self.verbs: list[tuple[str, str, asyncio.Task[Any]]] = []
        self.may_lag = False
        self.reordered = False  # a real store ends writes in the order they came in
        self._open()

    def _committed(self, change: Change, job: Job | None) -> None:
        before = self.spec.jobs.get(change.id)
        self.spec.commit(change, job)
        if name_of(change) == "source" and before:
            self.world.driver.removed.add(before.key)

    def _open(self) -> None:
        self.spec.lost.clear()  # the other server is gone, says who starts this one
        self.world.open(self._set_up)
        loaded = {job.id: str(job.status) for job in self.world.downloader._ledger}
        assert loaded.keys() == self.spec.jobs.keys(), "a restart loses or invents jobs"
        listed = self.world.do(self.world.downloader.list())
        assert [job.id for job in listed] == self.spec.order(), "a restart changes the order"

    def _set_up(self, driver: PuppetDriver) -> None:
        driver.may_remove = self._given_up
        driver.is_left = self._is_left
        driver.on_run = self._begins

    def _given_up(self, job: Job) -> bool:
        known = self.spec.jobs.get(job.id)
        return known is None or known.key != job.key or known.status in ANSWERED

    def _is_left(self, job: Job) -> bool:
        known = self.spec.jobs.get(job.id)
        if known is None or known.key != job.key or known.status != "active":
            return False
        return bool(known.asked.candidates) or known.running != known.source

    def _begins(self, job: Job) -> None:
        """A driver is about to run a job: it gets its source, and the name for its server."""
        known = self.spec.jobs.get(job.id)
        if known is None or known.key != job.key or job.id in self.spec.lost:
            return
        if urn_of(job) != known.running:
            self.spec.wrong.append(f"'{job.id}' is run as '{urn_of(job)}', not '{known.running}'")
        user = job.source.secret.username if job.source.secret else None
        if known.running in known.users and user != known.users[known.running]:
            self.spec.wrong.append(f"'{job.id}' is run for '{user}', not as {known.users} say")

    # --- verbs ----------------------------------------------------------------------------------

    def _alone(self) -> bool:
        store = self.world.store
        return not (self.verbs or store.holding or store.held or store.failing or self.may_lag)

    def _verb(self, verb: str, job_id: str, work: Any, source: str = "", before: str = "") -> None:
        expected = self.spec.expected(verb, job_id, source, before)
        is_lost = {job_id, before} & self.spec.lost  # it may fail, or find nothing to do
        self._leads_to("" if is_lost else expected, verb, job_id, work)

    def _leads_to(self, expected: str, verb: str, job_id: str, work: Any) -> None:
        """Use a verb; if nothing else goes on it leads to what is expected, "" = to whatever."""
        alone = self._alone()
        task = self.world.launch(work)
        self.verbs.append((verb, job_id, task))
        if alone and task.done() and expected:
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

    # --- what is under way ----------------------------------------------------------------------

    def _runs(self) -> list[Run]:
        return [run for run in self.world.driver.runs.values() if run.closing is None]

    def _order(self, pick: int, *orders: Report | Exception | None) -> None:
        runs = self._runs()
        for order in orders:
            runs[pick % len(runs)].orders.put_nowait(order)
        self.world.wait_idle()
        self._collect()

    def _let_go(self, pick: int) -> None:
        closing = [run.closing for run in self.world.driver.runs.values() if run.closing]
        if closing and not (gate := closing[pick % len(closing)]).done():
            gate.set_result(None)
        self.world.wait_idle()
        self._collect()

    def _write(self, pick: int, works: bool) -> None:
        held = self.world.store.held
        self.world.store.failing = 0 if works else 1
        self.may_lag |= not works
        self.reordered |= pick % len(held) > 0
        held[pick % len(held)].gate.set_result(None)
        self.world.wait_idle()
        self._collect()

    def _flow(self) -> None:
        while self.world.store.held:  # none that comes now overtakes those that wait
            self._write(0, works=True)
        self.world.store.holding = False

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
        self._check_lost()
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

    def _check_lost(self) -> None:
        """What was refused to this server as another has the job is run by it no longer."""
        refused = self.world.store.refused
        for run in self._runs():
            if run.job.id in refused:
                run.orders.put_nowait(Report(moving(50)))
        self.world.wait_idle()
        ours = {run.job.id for run in self.world.driver.runs.values()}
        assert not ours & refused, f"{ours & refused} are run though another server has them"

    def _check_runs(self) -> None:
        due, jobs = self.spec.due(), self.spec.jobs.values()
        full = self.spec.taken() >= self.spec.max_active
        late = {job_id for job_id, job in due.items() if job.forced or not full}
        assert self.spec.lost or not late, f"{late} wait for a free slot"
        lost = {self.spec.jobs[job_id].key for job_id in self.spec.lost}
        wanted = {job.key for job in jobs if job.status == "active" or job.seeding or job.moving}
        runs = self.world.driver.runs
        assert runs.keys() - lost == wanted - lost, "what runs is not what should"
        known = {job.key: job for job in jobs}
        for key in runs.keys() - lost:
            told, asked = asked_of(runs[key].job), known[key].asked
            assert (told.options, told.mirrors, told.trackers) == (
                asked.options, asked.mirrors, asked.trackers,
            ), "a driver knows other options than are stored"  # fmt: skip

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
    """What a verb led to: a status, trackers, `gone`, or the name of an error."""
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is not None:
        return type(error).__name__
    result = task.result()
    if isinstance(result, list):
        return shown({tracker.url: tracker.tier for tracker in result})
    return "gone" if result is None else str(result.status)
